"""Layers to Caffe, with three heads, and the check of what was written."""

from .export import export_caffe

__all__ = ["export_caffe"]
