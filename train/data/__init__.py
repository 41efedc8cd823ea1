"""Labelled images to batches: loading, anchor assignment, previews."""

from .formats.open_dataset import load_dataset
from .loader import DetectionData, make_loader
from .sample import Sample

__all__ = ["DetectionData", "Sample", "make_loader", "load_dataset"]
