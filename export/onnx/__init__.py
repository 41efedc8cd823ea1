"""Layers to ONNX."""

from .export import export_onnx

__all__ = ["export_onnx"]
