"""A compact object detector that runs wherever cv2.dnn runs."""

from .classifier import Classification, Classifier
from .compat.detection_model import SqueezeDetModel
from .compat.infer_bbox import InferBbox
from .detections import Detection, Detections
from .detector import Detector
from .errors import BackendError, ModelFileError, SourceError, SpecError, SqdetError
from .media.annotate import draw
from .spec.classifier_spec import ClassifierSpec
from .spec.detector_spec import VOC_LABELS, ModelSpec
from .version import __version__

__all__ = [
    "BackendError",
    "Classification",
    "Classifier",
    "ClassifierSpec",
    "Detection",
    "Detections",
    "Detector",
    "InferBbox",
    "ModelFileError",
    "ModelSpec",
    "SourceError",
    "SpecError",
    "SqdetError",
    "SqueezeDetModel",
    "VOC_LABELS",
    "__version__",
    "draw",
]
