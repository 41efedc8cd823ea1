"""Checkpoints to files that OpenCV reads; needs PyTorch and onnx, and runs from a checkout."""
