"""`sqdet info`: versions, what this OpenCV can compute with, and the model inside the package; or what a file is."""

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
from .describe import describe_model

MOST_LABELS = 20  # that a line for people names


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command to those of `sqdet`."""
    parser = commands.add_parser(
        "info",
        help="versions, what this OpenCV computes with, the embedded model; or what a model file is",
        description="Says what runs here: versions, backends and how to get the missing ones, the embedded model. With "
        "MODEL: what that file is, and whether it runs here.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="any .onnx, .sqdet or .caffemodel, ours or not")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; `arguments.json`: as JSON instead of lines for people."""
    facts = system_info() if arguments.model is None else describe_model(arguments.model)
    as_text = _as_text if arguments.model is None else _of_model
    print(json.dumps(facts, indent=1) if arguments.json else as_text(facts))
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


def _of_model(facts: dict[str, Any]) -> str:
    size = "{} x {} pixels".format(*facts["input_wh"]) if facts["input_wh"] else "no image of a known size"
    lines = [
        f"{facts['name']}: {facts['kind'] if facts['labels'] else 'a foreign model, without a spec of sqdet_cv'}",
        f"head: {facts['head']}",
        f"input: {size}",
        f"parameters: {facts['parameters']}, in {facts['bytes']} bytes",
    ]
    if labels := facts["labels"]:
        more = ", ..." if len(labels) > MOST_LABELS else ""
        lines.insert(3, f"classes: {len(labels)}: {', '.join(labels[:MOST_LABELS])}{more}")
    answer = {True: "yes", False: "no", None: "not tried"}[facts["runs"]]
    lines.append(f"runs in OpenCV {facts['opencv']}: {answer}{', ' + facts['reason'] if facts['reason'] else ''}")
    return "\n".join(lines)
