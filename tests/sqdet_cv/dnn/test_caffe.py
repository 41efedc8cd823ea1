"""Caffe files at run time: what is wrong with them, and an OpenCV that cannot read them."""

import cv2
import pytest

from sqdet_cv import Detector, ModelFileError
from sqdet_cv.dnn.caffe import read_caffe

needs_importer = pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 reads no Caffe")


def test_without_the_importer_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe", raising=False)  # on 5.x it is not there anyway
    (tmp_path / "net.caffemodel").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"net\.caffemodel: OpenCV .* has no Caffe importer.*export onnx"):
        Detector(tmp_path / "net.caffemodel")


@needs_importer
@pytest.mark.parametrize(
    ("prototxt", "caffemodel", "said"),
    [
        pytest.param(b"", b"x", "the prototxt is empty", id="empty prototxt"),
        pytest.param(b"x", b"", "the caffemodel is empty", id="empty caffemodel"),
        pytest.param(b"layer {", b"x", "cannot read it as Caffe", id="not a prototxt"),
    ],
)
def test_damaged_files_are_named(prototxt, caffemodel, said):
    with pytest.raises(ModelFileError, match=f"my net: .*{said}"):
        read_caffe(prototxt, caffemodel, "my net")


@needs_importer
def test_files_beside_it_are_missed_by_name(tmp_path):
    (tmp_path / "net.caffemodel").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"no model spec net\.json beside it"):
        Detector(tmp_path / "net.caffemodel")
