"""`python -m export packed`: what it writes runs, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.__main__ import main
from sqdet_cv import Classifier, Detector, ModelFileError
from sqdet_cv.cli import main as cli
from sqdet_cv.dnn.onnx_spec import without_spec
from tests.colours import CLASSIFIER, DETECTOR, red_and_blue_picture
from tests.helpers import make_spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models of `tests.colours` in the current folder."""
    for path in (DETECTOR, CLASSIFIER):
        for suffix in (".onnx", ".json"):
            shutil.copy(path.with_suffix(suffix), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*suffixes: str) -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.suffix in suffixes)


def test_packed_detector_finds_the_same(capsys):
    assert main(["packed", "detector.onnx"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert (
        line.startswith(f"detector.sqdet: {Path('detector.sqdet').stat().st_size} bytes, ") and "with its spec" in line
    )
    found, expected = (Detector(f"detector{suffix}")(red_and_blue_picture()) for suffix in (".sqdet", ".onnx"))
    assert len(found) == 2 and found.labels == expected.labels
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)


def test_packed_classifier_says_the_same():
    assert main(["packed", "classifier.onnx", "--out", "deep/c.sqdet"]) == 0
    picture = red_and_blue_picture()
    assert Classifier("deep/c.sqdet")(picture) == Classifier("classifier.onnx")(picture)


def test_there_and_back():
    assert main(["packed", "detector.onnx"]) == 0
    assert cli.main(["unpack", "detector.sqdet", "--out", "back.onnx"]) == 0
    for suffix in (".onnx", ".json"):
        assert Path(f"back{suffix}").read_bytes() == Path(f"detector{suffix}").read_bytes()


def test_the_spec_is_stored_once():
    """A file that says what it is packs to the bytes of one that does not."""
    assert main(["packed", "detector.onnx"]) == 0
    Path("old.onnx").write_bytes(without_spec(Path("detector.onnx").read_bytes()))
    shutil.copy("detector.json", "old.json")
    assert main(["packed", "old.onnx"]) == 0
    assert Path("old.onnx").stat().st_size < Path("detector.onnx").stat().st_size
    assert Path("old.sqdet").read_bytes() == Path("detector.sqdet").read_bytes()


def test_the_spec_inside_serves_where_the_json_is_lost():
    assert main(["packed", "detector.onnx", "--out", "whole.sqdet"]) == 0
    Path("detector.json").unlink()
    assert main(["packed", "detector.onnx"]) == 0
    assert Path("detector.sqdet").read_bytes() == Path("whole.sqdet").read_bytes()


def test_a_foreign_model_packs_and_only_unpacks(capsys):
    Path("detector.json").unlink()
    Path("detector.onnx").write_bytes(without_spec(Path("detector.onnx").read_bytes()))
    assert main(["packed", "detector.onnx"]) == 0
    assert "without a spec" in capsys.readouterr().out
    with pytest.raises(ModelFileError, match="detector.sqdet: packed without a model spec"):
        Detector("detector.sqdet")
    assert cli.main(["unpack", "detector.sqdet", "--out", "back.onnx"]) == 0
    assert Path("back.onnx").read_bytes() == Path("detector.onnx").read_bytes() and not Path("back.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["missing.onnx"], "missing.onnx: no such model file", id="missing"),
        pytest.param(["detector.json"], "detector.json: expected an .onnx file", id="other suffix"),
        pytest.param(["detector.onnx", "--out", "x.zip"], "--out x.zip: expected a name that ends in .sqdet", id="out"),
        pytest.param(["no.onnx"], "no.onnx: not an ONNX file", id="no ONNX"),
        pytest.param(["odd.onnx"], "odd.onnx: odd.json: the JSON is not a model spec", id="another JSON"),
        pytest.param(["nan.onnx"], "nan.onnx: some.weight holds NaN or infinite numbers", id="NaN"),
        pytest.param(["bytes.onnx"], "bytes.onnx: bytes.json: 'utf-8' codec can't decode", id="no text"),
        pytest.param(["swapped.onnx"], "swapped.onnx: swapped.json is of another model", id="another model's JSON"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(capsys, arguments, said):
    Path("no.onnx").write_text("hello")
    model = onnx.load("detector.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), "some.weight"))
    onnx.save(model, "nan.onnx")
    for name, content in (("odd", b"{}"), ("bytes", b"\xff")):
        shutil.copy("detector.onnx", f"{name}.onnx")
        Path(f"{name}.json").write_bytes(content)
    shutil.copy("detector.onnx", "swapped.onnx")
    make_spec().save("swapped.json")
    assert main(["packed", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")
    assert names(".sqdet", ".zip") == []
