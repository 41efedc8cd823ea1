"""The C++ samples, built by CMake against the system's OpenCV 4, find what `Detector` finds in real images."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detector, ModelSpec
from sqdet_cv.boxes.ops import box_iou
from tests.grids_model import DECODED
from tests.int8_model import picture
from tests.released import PHOTOS, ROOT, released_net
from tests.same_detections import as_rows, assert_same_detections

pytest.importorskip("torch")
HEADER = Path("/usr/include/opencv4/opencv2/core_detect.hpp")  # of Debian's libopencv-contrib-dev
pytestmark = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("g++") and HEADER.exists()),
    reason="needs cmake, g++, libopencv-dev and libopencv-contrib-dev",
)
THRESHOLD = 0.3
HIGH_THRESHOLD = 0.35  # from which on some images have no more than 64 candidates at 416 px


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    for step in (["-S", str(ROOT / "samples" / "cpp"), "-B", str(folder)], ["--build", str(folder)]):
        done = subprocess.run(["cmake", *step], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The released weights as a checkpoint net.pt, beside which the exports go."""
    from train.checkpoints.native import save_checkpoint

    net, spec = released_net()
    path = tmp_path_factory.mktemp("model") / "net.pt"
    save_checkpoint(path, net, spec, net.state_dict(), {})
    return path


def run(program: Path, *arguments: object) -> list[tuple[str, float, np.ndarray]]:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = [line.rsplit(" ", 5) for line in done.stdout.splitlines()]
    return [(label, float(score), np.float64(box)) for label, score, *box in rows]


def kept_by_infer_bbox(found) -> list[int]:
    """Detections that no better one of their class overlaps by more than 0.1, a suppressed one or not."""
    iou = box_iou(found.boxes_xyxy, found.boxes_xyxy)
    better = [[j for j in range(i) if found.labels[j] == found.labels[i]] for i in range(len(found))]
    return [i for i in range(len(found)) if not any(iou[i, j] > 0.1 for j in better[i])]


@pytest.mark.slow
def test_infer_bbox_finds_what_detector_finds(built, model):
    """Each object in real images is one of `Detector`'s boxes (IoU above 0.9), and where the class's 64
    best anchors hold all candidates they are exactly those that its suppression leaves."""
    from export.__main__ import main

    caffe, onnx = model.with_name("infer.caffemodel"), model.with_name("same.onnx")
    assert main(["caffe", str(model), "--infer-bbox", "--out", str(caffe)]) == 0
    assert main(["onnx", str(model), "--size", "416", "--out", str(onnx)]) == 0
    detector = Detector(onnx, score_threshold=HIGH_THRESHOLD, nms_threshold=1.0)  # every candidate
    with_objects = whole = 0
    for path in PHOTOS:
        found = detector(cv2.imread(str(path)))
        expected = found[np.array(kept_by_infer_bbox(found), int)]
        objects = run(built / "detect_infer_bbox", caffe.with_suffix(".prototxt"), caffe, path, HIGH_THRESHOLD)
        for label, score, box in objects:
            same = [d for d in found if d.label == label and abs(d.score - score) < 1e-3]
            assert same and box_iou(box[None], np.array([d.box_xyxy for d in same])).max() > 0.9
        if len(found) <= 64:
            assert sorted(label for label, _, _ in objects) == sorted(expected.labels)
            whole += bool(objects)
        with_objects += bool(objects)
    assert with_objects >= 4 and whole >= 1


@pytest.mark.slow
def test_onnx_finds_what_detector_finds(built, model):
    from export.__main__ import main

    onnx = model.with_name("decoded.onnx")
    assert main(["onnx", str(model), "--head", "decoded", "--out", str(onnx)]) == 0
    detector = Detector(onnx, score_threshold=THRESHOLD)
    objects = 0
    for path in PHOTOS:
        found = detector(cv2.imread(str(path)))
        ours = run(built / "detect_onnx", onnx, onnx.with_suffix(".json"), path, THRESHOLD)
        margins = {"score_margin": 1e-3, "box_margin": 0.5, "score_threshold": THRESHOLD}
        assert_same_detections(ours, as_rows(found), **margins)
        objects += len(ours)
    assert objects > 5
    assert ModelSpec.load(onnx.with_suffix(".json")).labels == detector.spec.labels


@pytest.mark.slow
@pytest.mark.parametrize("size_wh", [(64, 48), (640, 48), (48, 640)], ids=["small", "wide", "tall"])
def test_onnx_of_four_grids(built, tmp_path, size_wh):
    image = cv2.resize(picture(), size_wh, interpolation=cv2.INTER_NEAREST)
    image += np.random.default_rng(0).integers(0, 60, image.shape, np.uint8)  # fine: gone where pixels are averaged
    cv2.imwrite(str(tmp_path / "picture.png"), image)
    found = Detector(DECODED, score_threshold=0.2)(image)
    ours = run(built / "detect_onnx", DECODED, DECODED.with_suffix(".json"), tmp_path / "picture.png", 0.2)
    assert len(ours) > 3
    assert_same_detections(ours, as_rows(found), score_margin=1e-3, box_margin=0.1, score_threshold=0.2)


@pytest.mark.slow
def test_onnx_of_labels_in_other_scripts(built, tmp_path):
    cv2.imwrite(str(tmp_path / "picture.png"), picture())
    labels = ("Köter", "猫", "🐈")
    replace(ModelSpec.load(DECODED.with_suffix(".json")), labels=labels).save(tmp_path / "model.json")
    found = run(built / "detect_onnx", DECODED, tmp_path / "model.json", tmp_path / "picture.png", 0.2)
    assert found and {label for label, _, _ in found} <= set(labels)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        pytest.param("detect_onnx", ["a"], "usage", id="arguments"),
        pytest.param("detect_onnx", ["a", "b", "c"], "b: not the JSON", id="json"),
        pytest.param("detect_onnx", ["a", "b", "c", "2"], "2: the threshold", id="threshold"),
        pytest.param("detect_infer_bbox", ["a", "b", "c"], "a, b: OpenCV cannot read", id="model"),
        pytest.param("detect_infer_bbox", [], "usage", id="nothing"),
    ],
)
def test_bad_input_exits_with_2(built, tmp_path, program, arguments, said):
    done = subprocess.run([built / program, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_caffe_file_of_another_kind_is_refused_in_words(built, model):
    """Its layers have other names, at which OpenCV throws."""
    from export.__main__ import main

    plain = model.with_name("plain.caffemodel")
    assert main(["caffe", str(model), "--out", str(plain)]) == 0
    files = [plain.with_suffix(".prototxt"), plain, PHOTOS[0]]
    done = subprocess.run([built / "detect_infer_bbox", *files], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("plain.caffemodel: not a model of python -m export caffe --infer-bbox")
