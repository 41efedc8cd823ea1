"""What an export says of the file it has written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportReport:
    """A detector's file, and how far OpenCV's answers lie from PyTorch's, at most, over all anchors of a few images.

    Attributes:
        path: the file. bytes: its size.
        anchors: how many rows a head has.
        score_error: of confidence times class score. box_error: of a corner, in input pixels.
    """

    path: Path
    bytes: int
    anchors: int
    score_error: float
    box_error: float

    def __str__(self) -> str:
        return f"{self.score_error:.1e} in scores and {self.box_error:.1e} px in boxes"
