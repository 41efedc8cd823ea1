"""What a model file is, ours or not, and whether this OpenCV runs it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..classifier import Classifier
from ..detector import HEADS, Detector
from ..dnn.caffe import require_caffe_importer
from ..dnn.model_file import ModelFile, read_model_file
from ..dnn.outline import Outline, caffe_outline, onnx_outline
from ..errors import ModelFileError, SqdetError
from ..spec.classifier_spec import ClassifierSpec
from ..spec.detector_spec import ModelSpec
from ..util.log_level import quiet_opencv
from ..util.opencv_errors import error_text

KINDS = {ModelSpec: "detector", ClassifierSpec: "classifier", None: "foreign"}
MOST_VALUES = 1 << 26  # of an input that is tried: 4096 x 4096 pixels of 4 channels


def describe_model(path: str | Path) -> dict[str, Any]:
    """What an .onnx, .sqdet or .caffemodel file is, as types that JSON has. Runs it once, on zeros.

    Returns:
        name, bytes: of the file; kind: "detector", "classifier" or "foreign" (no spec of ours); head: a name of
        `sqdet_cv.detector.HEADS`, else the names of the outputs; input_wh, in pixels, and labels: None where they are
        not known; parameters; opencv: its version; runs: True, False, or None where it was not tried; reason: why
        it does not run or was not tried, else None.

    Raises:
        ModelFileError: the file is missing or no model, or its JSON is that of another.

    >>> describe_model("yolo.onnx")["kind"]  # doctest: +SKIP
    'foreign'
    """
    model = read_model_file(path)
    try:
        outline = caffe_outline(model.data) if model.is_caffe else onnx_outline(model.data)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    spec = model.spec(model.spec_type) if model.spec_type else None
    head = next((head for head, outputs in HEADS.items() if set(outputs) <= set(outline.outputs)), None)
    runs, reason = _try(model, outline)
    return {
        "name": str(path),
        "bytes": Path(path).stat().st_size,
        "kind": KINDS[model.spec_type],
        "head": head or ", ".join(outline.outputs),
        "input_wh": list(spec.input_wh) if spec else _pixels(outline),
        "labels": list(spec.labels) if spec else None,
        "parameters": outline.parameters,
        "opencv": cv2.__version__,
        "runs": runs,
        "reason": reason,
    }


def _try(model: ModelFile, outline: Outline) -> tuple[bool | None, str | None]:
    """Whether it runs, and why not. Ours must run as ours: its outputs have to fit its spec."""
    try:
        if model.spec_type is ModelSpec:
            Detector(str(model.file), backend="opencv")
        elif model.spec_type is ClassifierSpec and not model.is_caffe:
            Classifier(str(model.file), backend="opencv")
        else:
            return _try_foreign(model, outline)
    except SqdetError as error:
        return False, str(error).removeprefix(f"{model.name}: ")
    return True, None


def _try_foreign(model: ModelFile, outline: Outline) -> tuple[bool | None, str | None]:
    if model.is_caffe:
        require_caffe_importer(model.name)
    net = model.network()
    sizes = [size for shape in outline.inputs.values() for size in shape]
    if not sizes or None in sizes or math.prod(size or 0 for size in sizes) > MOST_VALUES:
        return None, "it is read, but not tried: the file gives no size for its input"
    try:
        with quiet_opencv():
            for name, shape in outline.inputs.items():
                net.setInput(np.zeros([size or 0 for size in shape], np.float32), name)
            net.forward(list(outline.outputs))
    except cv2.error as error:
        raise ModelFileError(f"{model.name}: OpenCV cannot run it: {error_text(error)}") from None
    return True, None


def _pixels(outline: Outline) -> list[int] | None:
    """Width and height, where the one input is an image, (N, C, height, width)."""
    shapes = list(outline.inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][2] is None or shapes[0][3] is None:
        return None
    return [shapes[0][3], shapes[0][2]]
