"""ONNX to the small `.sqdet` file."""
