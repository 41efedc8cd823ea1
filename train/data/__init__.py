from .loader import DetectionData, make_loader
from .sample import VocSample
from .source import open_dataset

__all__ = ["DetectionData", "VocSample", "make_loader", "open_dataset"]
