"""Layers to ONNX."""
