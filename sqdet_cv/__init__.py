"""sqdet-cv: a compact object detector that runs wherever cv2.dnn runs."""

from .detections import Detection, Detections
from .detector import Detector
from .draw import draw
from .errors import BackendError, ModelFileError, SourceError, SpecError, SqdetError
from .infer_bbox import InferBbox
from .spec import VOC_LABELS, ModelSpec
from .version import __version__

__all__ = [
    "BackendError",
    "Detection",
    "Detections",
    "Detector",
    "InferBbox",
    "ModelFileError",
    "ModelSpec",
    "SourceError",
    "SpecError",
    "SqdetError",
    "VOC_LABELS",
    "__version__",
    "draw",
]
