from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detector, draw

from .loading import SAMPLES, load_sample

CAT = SAMPLES / "pictures" / "cat.jpg"


@pytest.fixture
def sample(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return load_sample("detect_image")


def test_writes_the_annotated_image(sample, capsys):
    assert sample.main([str(CAT), "found.png"]) == 0
    assert capsys.readouterr().out.startswith("cat 0.")
    image = cv2.imread(str(CAT))
    np.testing.assert_array_equal(cv2.imread("found.png"), draw(image, Detector()(image)))


BAD = {
    "no arguments": ([], "usage: "),
    "missing": (["no.jpg", "o.png"], "no.jpg: cannot be read"),
    "not an image": (["text.jpg", "o.png"], "text.jpg: damaged, or not an image"),
    "out of no kind": ([str(CAT), "o.xyz"], "o.xyz: OpenCV cannot write"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(sample, capfd, arguments: list[str], said: str):
    Path("text.jpg").write_text("hello")
    assert sample.main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err
    assert [path.name for path in Path().iterdir()] == ["text.jpg"]
