from .formats.open_dataset import open_dataset
from .loader import DetectionData, make_loader
from .sample import VocSample

__all__ = ["DetectionData", "VocSample", "make_loader", "open_dataset"]
