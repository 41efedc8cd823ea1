"""`python -m train eval`: average precision and mistakes of any detector, per class."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sqdet_cv.util.atomic_files import write_bytes_atomically, write_text_atomically

from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..common.plotting import require_matplotlib
from ..detectors.open_detector import MIRROR_HELP, MODEL_HELP, file_names, open_together
from ..evaluation.calibration import calibration
from ..evaluation.coco import check_pycocotools
from ..evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate_detector
from ..evaluation.plots import plot_calibration
from ..evaluation.report import check_report_path, report_html
from .data_options import add_data_options, load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=MODEL_HELP)
    parser.add_argument("--mirror", action="store_true", help=MIRROR_HELP)
    add_data_options(parser)
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=CLASS,CLASS",
        help="also print the mean over these classes",
    )
    parser.add_argument("--nms", type=float, help="IoU above which a box is suppressed (default: 0.4; Darknet: 0.45)")
    parser.add_argument(
        "--score",
        type=float,
        help="score from which on detections count for the split of errors (default: where F1 is best)",
    )
    parser.add_argument("--json", help="write the numbers to this file too")
    parser.add_argument("--calibration", metavar="PNG", help="draw whether a score is a probability")
    parser.add_argument("--report", help="write an .html file with curves, confusion matrix and the worst mistakes")


def run(args: argparse.Namespace) -> None:
    labels = parse_labels(args.labels)
    groups = _parse_groups(args.group, labels)
    _check(args)
    samples = load_samples(args, labels)
    detector = open_together(args.model, labels, EVAL_SCORE_THRESHOLD, args.nms, args.mirror)
    evaluation = evaluate_detector(detector, samples, labels, args.score, progress=True)
    print(evaluation.to_markdown(groups))
    model = file_names(args.model)
    if args.json:
        values = {"model": model, "lists": args.splits} | evaluation.to_dict()
        write_text_atomically(args.json, json.dumps(values, indent=1, allow_nan=False) + "\n")
    if args.calibration:
        write_bytes_atomically(args.calibration, plot_calibration(calibration(evaluation.all_classes)))
    if args.report:
        write_text_atomically(args.report, report_html(evaluation, model, f"{Path(args.data).name} {args.splits}"))


def _check(args: argparse.Namespace) -> None:
    """Refuses what would fail at the end of the work."""
    if args.score is not None and not EVAL_SCORE_THRESHOLD <= args.score <= 1:
        raise TrainError(f"--score {args.score}: expected {EVAL_SCORE_THRESHOLD} to 1")
    check_pycocotools()
    if args.report:
        check_report_path(args.report)
    if args.calibration:
        require_matplotlib()
        if Path(args.calibration).suffix != ".png":
            raise TrainError(f"--calibration {args.calibration}: expected a .png file")


def _parse_groups(texts: Sequence[str], labels: Sequence[str]) -> dict[str, list[str]]:
    groups = {}
    for text in texts:
        name, _, members = text.partition("=")
        groups[name] = members.split(",")
        if unknown := [member for member in groups[name] if member not in labels]:
            raise TrainError(f"--group {text}: no class called {', '.join(unknown)}")
    return groups
