"""Which images a --calibrate argument names, and the ranges seen in them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from export.check import sample_pictures
from export.errors import ExportError
from export.graph.trace import trace
from export.int8.calibrate import Range, calibration_pictures, collect_ranges, input_range
from export.onnx.model import INPUT
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.errors import SourceError
from tests.helpers import make_spec
from tests.write_int8_model import tiny_detector


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """photos/{a,b}.png and photos/sub/c.png, seen from the folder that holds images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name, image in zip(("a.png", "b.png", "sub/c.png"), sample_pictures(3)):
        cv2.imwrite(str(tmp_path / "photos" / name), image)
    return tmp_path


def test_a_folder_gives_its_pictures_with_those_below(folder):
    (folder / "photos" / "notes.txt").write_text("not an image")
    (folder / "photos" / "clip.mp4").write_bytes(b"not looked into: a video")
    names = [path.relative_to(folder).as_posix() for path in calibration_pictures(folder / "photos")]
    assert names == ["photos/a.png", "photos/b.png", "photos/sub/c.png"]


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        pytest.param("photos/list.txt", "a.png\nsub/c.png\n", id="relative to the list"),
        pytest.param("list.txt", "photos/a.png\n\n  photos/sub/c.png  \n", id="blank lines and spaces"),
        pytest.param("photos/sub/list.txt", "photos/a.png\r\nc.png\r\n", id="relative to where we are"),
    ],
)
def test_a_list_names_a_picture_a_line(folder, place, lines):
    Path(place).write_text(lines, newline="")
    assert [path.name for path in calibration_pictures(place)] == ["a.png", "c.png"]
    assert all(path.is_file() for path in calibration_pictures(place))


def test_a_list_takes_absolute_paths_and_a_name_of_digits(folder):
    (folder / "0").write_bytes((folder / "photos" / "a.png").read_bytes())
    Path("list.txt").write_text(f"{folder}/photos/b.png\n0\n")
    assert [path.name for path in calibration_pictures("list.txt")] == ["b.png", "0"]


@pytest.mark.parametrize(
    ("source", "content", "said"),
    [
        pytest.param("missing.txt", None, "missing.txt: cannot be read: No such file", id="missing"),
        pytest.param("empty.txt", b"", "empty.txt: names no image", id="empty list"),
        pytest.param("blank.txt", b" \n\n", "blank.txt: names no image", id="blank list"),
        pytest.param("list.txt", b"photos/a.png\nphotos/x.png\n", "line 2: no such image: photos/x.png", id="line"),
        pytest.param("list.txt", b"photos\n", "line 1: no such image: photos", id="a folder in a list"),
        pytest.param("photo.jpg", b"\xff\xd8\xff\xe0", "photo.jpg: expected a text file", id="an image, not a list"),
    ],
)
def test_bad_sources_are_named(folder, source, content, said):
    if content is not None:
        Path(source).write_bytes(content)
    with pytest.raises(ExportError, match=said):
        calibration_pictures(source)


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(ExportError, match=f"--calibrate {tmp_path}: the folder holds no image"):
        calibration_pictures(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    with pytest.raises(ExportError, match=f"--calibrate {tmp_path}: names no image"):
        calibration_pictures(tmp_path)


@torch.no_grad()
def test_ranges_are_what_pytorch_sees(folder):
    """Hooks on the net's own modules, over all images at once."""
    net, spec = tiny_detector()
    pictures = calibration_pictures("photos")
    seen = {}
    modules = {
        "layers.conv1.relu": net.layers.conv1[1],
        "layers.fire3.expand_3x3.relu": net.layers.fire3.expand_3x3[-1],
    }
    modules |= {"layers.pool2": net.layers.pool2, "convdet": net.layers.convdet}
    for name, module in modules.items():
        module.register_forward_hook(lambda module, args, output, name=name: seen.update({name: output.clone()}))
    net(torch.from_numpy(images_to_blob([cv2.imread(str(path)) for path in pictures], spec)))

    ranges = collect_ranges(trace(net, INPUT), spec, pictures)
    assert ranges["layers.conv1.relu"].low == 0 and ranges["layers.fire3.expand_3x3.relu"].low < 0
    for name, tensor in seen.items():
        found = ranges["layers.convdet" if name == "convdet" else name]
        expected = [min(tensor.min().item(), 0), max(tensor.max().item(), 0)]
        np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-5, atol=1e-5)


def test_a_damaged_picture_is_named(folder):
    net, spec = tiny_detector()
    Path("photos/b.png").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match=r"photos/b\.png: damaged"):
        collect_ranges(trace(net, INPUT), spec, calibration_pictures("photos"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="mean of the spec"),
        pytest.param({"mean_bgr": (0.0, 0.0, 0.0), "scale": 1 / 255}, id="0 to 1"),
        pytest.param({"mean_bgr": (127.5, 127.5, 127.5), "scale": 2 / 255}, id="-1 to 1"),
        pytest.param({"scale": -1 / 255}, id="negative scale"),
        pytest.param({"mean_bgr": (300.0, 280.0, 290.0)}, id="negative only"),
    ],
)
def test_input_range_holds_black_and_white(changes):
    spec = make_spec(**changes)
    blob = images_to_blob([np.full((8, 8, 3), value, np.uint8) for value in (0, 255)], spec)
    found = input_range(spec)
    assert found.low <= min(blob.min(), 0) + 1e-6
    assert found.high >= max(blob.max(), 0) - 1e-6
    assert found.high - found.low <= max(blob.max(), 0) - min(blob.min(), 0) + 0.5 * abs(spec.scale) + 1e-6


def test_ranges_unite():
    assert Range(-1, 2).including(Range(0, 5)) == Range(-1, 5)
