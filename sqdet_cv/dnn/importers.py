"""Imports a network, whatever its format."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from ..errors import ModelFileError
from ..util.log_level import quiet_opencv
from ..util.opencv_errors import error_text


def import_network(importer: Callable[[], cv2.dnn.Net], kind: str, name: str) -> cv2.dnn.Net:
    """The network that `importer` reads, with OpenCV's errors turned into ours.

    Args:
        kind, name: the format, such as "ONNX", and the file, for the error.

    Raises:
        ModelFileError: OpenCV cannot read it, or finds no network in it.
    """
    try:
        with quiet_opencv():  # a damaged file prints a page before it raises
            net = importer()
    except cv2.error as error:
        raise ModelFileError(
            f"{name}: OpenCV {cv2.__version__} cannot read it as {kind}: {error_text(error)}"
        ) from None
    if net.empty():
        raise ModelFileError(f"{name}: OpenCV {cv2.__version__} finds no network in it")
    return net
