from .loader import DetectionData, make_loader
from .voc import VocSample, load_voc

__all__ = ["DetectionData", "VocSample", "load_voc", "make_loader"]
