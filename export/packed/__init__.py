"""ONNX to the small `.sqdet` file."""

from .export import pack_file

__all__ = ["pack_file"]
