"""Networks in Caffe's format, which OpenCV 4 imports and OpenCV 5 does not."""

from __future__ import annotations

import cv2
import numpy as np

from .errors import ModelFileError
from .quiet import quiet_opencv


def require_caffe_importer(who: str) -> None:
    """Raises ModelFileError on an OpenCV without the importer, and says what to do; `who` needs it."""
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise ModelFileError(
            f"{who}: OpenCV {cv2.__version__} has no Caffe importer, 5.0 removed it; use the ONNX export of the same "
            "model (python -m export onnx), or OpenCV 4 (pip install 'opencv-contrib-python<5')"
        )


def read_caffe(prototxt: bytes, caffemodel: bytes, name: str) -> cv2.dnn.Net:
    """A network from the bytes of the two files; `name` is for the error.

    Raises:
        ModelFileError: OpenCV 5, or not such files.
    """
    require_caffe_importer(name)
    for kind, data in (("prototxt", prototxt), ("caffemodel", caffemodel)):
        if not data:
            raise ModelFileError(f"{name}: the {kind} is empty")
    try:
        with quiet_opencv():
            net = cv2.dnn.readNetFromCaffe(np.frombuffer(prototxt, np.uint8), np.frombuffer(caffemodel, np.uint8))
    except cv2.error as error:
        reason = str(error.err or error).strip().splitlines()[0]
        raise ModelFileError(f"{name}: OpenCV {cv2.__version__} cannot read it as Caffe: {reason}") from None
    if net.empty():
        raise ModelFileError(f"{name}: OpenCV {cv2.__version__} finds no network in it")
    return net
