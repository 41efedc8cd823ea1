"""The command `sqdet`. Each sub-command is a function from its parsed arguments to an exit code.

Exit codes: 0 done, 2 bad input (or one source of many that could not be read), 130 Ctrl-C, 141 closed pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .. import __version__
from ..boxes.postprocess import NMS_THRESHOLD, SCORE_THRESHOLD
from ..dnn.backends import BACKENDS
from ..errors import SqdetError
from . import detect as detect_command
from . import info as info_command
from . import unpack as unpack_command
from .exit_codes import exit_code
from .parser import OneLineParser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `sqdet`; argv without the program's name, None: the command line's. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name the terminal's encoding lacks is no error
    # A damaged video makes FFmpeg print a page from its threads; it reads this once, when it is first used.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    arguments = build_parser().parse_args(argv)
    with _one_line_warnings():
        return exit_code(lambda: arguments.run(arguments), (SqdetError,), _say)


def build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="sqdet", description="Object detection with cv2.dnn.")
    parser.add_argument("--version", action="version", version=f"sqdet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_detect(commands)
    _add_info(commands)
    unpack_command.add(commands)
    return parser


def _add_detect(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "detect",
        help="find objects in images, videos, cameras and streams",
        description="Finds objects and prints a line for each image or video.",
    )
    parser.set_defaults(run=detect_command.run)
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="image, folder, glob, video, camera number or stream URL")
    add(
        "--model",
        type=Path,
        metavar="PATH",
        help="exported .onnx or .caffemodel with its .json beside it, or a .sqdet (default: the embedded model)",
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
    add("--out", type=Path, metavar="DIR", help="write annotated images and videos here")
    add("--json", metavar="FILE", help="write detections as JSON; - for stdout")
    add("--csv", metavar="FILE", help="write detections as CSV; - for stdout")
    add("--show", action="store_true", help="show results in a window; q or Esc ends, any other key goes on")
    add("--quiet", action="store_true", help="print errors only")


def _add_info(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "info",
        help="versions, what this OpenCV computes with, the embedded model",
        description="Says what runs here: versions, backends and how to get the missing ones, the embedded model.",
    )
    parser.set_defaults(run=info_command.run)
    parser.add_argument("--json", action="store_true", help="as JSON")


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Warnings go to stderr like errors, without the line of our source that Python shows."""

    def show(message: Warning | str, *where: object) -> None:
        _say(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # where the warning arose is not shown
        yield


def _say(message: str) -> None:
    print(f"sqdet: {' '.join(message.split())}", file=sys.stderr)
