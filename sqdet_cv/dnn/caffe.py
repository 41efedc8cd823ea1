"""Networks in Caffe's format, which OpenCV 4 imports and OpenCV 5 does not."""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import ModelFileError
from .importers import import_network

# The last layers of the 2017 net and of our Caffe files: deltas (the third top of the first), class scores, confidence.
LAST_LAYERS = ("slice", "softmax", "sigmoid")


def has_caffe_importer() -> bool:
    """True with OpenCV 4."""
    return hasattr(cv2.dnn, "readNetFromCaffe")


def require_caffe_importer(who: str) -> None:
    """Raises ModelFileError on an OpenCV without the importer, and says what to do; `who` needs it."""
    if not has_caffe_importer():
        raise ModelFileError(
            f"{who}: OpenCV {cv2.__version__} has no Caffe importer, 5.0 removed it; use the ONNX export of the same "
            "model (python -m export onnx), or OpenCV 4 (pip install 'opencv-contrib-python<5')"
        )


def read_caffe(prototxt: bytes, caffemodel: bytes, name: str) -> cv2.dnn.Net:
    """A network from the bytes of the two files; `name` is for the error.

    Raises:
        ModelFileError: this is OpenCV 5, or the bytes are not such files.
    """
    require_caffe_importer(name)
    for kind, data in (("prototxt", prototxt), ("caffemodel", caffemodel)):
        if not data:
            raise ModelFileError(f"{name}: the {kind} is empty")
    buffers = [np.frombuffer(data, np.uint8) for data in (prototxt, caffemodel)]
    return import_network(lambda: cv2.dnn.readNetFromCaffe(*buffers), "Caffe", name)


def is_detector(net: cv2.dnn.Net) -> bool:
    """True if it has the last layers of the 2017 net."""
    return set(LAST_LAYERS) <= set(net.getLayerNames())


def forward_detector(net: cv2.dnn.Net, blob: np.ndarray) -> list[np.ndarray]:
    """deltas (N, A, 4), class scores (N, A, C) and confidence (N, A) of an (N, 3, height, width) blob."""
    net.setInput(blob)
    parts, (class_scores,), (confidence,) = net.forwardAndRetrieve(LAST_LAYERS)
    return [parts[2].reshape(len(blob), -1, 4), class_scores, confidence.reshape(len(blob), -1)]
