"""Layers to ONNX in 8 bits: ranges, quantization, an exact reference, the check."""
