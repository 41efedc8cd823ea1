"""Every frame of every source through a detector, and on to images, videos, records and a window."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..detections import Detections
from ..errors import SqdetError
from .annotate import draw
from .sources import Frame, Source
from .window import QUIT_KEYS, Window
from .writers import Recorder, VideoFile, write_image

STILL_POLL_MS = 50  # between two looks at the keyboard while an image is shown


@dataclass
class SourceResult:
    """What was found in one source.

    Attributes:
        source: an image, video, camera or stream.
        frames: how many frames were searched.
        frame_count: how many the source has by its own account; None: it gives none.
        skipped: frames that were not searched: damaged ones of a file, or those that a camera or stream sent meanwhile.
        frames_with: class name to the number of frames that it was found in.
        detections: those of the last frame, so of an image all there are.
        detect_seconds: time the detector took, in all frames.
        seconds: time that reading, detecting, drawing and writing took.
        path: the annotated image or video that was written; None: none was.
        error: why the source could not be read to its end, or its result not be written; None: all went well.
    """

    source: Source
    frames: int = 0
    frame_count: int | None = None
    skipped: int = 0
    frames_with: Counter[str] = field(default_factory=Counter)
    detections: Detections = field(default_factory=lambda: Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0), ()))
    detect_seconds: float = 0.0
    seconds: float = 0.0
    path: Path | None = None
    error: SqdetError | None = None

    @property
    def fps(self) -> float:
        """Frames per second, reading and writing included; 0 before the first frame."""
        return self.frames / self.seconds if self.seconds else 0.0


def detect_sources(
    detector: Callable[[np.ndarray], Detections],
    sources: Sequence[Source],
    outputs: Sequence[Path | None] | None = None,
    *,
    recorders: Sequence[Recorder] = (),
    window: Window | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_frame: Callable[[SourceResult], None] = lambda result: None,
    reconnect: float | None = None,
) -> Iterator[SourceResult]:
    """Searches the sources one after the other; gives a result as soon as it is there.

    A source that fails does not cost the others: its result holds the error.

    Args:
        detector: a `Detector`, or any function from an (H, W, 3) uint8 BGR image to its `Detections`.
        sources: as `find_sources` gives them.
        outputs: where the annotated images and videos go, as `plan_outputs` gives it; None: nothing is written.
        recorders: each is told of every frame.
        window: shows every frame. An image stays until a key is pressed; one of QUIT_KEYS ends the search.
        stop: asked after every frame; True ends the search, and what was written until then is complete.
        on_frame: told after every frame how far its source is.
        reconnect: as of `Source.frames`.

    Raises:
        OSError: a result cannot be written.

    >>> sources = find_sources(["images"])                                              # doctest: +SKIP
    >>> for result in detect_sources(Detector(), sources, plan_outputs(sources, "out")):  # doctest: +SKIP
    ...     print(result.source, dict(result.frames_with), result.path)
    """
    search = _Search(detector, recorders, window, stop, on_frame, reconnect)
    return search.results(sources, outputs or [None] * len(sources))


@dataclass
class _Search:
    detector: Callable[[np.ndarray], Detections]
    recorders: Sequence[Recorder]
    window: Window | None
    stop: Callable[[], bool]
    on_frame: Callable[[SourceResult], None]
    reconnect: float | None
    quit: bool = field(default=False, init=False)  # asked for in the window

    def results(self, sources: Sequence[Source], outputs: Sequence[Path | None]) -> Iterator[SourceResult]:
        for source, output in zip(sources, outputs):
            if self._stopped():
                return
            result = SourceResult(source)
            try:
                self._search(result, output)
            except SqdetError as error:
                result.error = error
            yield result
            if source.is_still and result.error is None and self.window is not None:
                self._wait_for_key(self.window)

    def _search(self, result: SourceResult, output: Path | None) -> None:
        start = time.perf_counter()
        video: VideoFile | None = None
        # closing releases a camera now, not when Python collects it
        with closing(result.source.frames(self.reconnect, self._stopped)) as frames, ExitStack() as files:
            for frame in frames:
                self._detect(result, frame)
                if output is not None or self.window is not None:
                    drawn = draw(frame.image_bgr, result.detections)
                if output is not None and result.source.is_still:
                    write_image(output, drawn)
                elif output is not None:
                    video = video or files.enter_context(VideoFile(output, frame.fps))
                    video.write(drawn, frame.seconds)
                if self.window is not None:
                    self.window.show(drawn)
                    if not result.source.is_still:
                        self.quit = self.window.poll(1) in QUIT_KEYS
                result.frame_count = frame.frame_count
                result.skipped += frame.skipped
                result.seconds = time.perf_counter() - start
                self.on_frame(result)
                if self._stopped():
                    break
        result.path = video.path if video else output

    def _detect(self, result: SourceResult, frame: Frame) -> None:
        start = time.perf_counter()
        result.detections = self.detector(frame.image_bgr)
        result.detect_seconds += time.perf_counter() - start
        result.frames += 1
        result.frames_with.update(dict.fromkeys(result.detections.labels, 1))  # not a set: its order would change
        for record in self.recorders:
            record(str(result.source), frame, result.detections)

    def _wait_for_key(self, window: Window) -> None:
        key = None
        while key is None and not self.stop():
            key = window.poll(STILL_POLL_MS)
        self.quit = key in QUIT_KEYS

    def _stopped(self) -> bool:
        return self.quit or self.stop()
