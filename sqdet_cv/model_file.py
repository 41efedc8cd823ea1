"""A model on disk: an ONNX file with its spec beside it, or the one that came with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from .errors import ModelFileError, SpecError
from .quiet import quiet_opencv
from .spec import ModelSpec

EMBEDDED = "sqdet_voc.onnx"


def load_model(path: str | Path | None = None) -> tuple[cv2.dnn.Net, ModelSpec]:
    """The network and spec of `NAME.onnx` with `NAME.json` beside it; None: the embedded model.

    Raises:
        ModelFileError: a file is missing or is not what it should be; names the file.
    """
    file = resources.files("sqdet_cv") / "models" / EMBEDDED if path is None else Path(path)
    name = f"embedded {EMBEDDED}" if path is None else str(path)
    if not file.is_file():
        raise ModelFileError(f"{name}: no such model file")
    if not file.name.endswith(".onnx"):
        raise ModelFileError(f"{name}: expected an .onnx file as `python -m export onnx` writes it")
    spec_name = file.name.removesuffix(".onnx") + ".json"
    try:
        spec = ModelSpec.from_json((file.parent / spec_name).read_text(encoding="utf-8"))
    except OSError:
        raise ModelFileError(f"{name}: no model spec {spec_name} beside it") from None
    except (SpecError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{name}: {spec_name}: {error}") from None
    return read_onnx(file.read_bytes(), name), spec


def read_onnx(data: bytes, name: str) -> cv2.dnn.Net:
    """A network from the bytes of an ONNX file; `name` is for the error."""
    if not data:
        raise ModelFileError(f"{name}: the file is empty")
    try:
        with quiet_opencv():  # a damaged file prints a page before it raises
            net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    except cv2.error as error:
        reason = str(error.err or error).strip().splitlines()[0]
        raise ModelFileError(f"{name}: OpenCV {cv2.__version__} cannot read it as ONNX: {reason}") from None
    if net.empty():
        raise ModelFileError(f"{name}: OpenCV {cv2.__version__} finds no network in it")
    return net
