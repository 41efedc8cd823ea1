"""A detector to an ONNX file for cv2.dnn, with its spec beside it."""

from __future__ import annotations

from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_all_atomically
from train.models import AnyNet

from ..check import EXACT, HALF, check_detector
from ..geometry import cropped
from ..graph.trace import trace
from ..report import ExportReport
from .model import INPUT, detector_model


def export_onnx(
    net: AnyNet, spec: ModelSpec, path: str | Path, *, head: str = "convdet", crop: int = 0, half: bool = False
) -> ExportReport:
    """Writes PATH and, beside it, the spec as NAME.json. The file is run in cv2.dnn before it is put in place.

    Args:
        net, spec: of `train.checkpoints.native.net_from_checkpoint`, or of `load_detector` for another input size.
        head: "convdet" (deltas, class_scores, confidence) or "decoded" (boxes_xyxy in input pixels, scores).
        crop: rings of grid cells to cut off.
        half: store the weights as float16: half the bytes.

    Raises:
        ExportError: OpenCV differs from PyTorch by more than `check.EXACT` (or HALF) allows; nothing is written.
    """
    path, spec = Path(path), cropped(spec, crop)
    onnx = detector_model(trace(net, INPUT), spec, head, crop=crop, half=half).SerializeToString()
    errors = check_detector(str(path), onnx, net, spec, head, crop, HALF if half else EXACT)
    write_all_atomically({path: onnx, path.with_suffix(".json"): spec.to_json().encode("utf-8")})
    return ExportReport(path, len(onnx), spec.num_anchors, *errors)
