"""`sqdet info`: versions, what this OpenCV can compute with, and the model inside the package."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import cv2
import numpy as np

from .. import __version__
from ..detector import Detector
from ..dnn.backends import BACKENDS
from ..dnn.model_file import embedded_file
from ..spec.detector_spec import ModelSpec


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command to those of `sqdet`."""
    parser = commands.add_parser(
        "info",
        help="versions, what this OpenCV computes with, the embedded model",
        description="Says what runs here: versions, backends and how to get the missing ones, the embedded model.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; `arguments.json`: as JSON instead of lines for people."""
    facts = system_info()
    print(json.dumps(facts, indent=1) if arguments.json else _as_text(facts))
    return 0


def system_info() -> dict[str, Any]:
    """Versions, backends and the embedded model, as types that JSON has.

    Starts the embedded model, to see what `auto` really uses.

    Returns:
        sqdet, python, numpy, opencv: versions; auto: the name of the backend that `auto` uses; backends: a list of
        name, constants, available, and needs (what is missing, None where it is available); model: name, bytes,
        input_wh, labels.

    >>> system_info()["auto"]  # doctest: +SKIP
    'opencv'
    """
    detector = Detector(backend="auto")
    backends = [
        {
            "name": backend.name,
            "constants": backend.constants,
            "available": backend.available(),
            "needs": backend.needs(),
        }
        for backend in BACKENDS
    ]
    return {
        "sqdet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "auto": detector.backend.name,
        "backends": backends,
        "model": {
            "name": embedded_file(ModelSpec).name,
            "bytes": len(embedded_file(ModelSpec).read_bytes()),
            "input_wh": list(detector.spec.input_wh),
            "labels": list(detector.spec.labels),
        },
    }


def _as_text(facts: dict[str, Any]) -> str:
    model = facts["model"]
    width, height = model["input_wh"]
    lines = [
        f"sqdet {facts['sqdet']}, Python {facts['python']}, numpy {facts['numpy']}, OpenCV {facts['opencv']}",
        f"backends (auto uses {facts['auto']}):",
    ]
    for backend in facts["backends"]:
        answer = f"yes, {backend['constants']}" if backend["available"] else f"no, it needs {backend['needs']}"
        lines.append(f"  {backend['name']:<13}{answer}")
    lines.append(
        f"model: {model['name']}, {model['bytes'] / 1e6:.2f} MB, input {width} x {height}, "
        f"{len(model['labels'])} classes: {', '.join(model['labels'])}"
    )
    return "\n".join(lines)
