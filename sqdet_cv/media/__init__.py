"""Pixels in and out: images, videos, cameras and streams, drawing, windows."""

from .annotate import FONT, draw, write_text
from .find import find_sources
from .pipeline import SourceResult, detect_sources
from .sources import Frame, Source, decode_image, read_image
from .window import QUIT_KEYS, Window
from .writers import VideoFile, json_entry, plan_outputs, write_image

__all__ = [
    "FONT",
    "QUIT_KEYS",
    "Frame",
    "Source",
    "SourceResult",
    "VideoFile",
    "Window",
    "decode_image",
    "detect_sources",
    "draw",
    "find_sources",
    "json_entry",
    "plan_outputs",
    "read_image",
    "write_image",
    "write_text",
]
