"""`python -m train eval`: average precision and mistakes of any detector, per class."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sqdet_cv.util.atomic_files import write_bytes_atomically, write_text_atomically

from ..common.errors import TrainError
from ..common.labels import HELP, parse_labels
from ..common.plotting import require_matplotlib
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset
from ..detectors.open_detector import MIRROR_HELP, MODEL_HELP, file_names, open_together
from ..evaluation.calibration import calibration
from ..evaluation.coco import SIZES, check_pycocotools
from ..evaluation.error_analysis import COLUMNS
from ..evaluation.evaluate import (
    EVAL_SCORE_THRESHOLD,
    ClassResult,
    Evaluation,
    detect_all,
    evaluate_fully,
    mean_ap,
    points,
)
from ..evaluation.plots import plot_calibration
from ..evaluation.report import check_report_path, report_html


def table(results: Sequence[ClassResult], groups: dict[str, list[str]]) -> str:
    """A Markdown table: AP in points (0 to 100), a line a class, then the means; a dash for a class without objects."""
    lines = ["| class | objects | AP | AP (VOC 07) |", "|---|---|---|---|"]
    lines += [f"| {r.label} | {r.objects} | {points(r.ap_area)} | {points(r.ap_07)} |" for r in results]
    for name, members in ({"mean": [r.label for r in results]} | groups).items():
        chosen = [r for r in results if r.label in members and r.objects]
        if not chosen:
            continue
        area, seven = (100 * np.mean([getattr(r, key) for r in chosen]) for key in ("ap_area", "ap_07"))
        lines.append(
            f"| **{name}** ({len(chosen)} classes) | {sum(r.objects for r in chosen)} | **{area:.1f}** | {seven:.1f} |"
        )
    return "\n".join(lines)


def overview(evaluation: Evaluation) -> str:
    """COCO's AP by size of object, and what the detections above the score threshold are: a line each."""
    coco, errors = evaluation.coco, evaluation.errors
    lines = [
        f"COCO AP 50:95, {name}: {100 * coco.ap[size]:.1f} ({coco.objects[size]} objects)"
        for size, name in SIZES.items()
        if coco.objects[size]
    ]
    if not any(len(photo.found) for photo in evaluation.kept) and not evaluation.all_classes.true_positive.any():
        return "\n".join([*lines, f"no detection is right, whatever its score; {errors.missed.sum()} objects missed"])
    kinds = ", ".join(f"{errors.detections[kind].sum()} {name}" for kind, name in COLUMNS.items())
    lines.append(f"detections of score {evaluation.score:.3f} or more: {kinds}; {errors.missed.sum()} objects missed")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=MODEL_HELP)
    parser.add_argument("--mirror", action="store_true", help=MIRROR_HELP)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", default="val", help="comma-separated lists of images (default: val)")
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=CLASS,CLASS",
        help="also print the mean over these classes",
    )
    parser.add_argument("--nms", type=float, help="IoU above which a box is suppressed (default: 0.4; Darknet: 0.45)")
    parser.add_argument("--labels", default="", help=HELP)
    parser.add_argument(
        "--score",
        type=float,
        help="score from which on detections count for the split of errors (default: where F1 is best)",
    )
    parser.add_argument("--json", help="write the numbers to this file too")
    parser.add_argument("--calibration", metavar="PNG", help="draw whether a score is a probability")
    parser.add_argument("--report", help="write an .html file with curves, confusion matrix and the worst mistakes")


def _parse_groups(texts: Sequence[str], labels: Sequence[str]) -> dict[str, list[str]]:
    groups = {}
    for text in texts:
        name, _, members = text.partition("=")
        groups[name] = members.split(",")
        if unknown := [member for member in groups[name] if member not in labels]:
            raise TrainError(f"--group {text}: no class called {', '.join(unknown)}")
    return groups


def run(args: argparse.Namespace) -> None:
    labels = parse_labels(args.labels)
    groups = _parse_groups(args.group, labels)
    if args.score is not None and not EVAL_SCORE_THRESHOLD <= args.score <= 1:
        raise TrainError(f"--score {args.score}: expected {EVAL_SCORE_THRESHOLD} to 1")
    check_pycocotools()
    if args.report:
        check_report_path(args.report)
    if args.calibration:
        require_matplotlib()
        if Path(args.calibration).suffix != ".png":
            raise TrainError(f"--calibration {args.calibration}: expected a .png file")
    samples = open_dataset(args.data, args.lists.split(","), labels)
    detector = open_together(args.model, labels, EVAL_SCORE_THRESHOLD, args.nms, args.mirror)
    found = detect_all(detector, samples, progress=True)
    evaluation = evaluate_fully(found, samples, labels, args.score)
    print(table(evaluation.classes, groups))
    print(overview(evaluation))
    model = file_names(args.model)
    if args.json:
        values = {"model": model, "lists": args.lists} | _values(evaluation)
        write_text_atomically(args.json, json.dumps(_without_nan(values), indent=1, allow_nan=False) + "\n")
    if args.calibration:
        write_bytes_atomically(args.calibration, plot_calibration(calibration(evaluation.all_classes)))
    if args.report:
        write_text_atomically(args.report, report_html(evaluation, model, f"{Path(args.data).name} {args.lists}"))


def _values(evaluation: Evaluation) -> dict[str, object]:
    """What goes into the JSON file: APs in [0, 1], counts."""
    coco, errors = evaluation.coco, evaluation.errors
    return {
        "mean_ap": mean_ap(evaluation.classes),
        "coco_ap": coco.ap,
        "coco_ap_50": coco.ap_50,
        "calibration_error": calibration(evaluation.all_classes).error,
        "score": evaluation.score,
        "errors": {name: int(errors.detections[kind].sum()) for kind, name in COLUMNS.items()}
        | {"missed": int(errors.missed.sum())},
        "classes": [
            vars(result) | {"coco_ap": class_ap} for result, class_ap in zip(evaluation.classes, coco.class_ap)
        ],
    }


def _without_nan(value: object) -> object:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
