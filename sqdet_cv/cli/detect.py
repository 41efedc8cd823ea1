"""`sqdet detect`: every frame of every source through the detector, and on to the outputs that were asked for."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..detections import Detections
from ..detector import Detector
from ..errors import SqdetError
from ..media.annotate import draw
from ..media.sources import Frame, Source, find_sources
from ..media.window import QUIT_KEYS, Window
from ..media.writers import Recorder, VideoFile, csv_recorder, json_recorder, plan_outputs, write_image
from ..util.interrupt import CtrlC

PROGRESS_SECONDS = 0.2  # between two updates of a terminal's line
LOG_PROGRESS_SECONDS = 10.0  # between two lines where stderr is a file


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; whatever can be known to be wrong is said before the first image is read."""
    _check_outputs(arguments)
    sources = find_sources(arguments.sources)
    outputs = plan_outputs(sources, arguments.out) if arguments.out else [None] * len(sources)
    detector = Detector(
        arguments.model, score_threshold=arguments.score, nms_threshold=arguments.nms, backend=arguments.backend
    )
    window = Window("sqdet") if arguments.show else None
    machine_on_stdout = "-" in (arguments.json, arguments.csv)
    with ExitStack() as stack:
        ctrl_c = stack.enter_context(CtrlC())
        if window is not None:
            stack.callback(window.close)
        recorders = [
            stack.enter_context(recorder(target))
            for recorder, target in ((json_recorder, arguments.json), (csv_recorder, arguments.csv))
            if target is not None
        ]
        human = sys.stderr if machine_on_stdout else sys.stdout
        job = _Job(detector, recorders, window, ctrl_c, None if arguments.quiet else human)
        failed = job.process(sources, outputs)
    if ctrl_c.pressed:
        print("sqdet: interrupted; what was done until then is written", file=sys.stderr)
        return 130
    return 2 if failed else 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    if arguments.json is not None and arguments.json == arguments.csv:
        raise SqdetError(f"--json and --csv both write to {arguments.json!r}; expected two targets")
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise SqdetError(f"--out {arguments.out}: is a file; expected a folder")


@dataclass
class _Job:
    """The detector and the outputs of one run."""

    detector: Detector
    recorders: Sequence[Recorder]
    window: Window | None
    ctrl_c: CtrlC
    human: TextIO | None  # where lines for people go; None: nowhere
    quit: bool = field(default=False, init=False)  # asked for in the window

    @property
    def stopped(self) -> bool:
        return self.quit or self.ctrl_c.pressed

    def process(self, sources: Sequence[Source], outputs: Sequence[Path | None]) -> int:
        """Handles the sources one after the other; returns how many of them failed."""
        failed = 0
        for source, output in zip(sources, outputs):
            if self.stopped:
                break
            try:
                if source.is_still:
                    self._still(source, output)
                else:
                    self._moving(source, output)
            except SqdetError as error:  # one damaged image must not cost the rest of a folder
                print(f"sqdet: {error}", file=sys.stderr)
                failed += 1
        return failed

    def _still(self, source: Source, output: Path | None) -> None:
        for frame in source.frames():
            detections, seconds = self._detect(source, frame)
            if output is not None:
                write_image(output, draw(frame.image_bgr, detections))
            self._say(f"{source}: {_describe(detections)} ({seconds * 1000:.0f} ms)")
            if self.window is not None:
                self.window.show(draw(frame.image_bgr, detections))
                self._wait_for_key()

    def _moving(self, source: Source, output: Path | None) -> None:
        seen_in: Counter[str] = Counter()  # frames in which a class was seen
        progress = _Progress(source, visible=self.human is not None)
        frame = video = None
        frames = source.frames()
        try:
            with ExitStack() as stack:
                for frame in frames:
                    if output is not None and video is None:
                        video = stack.enter_context(VideoFile(output, frame.fps))
                    detections, _ = self._detect(source, frame)
                    seen_in.update(dict.fromkeys(detections.labels, 1))  # once a frame, in a steady order
                    if video is not None or self.window is not None:
                        drawn = draw(frame.image_bgr, detections)
                    if video is not None:
                        video.write(drawn)
                    if self.window is not None:
                        self.window.show(drawn)
                        self.quit = self.window.poll(1) in QUIT_KEYS
                    progress.update(frame)
                    if self.stopped:
                        break
        finally:
            frames.close()  # releases the camera now, not when Python collects it
            progress.clear()
        if frame is not None:
            self._say(_summary(source, frame, progress.fps, seen_in, video.path if video else None))

    def _detect(self, source: Source, frame: Frame) -> tuple[Detections, float]:
        """What is in the frame, also told to the recorders, and the seconds that finding it took."""
        start = time.perf_counter()
        detections = self.detector(frame.image_bgr)
        seconds = time.perf_counter() - start
        for record in self.recorders:
            record(str(source), frame.index, frame.image_bgr, detections)
        return detections, seconds

    def _wait_for_key(self) -> None:
        key = None
        while self.window is not None and key is None and not self.ctrl_c.pressed:
            key = self.window.poll(50)
        self.quit = key in QUIT_KEYS

    def _say(self, line: str) -> None:
        if self.human is not None:
            print(line, file=self.human, flush=True)


class _Progress:
    """A line about a video on stderr: rewritten in place on a terminal, a new one now and then in a log."""

    def __init__(self, source: Source, visible: bool) -> None:
        self._source = source
        self._visible = visible
        self._terminal = sys.stderr.isatty()
        self._period = PROGRESS_SECONDS if self._terminal else LOG_PROGRESS_SECONDS
        self._start = self._last = time.perf_counter()
        self._width = 0
        self.fps = 0.0

    def update(self, frame: Frame) -> None:
        now = time.perf_counter()
        self.fps = (frame.index + 1) / (now - self._start)
        if not self._visible or now - self._last < self._period:
            return
        self._last = now
        of_all = f"/{frame.frame_count}" if frame.frame_count else ""
        line = f"{self._source}: frame {frame.index + 1}{of_all}, {self.fps:.1f} fps"
        self._width = len(line)
        print(f"\r{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._terminal and self._width:
            print("\r" + " " * self._width, end="\r", file=sys.stderr, flush=True)


def _describe(detections: Detections) -> str:
    """ "1 cat 0.91, 2 dog 0.88": per class the number and the best score, best class first."""
    counts = Counter(detections.labels)  # keeps the order of first appearance, and detections are best first
    best: dict[str, float] = {}
    for found in detections:
        best.setdefault(found.label, found.score)
    return ", ".join(f"{count} {label} {best[label]:.2f}" for label, count in counts.items()) or "nothing"


def _summary(source: Source, last: Frame, fps: float, seen_in: Counter, written: Path | None) -> str:
    """ "clip.mp4: 30 frames at 25.1 fps; cat in 28, dog in 3 -> out/clip.mp4"."""
    frames = last.index + 1
    of_all = f" of {last.frame_count}" if last.frame_count and last.frame_count != frames else ""
    classes = ", ".join(f"{label} in {count}" for label, count in seen_in.most_common()) or "nothing"
    arrow = f" -> {written}" if written else ""
    return f"{source}: {frames}{of_all} frames at {fps:.1f} fps; {classes}{arrow}"
