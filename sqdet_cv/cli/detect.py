"""`sqdet detect`: finds objects in images, videos, cameras and streams."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from ..boxes.postprocess import NMS_THRESHOLD, SCORE_THRESHOLD
from ..detections import Detections
from ..detector import Detector
from ..dnn.backends import BACKENDS
from ..errors import SqdetError
from ..media.find import find_sources
from ..media.jsonl import jsonl_recorder, read_progress
from ..media.pipeline import SourceResult, detect_sources
from ..media.window import Window
from ..media.writers import csv_recorder, json_recorder, plan_outputs
from ..util.interrupt import CtrlC

PROGRESS_SECONDS = 0.2  # between two updates of a terminal's line
LOG_PROGRESS_SECONDS = 10.0  # between two lines where stderr is a file


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command to those of `sqdet`."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images, videos, cameras and streams",
        description="Finds objects and prints a line for each image or video.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image, folder, glob, video, camera number or stream URL; - for an image from stdin",
    )
    add(
        "--model",
        type=Path,
        metavar="PATH",
        help="exported .onnx or .sqdet, or .caffemodel with its .json beside it (default: the embedded model)",
    )
    add(
        "--score",
        type=float,
        default=SCORE_THRESHOLD,
        metavar="S",
        help="least score of a detection, 0 to 1 (default: %(default)s)",
    )
    add(
        "--nms",
        type=float,
        default=NMS_THRESHOLD,
        metavar="IOU",
        help="overlap at which the weaker box goes (default: %(default)s)",
    )
    names = ", ".join(backend.name for backend in BACKENDS)
    add("--backend", default="auto", help=f"auto, {names}; `sqdet info` says which are here (default: auto)")
    add("--out", type=_folder, metavar="DIR", help="write annotated images and videos here")
    add("--json", metavar="FILE", help="write detections as JSON; - for stdout")
    add("--csv", metavar="FILE", help="write detections as CSV; - for stdout")
    add("--jsonl", metavar="FILE", help="write a line of JSON for each frame as soon as it was searched")
    add("--resume", action="store_true", help="with --jsonl: go on with a job that was killed")
    add("--reconnect", type=_seconds, metavar="S", help="open a camera or stream that ended again after S seconds")
    add("--show", action="store_true", help="show results in a window; q or Esc ends, any other key goes on")
    add("--quiet", action="store_true", help="print errors only")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command. What is wrong with the arguments is said before the first image is read."""
    _check_outputs(arguments)
    sources = find_sources(arguments.sources)
    outputs: list[Path | None] = [None] * len(sources)
    if arguments.out:
        outputs = list(plan_outputs(sources, arguments.out))
    length = 0
    if arguments.resume and os.path.exists(arguments.jsonl):
        progress_before = read_progress(arguments.jsonl, sources)
        left = [i for i, source in enumerate(sources) if str(source) not in progress_before.done]
        sources, outputs, length = [sources[i] for i in left], [outputs[i] for i in left], progress_before.length
    detector = Detector(
        arguments.model, score_threshold=arguments.score, nms_threshold=arguments.nms, backend=arguments.backend
    )
    window = Window("sqdet") if arguments.show else None
    progress = _Progress(visible=not arguments.quiet)
    human = sys.stderr if "-" in (arguments.json, arguments.csv) else sys.stdout
    gone = threading.Event()  # set when nobody reads our output any more: `sqdet detect images | head`
    with ExitStack() as stack:
        ctrl_c = stack.enter_context(CtrlC())
        if window is not None:
            stack.callback(window.close)
        recorders = [
            stack.enter_context(recorder(target, gone.set))
            for recorder, target in ((json_recorder, arguments.json), (csv_recorder, arguments.csv))
            if target is not None
        ]
        if arguments.jsonl:
            recorders.append(stack.enter_context(jsonl_recorder(arguments.jsonl, length)))
        stack.callback(progress.clear)
        results = detect_sources(
            *(detector, sources, outputs),
            recorders=recorders,
            window=window,
            stop=lambda: ctrl_c.pressed or gone.is_set(),
            on_frame=progress.update,
            reconnect=arguments.reconnect,
        )
        failed = _report(results, progress, None if arguments.quiet else human, gone.set)
    if gone.is_set():
        raise BrokenPipeError  # all files are whole now
    if ctrl_c.pressed:
        print("sqdet: interrupted; what was done until then is written", file=sys.stderr)
        return ctrl_c.exit_code
    return 2 if failed else 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    named = {"--json": arguments.json, "--csv": arguments.csv, "--jsonl": arguments.jsonl}
    seen: dict[str, str] = {}
    for option, target in named.items():
        if target is None:
            continue
        if not target:
            raise SqdetError(f"{option}: an empty name; expected a file")
        place = target if target == "-" else os.path.realpath(target)
        if place in seen:
            raise SqdetError(f"{seen[place]} and {option} both write to {target!r}; expected two targets")
        seen[place] = option
    if arguments.resume and (not arguments.jsonl or arguments.json or arguments.csv):
        raise SqdetError("--resume: goes with --jsonl, and without --json and --csv, which would hold the rest alone")
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise SqdetError(f"--out {arguments.out}: is a file; expected a folder")


def _report(
    results: Iterable[SourceResult], progress: _Progress, human: TextIO | None, on_gone: Callable[[], None]
) -> int:
    """Prints a line for each source, none where `human` is None; returns how many failed or had damaged frames."""
    failed = 0
    for result in results:
        progress.clear()
        if result.error is not None:
            print(f"sqdet: {result.error}", file=sys.stderr)
        failed += result.error is not None or bool(result.skipped and not result.source.is_live)
        if human is not None and (result.error is None or (result.source.is_live and result.frames)):
            try:
                print(_describe(result), file=human, flush=True)
            except BrokenPipeError:
                on_gone()
    return failed


def _folder(text: str) -> Path:
    if not text:  # a shell variable that is not set; Path would take it for the current folder
        raise argparse.ArgumentTypeError("an empty name; expected a folder")
    return Path(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected seconds, above 0")
    return value


class _Progress:
    """A line about a video on stderr: rewritten in place on a terminal, a new one now and then in a log."""

    def __init__(self, visible: bool) -> None:
        self._visible = visible
        self._terminal = sys.stderr.isatty()
        self._period = PROGRESS_SECONDS if self._terminal else LOG_PROGRESS_SECONDS
        self._last = 0.0  # seconds of the source at which it was written
        self._width = 0

    def update(self, result: SourceResult) -> None:
        if result.frames == 1:
            self._last = 0.0
        if not self._visible or result.source.is_still or result.seconds - self._last < self._period:
            return
        self._last = result.seconds
        of_all = f"/{result.frame_count}" if result.frame_count else ""
        line = f"{result.source}: frame {result.frames}{of_all}, {result.fps:.1f} fps"
        self._width = len(line)
        print(f"\r{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._terminal and self._width:
            print("\r" + " " * self._width, end="\r", file=sys.stderr, flush=True)
        self._width = 0


def _describe(result: SourceResult) -> str:
    if result.source.is_still:
        return f"{result.source}: {_objects(result.detections)} ({result.detect_seconds * 1000:.0f} ms)"
    return f"{result.source}: {_summary(result)}"


def _objects(detections: Detections) -> str:
    """ "1 cat 0.91, 2 dog 0.88": per class the number and the best score, best class first."""
    counts = Counter(detections.labels)  # keeps the order of first appearance, and detections are best first
    best: dict[str, float] = {}
    for found in detections:
        best.setdefault(found.label, found.score)
    return ", ".join(f"{count} {label} {best[label]:.2f}" for label, count in counts.items()) or "nothing"


def _summary(result: SourceResult) -> str:
    """ "28 of 30 frames at 25.1 fps, 2 damaged; cat in 28, dog in 3 -> out/clip.mp4"."""
    of_all = f" of {result.frame_count}" if result.frame_count not in (None, result.frames) else ""
    classes = ", ".join(f"{label} in {count}" for label, count in result.frames_with.most_common()) or "nothing"
    arrow = f" -> {result.path}" if result.path else ""
    how = "passed over" if result.source.is_live else "damaged"
    skipped = f", {result.skipped} {how}" if result.skipped else ""
    return f"{result.frames}{of_all} frames at {result.fps:.1f} fps{skipped}; {classes}{arrow}"
