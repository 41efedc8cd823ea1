"""`python -m train eval`: VOC average precision of any detector, per class."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqdet_cv.files import write_text_atomically

from .average_precision import Matches, average_precision, match_photo
from .data.loader import read_image
from .data.voc import VocSample, load_voc
from .detectors import AnyDetector, open_detector
from .errors import TrainError
from .labels import HELP, parse_labels

EVAL_SCORE_THRESHOLD = 0.01  # low enough that the precision-recall curve has its tail


@dataclass(frozen=True)
class ClassResult:
    label: str
    objects: int
    ap_area: float  # AP as area under the curve, in [0, 1]; NaN without objects
    ap_07: float  # eleven-point AP


def evaluate(
    detector: AnyDetector, samples: Sequence[VocSample], labels: Sequence[str], progress: bool = False
) -> list[ClassResult]:
    """Runs the detector on every photo. A class counts only the photos that are labelled for it."""
    rows: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in labels]
    objects = np.zeros(len(labels), int)
    for sample in tqdm(samples, unit="photo", disable=not progress):
        found = detector(read_image(sample.image_path))
        for class_id in np.nonzero(sample.labelled)[0]:
            true = sample.class_ids == class_id
            mine = found.class_ids == class_id
            hit, counted = match_photo(found.boxes_xyxy[mine], sample.boxes_xyxy[true], sample.ignore[true])
            rows[class_id].append((found.scores[mine][counted], hit[counted]))
            objects[class_id] += (~sample.ignore[true]).sum()
    results = []
    for label, photos, count in zip(labels, rows, objects):
        scores = np.concatenate([scores for scores, _ in photos]) if photos else np.zeros(0)
        hit = np.concatenate([hit for _, hit in photos]) if photos else np.zeros(0, bool)
        order = np.argsort(-scores, kind="stable")
        matches = Matches(scores[order], hit[order], int(count))
        results.append(ClassResult(label, int(count), average_precision(matches), average_precision(matches, True)))
    return results


def mean_ap(results: Sequence[ClassResult], labels: Sequence[str] | None = None) -> float:
    """Mean area AP in [0, 1] over the classes (of `labels`) that have objects; NaN if none has."""
    values = [r.ap_area for r in results if r.objects and (labels is None or r.label in labels)]
    return float(np.mean(values)) if values else float("nan")


def table(results: Sequence[ClassResult], groups: dict[str, list[str]]) -> str:
    """A Markdown table: AP in points (0 to 100), a line a class, then the means."""
    lines = ["| class | objects | AP | AP (VOC 07) |", "|---|---|---|---|"]
    lines += [f"| {r.label} | {r.objects} | {100 * r.ap_area:.1f} | {100 * r.ap_07:.1f} |" for r in results]
    for name, members in ({"mean": [r.label for r in results]} | groups).items():
        chosen = [r for r in results if r.label in members and r.objects]
        if not chosen:
            continue
        area, seven = (100 * np.mean([getattr(r, key) for r in chosen]) for key in ("ap_area", "ap_07"))
        lines.append(
            f"| **{name}** ({len(chosen)} classes) | {sum(r.objects for r in chosen)} | **{area:.1f}** | {seven:.1f} |"
        )
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a checkpoint (.pt), an exported .onnx, or a Darknet .cfg")
    parser.add_argument("--data", required=True, help="VOC devkit folder")
    parser.add_argument("--lists", default="val", help="comma-separated lists of photos (default: val)")
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=CLASS,CLASS",
        help="also print the mean over these classes",
    )
    parser.add_argument("--nms", type=float, help="IoU above which a box is suppressed (default: 0.4; Darknet: 0.45)")
    parser.add_argument("--labels", default="", help=HELP)
    parser.add_argument("--json", help="write the numbers to this file too")


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
    samples = load_voc(args.data, args.lists.split(","), labels)
    detector = open_detector(args.model, labels, EVAL_SCORE_THRESHOLD, args.nms)
    results = evaluate(detector, samples, labels, progress=True)
    print(table(results, groups))
    if args.json:
        values = {"model": Path(args.model).name, "lists": args.lists, "mean_ap": mean_ap(results)}
        values |= {"classes": [vars(r) for r in results]}
        write_text_atomically(args.json, json.dumps(_without_nan(values), indent=1, allow_nan=False) + "\n")


def _without_nan(value: object) -> object:
    """JSON has no NaN: null stands for it."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
