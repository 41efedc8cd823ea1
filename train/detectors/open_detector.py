"""Any model file as a detector, image in and `Detections` out, so that the same code measures and uses them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sqdet_cv.boxes.postprocess import NMS_THRESHOLD
from sqdet_cv.detections import Detections
from sqdet_cv.detector import Detector

from ..checkpoints.native import net_from_checkpoint
from ..common.errors import TrainError
from . import darknet
from .darknet import DarknetDetector
from .fusion import FusedDetector
from .pytorch import TorchDetector

AnyDetector = Callable[[np.ndarray], Detections]

MODEL_HELP = (
    "a checkpoint (.pt), an .onnx, .caffemodel or .sqdet, or a Darknet .cfg; or several, comma-separated, whose boxes "
    "are fused"
)
MIRROR_HELP = "fuse also what is found in the mirror image"


def open_detector(
    path: str | Path, labels: Sequence[str], score_threshold: float, nms_threshold: float | None = None
) -> AnyDetector:
    """A detector by the kind of file: .pt (checkpoint), .cfg (Darknet), or an exported model for `sqdet_cv.Detector`.

    Args:
        nms_threshold: None for the usual one of its kind: 0.4 for ours, 0.45 for Darknet.

    Raises:
        TrainError: the file is missing or of no known kind, or its labels are not `labels`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if nms_threshold is None:
        nms_threshold = darknet.NMS_THRESHOLD if suffix == ".cfg" else NMS_THRESHOLD
    if suffix == ".cfg":
        return DarknetDetector(path, labels, score_threshold, nms_threshold)
    if suffix == ".pt":
        detector = TorchDetector(*net_from_checkpoint(path), score_threshold, nms_threshold)
    elif suffix in (".onnx", ".caffemodel", ".sqdet"):
        detector = Detector(path, score_threshold=score_threshold, nms_threshold=nms_threshold)
    else:
        raise TrainError(f"{path}: a detector is a .pt checkpoint, an .onnx, .caffemodel or .sqdet, or a Darknet .cfg")
    if detector.spec.labels != tuple(labels):
        raise TrainError(f"{path}: its labels are {', '.join(detector.spec.labels)}; expected {', '.join(labels)}")
    return detector


def open_together(
    paths: str, labels: Sequence[str], score_threshold: float, nms_threshold: float | None = None, mirror: bool = False
) -> AnyDetector:
    """The detector of one path, or of several, comma-separated, fused; as `open_detector` and `FusedDetector`."""
    detectors = [open_detector(path, labels, score_threshold, nms_threshold) for path in paths.split(",")]
    return FusedDetector(detectors, mirror) if mirror or len(detectors) > 1 else detectors[0]


def file_names(paths: str) -> str:
    """The paths that `open_together` takes without their folders, to be read: "a.cfg, b.cfg"."""
    return ", ".join(Path(path).name for path in paths.split(","))
