"""What goes on inside a net: activations, dead units, weights, confidences."""

from .plots import diagnose

__all__ = ["diagnose"]
