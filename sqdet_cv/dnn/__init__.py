"""All that touches `cv2.dnn`: model files, backends, the network's input."""

from .backends import BACKENDS, Backend
from .model_file import load_model, unpack_file
from .packed import unpack

__all__ = ["BACKENDS", "Backend", "load_model", "unpack", "unpack_file"]
