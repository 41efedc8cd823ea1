"""Layers to ONNX in 8 bits: ranges, quantization, an exact reference, the check."""

from .export import export_int8

__all__ = ["export_int8"]
