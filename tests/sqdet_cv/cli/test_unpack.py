"""`sqdet unpack`: files that it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqdet_cv import ModelSpec
from sqdet_cv.cli import main as cli
from sqdet_cv.dnn import unpack, unpack_file
from sqdet_cv.dnn.onnx_spec import read_spec, without_spec

from ..dnn.test_packed import EVERYTHING, PLAIN, STORED, File


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_onnx_and_spec(capsys):
    assert cli.main(["unpack", str(STORED), "--out", "deep/x.onnx"]) == 0
    onnx, spec_json = unpack(STORED.read_bytes(), "x")
    written = Path("deep/x.onnx").read_bytes()
    assert without_spec(written) == onnx and read_spec(written) == spec_json
    assert Path("deep/x.json").read_bytes() == spec_json.encode() and ModelSpec.load("deep/x.json").labels
    out = capsys.readouterr().out
    assert all(part in out for part in (str(Path("deep/x.onnx")), str(len(written)), str(Path("deep/x.json"))))


def test_without_a_spec(capsys):
    Path("a.sqdet").write_bytes(File([PLAIN], spec=b"").to_bytes())
    assert cli.main(["unpack", "a.sqdet", "--out", "x.onnx"]) == 0
    assert [path.name for path in Path().iterdir() if path.suffix != ".sqdet"] == ["x.onnx"]
    assert "packed without a spec" in capsys.readouterr().out


def test_the_function_beneath_gives_the_path_of_the_spec():
    assert unpack_file(STORED, "x.onnx") == Path("x.json")
    Path("a.sqdet").write_bytes(File([PLAIN], spec=b"").to_bytes())
    assert unpack_file("a.sqdet", "y.onnx") is None and not Path("y.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["a.sqdet", "--out", "x.txt"], "--out x.txt: expected a name that ends in .onnx", id="out"),
        pytest.param(["b.sqdet", "--out", "x.onnx"], "b.sqdet: no such model file", id="missing"),
        pytest.param(["a.sqdet", "--out", "x.onnx"], "a.sqdet: header: it says", id="truncated"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(capsys, arguments, said):
    Path("a.sqdet").write_bytes(EVERYTHING.to_bytes()[:-1])
    assert cli.main(["unpack", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert [path.name for path in Path().iterdir()] == ["a.sqdet"]
