"""The class names of a command line."""

from __future__ import annotations

from pathlib import Path

from sqdet_cv.spec.detector_spec import VOC_LABELS

from .errors import TrainError

HELP = "class names, comma-separated, or a text file with one a line (default: the 20 of PASCAL VOC)"


def parse_labels(text: str | None) -> tuple[str, ...]:
    """ "cat,dog" or the path of a file with a name a line; None (or "") stands for VOC's classes.

    Raises:
        TrainError: a name is empty or stands there twice, or a file is named that is not there.
    """
    if not text:
        return VOC_LABELS
    if text.endswith(".txt"):
        if not Path(text).is_file():
            raise TrainError(f"--labels {text}: no such file")
        labels = tuple(line.strip() for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip())
    else:
        labels = tuple(label.strip() for label in text.split(","))
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise TrainError(f"--labels {text}: expected class names, none empty, each once")
    return labels
