"""What `sqdet detect` writes: annotated images and videos, JSON, CSV. Every file appears whole or not at all."""

from __future__ import annotations

import csv
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from ..detections import Detections
from ..errors import SqdetError
from ..util.atomic_files import atomic_path, write_bytes_atomically
from ..util.opencv_text import is_unicode
from ..util.stderr import muted_stderr
from .sources import DEFAULT_FPS, Frame, Source

# Encoders that OpenCV always has; an image of another kind is written as PNG.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

# Tried in this order: every pip wheel has the first, an OpenCV without FFmpeg only the second.
VIDEO_CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))

MOST_REPEATS = 100_000  # of one frame in a video, however long the source says that it lasts: an hour at 25 a second

CSV_COLUMNS = ("source", "frame", "seconds", "label", "class_id", "score", "x1", "y1", "x2", "y2")

Recorder = Callable[[str, Frame, Detections], None]


def plan_outputs(sources: Sequence[Source], folder: Path) -> list[Path]:
    """Where each source's result goes: its name below `folder`, a video's without suffix; numbered where two meet.

    Raises:
        SqdetError: a result would overwrite one of the sources.
    """
    originals = {Path(str(source.address)).resolve() for source in sources if not source.is_live}
    planned: dict[str, Path] = {}
    for source in sources:
        name = folder / source.name
        stem = name if source.is_live else name.with_suffix("")
        suffix = ""
        if source.is_still:
            suffix = name.suffix if name.suffix.lower() in IMAGE_SUFFIXES else ".png"
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        paths = (Path(f"{stem}{number}{suffix}") for number in numbers)
        path = next(path for path in paths if str(path).lower() not in planned)  # many file systems ignore case
        planned[str(path).lower()] = path
        for target in [path] if source.is_still else [Path(f"{path}{suffix}") for suffix, _ in VIDEO_CODECS]:
            if target.resolve() in originals:
                raise SqdetError(f"{target}: the result would overwrite a source; expected another folder for --out")
    return list(planned.values())


def write_image(path: Path, image_bgr: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 BGR image in the format of the suffix.

    Raises:
        SqdetError: OpenCV cannot encode it so.
        OSError: the file cannot be written.
    """
    try:
        with muted_stderr():
            ok, data = cv2.imencode(path.suffix, image_bgr)
    except cv2.error:
        ok = False
    if not ok:
        height, width = image_bgr.shape[:2]
        raise SqdetError(f"{path}: OpenCV cannot write a {width} x {height} image as {path.suffix}")
    write_bytes_atomically(path, data.tobytes())


class VideoFile:
    """A video that appears at `stem` + ".mp4" (".avi" where this OpenCV cannot write MP4) when its block ends well.

    The first frame gives the size, made even by a repeated row or column, as codecs want it; later ones are fitted.
    Without frames there is no file.

    Args:
        fps: frames per second; None: 25.

    Attributes:
        path: the file; None before the first frame.

    >>> with VideoFile(Path("out/clip"), 25.0) as video:  # doctest: +SKIP
    ...     video.write(image_bgr)
    """

    def __init__(self, stem: Path, fps: float | None) -> None:
        self.path: Path | None = None  # known after the first frame
        self._stem, self._fps = stem, fps or DEFAULT_FPS
        self._files = ExitStack()
        self._writer: Any = None  # a cv2.VideoWriter, once the size is known
        self._size_wh = (0, 0)
        self._count, self._start, self._last = 0, 0.0, np.empty(0)  # frames written, seconds of the first, the last

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.release()  # writes the index, so before the move
            if error[0] is None and not self._is_whole():  # OpenCV does not say that a disk is full
                failure = SqdetError(f"{self.path}: the video could not be written to its end; is the disk full?")
                self._files.__exit__(SqdetError, failure, None)
                raise failure
        self._files.__exit__(*error)  # type: ignore[arg-type]  # what Python hands to __exit__

    def _is_whole(self) -> bool:
        with muted_stderr():
            capture = cv2.VideoCapture(str(self._temporary))
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        return frames >= self._count

    def write(self, image_bgr: np.ndarray, seconds: float | None = None) -> None:
        """Appends a frame.

        Args:
            seconds: when it was seen. It then comes at that time after the first one: the frame before it is repeated,
                or it is left out where there are more than the video's `fps`. None: it is the next frame.

        Raises:
            SqdetError: no codec opens.
        """
        size_wh = image_bgr.shape[1::-1]
        if self._writer is None:
            self._open((size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2))
            self._start = seconds or 0.0
        if size_wh != self._size_wh:  # cv2 would drop it without a word
            image_bgr = self._fitted(image_bgr)
        if seconds is not None:
            due = round((seconds - self._start) * self._fps)
            if self._count > due:
                return
            for _ in range(min(due - self._count, MOST_REPEATS)):
                self._append(self._last)
        self._append(image_bgr)

    def _append(self, image_bgr: np.ndarray) -> None:
        self._writer.write(image_bgr)
        self._last = image_bgr
        self._count += 1

    def _fitted(self, image_bgr: np.ndarray) -> np.ndarray:
        missing = self._size_wh[0] - image_bgr.shape[1], self._size_wh[1] - image_bgr.shape[0]
        if set(missing) <= {0, 1}:
            return cv2.copyMakeBorder(image_bgr, 0, missing[1], 0, missing[0], cv2.BORDER_REPLICATE)
        return cv2.resize(image_bgr, self._size_wh)

    def _open(self, size_wh: tuple[int, int]) -> None:
        if not is_unicode(str(Path(os.path.realpath(self._stem)).parent)):  # the file gets its own name afterwards
            raise SqdetError(f"{self._stem}: a folder whose name is not UTF-8; OpenCV writes no video there")
        for suffix, codec in VIDEO_CODECS:
            path = Path(f"{self._stem}{suffix}")
            attempt = ExitStack()
            temporary = attempt.enter_context(atomic_path(path))
            with muted_stderr():
                fourcc = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined]  # missing in OpenCV's stubs
                writer = cv2.VideoWriter(str(temporary), fourcc, self._fps, size_wh)
            if writer.isOpened():
                self.path, self._writer, self._size_wh, self._temporary = path, writer, size_wh, temporary
                self._files = attempt
                return
            # Closed as if it had failed, so that the empty file is not moved into place.
            attempt.__exit__(SqdetError, SqdetError(), None)
        raise SqdetError(f"{self._stem}: this OpenCV opens no video writer (tried mp4v and MJPG)")


def _nothing() -> None:
    """Nobody has to know."""


def json_entry(source: str, frame: Frame, detections: Detections) -> dict[str, Any]:
    """What was found in a frame, as types that JSON has: source, frame, seconds, width, height, detections; a detection
    has label, class_id, score and box_xyxy in pixels."""
    height, width = frame.image_bgr.shape[:2]
    found = [
        {
            "label": one.label,
            "class_id": one.class_id,
            "score": round(one.score, 4),
            "box_xyxy": [round(value, 2) for value in one.box_xyxy],
        }
        for one in detections
    ]
    entry = {"source": source, "frame": frame.index, "seconds": round(frame.seconds, 3)}
    return entry | {"width": width, "height": height, "detections": found}


@contextmanager
def json_recorder(target: str, on_gone: Callable[[], None] = _nothing) -> Iterator[Recorder]:
    """Gives `record(source, frame, detections)`; writes a JSON array, one `json_entry` and line per frame.

    `target` is a path, or "-" for stdout; `on_gone` is called where nobody reads that any more.
    """
    with _text_output(target, on_gone) as file:
        separator = "[\n"

        def record(source: str, frame: Frame, detections: Detections) -> None:
            nonlocal separator
            file.write(separator + json.dumps(json_entry(source, frame, detections)))
            separator = ",\n"

        yield record
        file.write("[]\n" if separator == "[\n" else "\n]\n")


@contextmanager
def csv_recorder(target: str, on_gone: Callable[[], None] = _nothing) -> Iterator[Recorder]:
    """As `json_recorder`, but CSV: a header, CSV_COLUMNS, then a row for each detection."""
    with _text_output(target, on_gone) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)

        def record(source: str, frame: Frame, detections: Detections) -> None:
            start = [source, frame.index, round(frame.seconds, 3)]
            for one in detections:
                box = [round(value, 2) for value in one.box_xyxy]
                writer.writerow([*start, one.label, one.class_id, round(one.score, 4), *box])

        yield record


class _Stdout:
    """Standard output, which may be a pipe that its reader closes: what else is being written is still to be ended."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except BrokenPipeError:
            self._on_gone()

    def flush(self) -> None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            self._on_gone()


@contextmanager
def _text_output(target: str, on_gone: Callable[[], None]) -> Iterator[TextIO | _Stdout]:
    if target == "-":
        stdout = _Stdout(on_gone)
        yield stdout
        stdout.flush()
        return
    with (
        atomic_path(target) as temporary,
        # surrogateescape: a file name that is not UTF-8 comes back as the bytes it was
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file
