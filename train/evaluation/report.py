"""An evaluation as one HTML file that needs nothing else: no network, no script, images inside."""

from __future__ import annotations

import base64
import importlib.util
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from ..common.errors import TrainError
from .calibration import calibration
from .coco import SIZES
from .error_analysis import COLUMNS
from .evaluate import Evaluation, mean_ap, points
from .examples import Mistake, missed_objects, wrong_detections
from .matching import HIT_IOU, NEAR_IOU, Outcome
from .plots import plot_calibration, plot_confusion, plot_error_split, plot_f1, plot_precision_recall, plot_sizes

MISTAKES = 12  # images of each kind
JPEG_QUALITY = 85

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a202c; max-width: 1240px; margin: 2em auto; padding: 0 1em; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid #cbd5e0; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: 3px 12px; text-align: right; border-bottom: 1px solid #e2e8f0; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } th { background: #edf2f7; }
tr.total td { font-weight: bold; border-top: 2px solid #a0aec0; }
img { max-width: 100%; } p { max-width: 80ch; }
.images { display: flex; flex-wrap: wrap; gap: 14px; } figure { margin: 0; max-width: 400px; }
figcaption { font-size: 13px; color: #4a5568; }
"""


def check_report_path(path: str) -> None:
    """Raises TrainError where writing the report would fail at the end of the work."""
    if Path(path).suffix != ".html":
        raise TrainError(f"--report {path}: expected an .html file")
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainError("--report needs matplotlib: pip install '.[train]'")


def report_html(evaluation: Evaluation, model: str, data: str) -> str:
    """The whole page.

    Args:
        model, data: what was measured on what, for the heading.
    """
    e = evaluation
    title = f"{model} on {data}"
    wrong = wrong_detections(e.kept, e.labels, MISTAKES)
    missed = missed_objects(e.kept, e.labels, MISTAKES)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(e.images)} images, {e.all_classes.objects} objects of {len(e.labels)} classes; difficult objects and "
        "the classes that an image is not labelled for are not counted. A detection is right if its IoU with an object "
        f"of its class that no surer one has found is at least {HIT_IOU:g}.</p>",
        _table(["measure", "points of 100"], _summary(e)),
        "<h2>Classes</h2>",
        f"<p>Precision, recall and F1 are those at the score threshold {e.score:.3f}.</p>",
        _table(
            ["class", "objects", "AP (area)", "AP (VOC 07)", "AP 50:95 (COCO)", "precision", "recall", "F1"],
            _class_rows(e),
            totals=1,
        ),
        "<h2>Precision and recall</h2>",
        _png(plot_precision_recall(e.curves, e.labels), "Precision-recall curve of each class"),
        "<h2>F1</h2>",
        _png(plot_f1(e.curves, e.labels, e.all_classes, e.score), "F1 against the score threshold"),
        "<h2>Calibration</h2>",
        _png(plot_calibration(calibration(e.all_classes)), "Precision against score"),
        "<h2>Size of the objects</h2>",
        _png(plot_sizes(e.coco), "Average precision by size of the object"),
        "<h2>Errors</h2>",
        f"<p>Of the detections that score at least {e.score:.3f}. <b>Localisation</b>: IoU with an object of its class "
        f"is {NEAR_IOU:g} to {HIT_IOU:g}. <b>Confusion</b>: IoU of {HIT_IOU:g} or more with an object of another "
        "class. <b>Duplicate</b>: a surer detection had found the object. <b>Background</b>: none of these. "
        "<b>Missed</b>: objects that no detection is right about.</p>",
        _table(["class", "detections", *COLUMNS.values(), "objects", "missed"], _error_rows(e), totals=1),
        _png(plot_error_split(e.errors, e.labels), "Detections and objects of each class by what became of them"),
        "<h2>Confusion</h2>",
        _png(plot_confusion(e.confusion, e.labels), "Confusion matrix"),
        "<h2>The surest wrong detections</h2>",
        _image_files(wrong),
        "<h2>The largest missed objects</h2>",
        _image_files(missed),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _summary(e: Evaluation) -> list[list[str]]:
    seven = [r.ap_07 for r in e.classes if r.objects]
    rows = [
        ["mean AP, VOC area, IoU 0.5", mean_ap(e.classes)],
        ["mean AP, VOC 07 (eleven points), IoU 0.5", float(np.mean(seven)) if seven else math.nan],
        ["mean AP, COCO, IoU 0.5", e.coco.ap_50["all"]],
    ]
    rows += [[f"mean AP, COCO, IoU 0.5 to 0.95, {name}", e.coco.ap[size]] for size, name in SIZES.items()]
    return [[name, points(value)] for name, value in rows]


def _class_rows(e: Evaluation) -> list[list[str]]:
    right, missed = e.errors.detections[Outcome.RIGHT], e.errors.missed
    counted = sum(e.errors.detections.values())
    rows = [
        [r.label, str(r.objects), points(r.ap_area), points(r.ap_07), points(ap), *_rates(*counts)]
        for r, ap, *counts in zip(e.classes, e.coco.class_ap, right, counted, missed)
    ]
    seven = [r.ap_07 for r in e.classes if r.objects]
    means = [mean_ap(e.classes), float(np.mean(seven)) if seven else math.nan, e.coco.ap["all"]]
    totals = (right.sum(), counted.sum(), missed.sum())
    return [*rows, ["all", str(e.all_classes.objects), *map(points, means), *_rates(*totals)]]


def _rates(right: int, detections: int, missed: int) -> list[str]:
    """Precision, recall and F1 in points."""
    shares = [(right, detections), (right, right + missed), (2 * right, detections + right + missed)]
    return [points(part / whole if whole else math.nan) for part, whole in shares]


def _error_rows(e: Evaluation) -> list[list[str]]:
    kinds = list(e.errors.detections.values())
    table = np.column_stack([sum(kinds), *kinds, e.errors.objects, e.errors.missed])
    names = [*e.labels, "all"]
    return [[name, *map(str, row)] for name, row in zip(names, [*table, table.sum(axis=0)])]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], totals: int = 0) -> str:
    """The last `totals` rows are set off."""
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    for n, row in enumerate(rows):
        start = '<tr class="total">' if n >= len(rows) - totals else "<tr>"
        lines.append(start + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _image_files(mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>None.</p>"
    figures = []
    for mistake in mistakes:
        jpeg = cv2.imencode(".jpg", mistake.image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        caption = escape(mistake.caption)
        figures.append(f"<figure>{_img(jpeg, 'jpeg', caption)}<figcaption>{caption}</figcaption></figure>")
    return '<div class="images">' + "\n".join(figures) + "</div>"


def _png(data: bytes, alt: str) -> str:
    return _img(data, "png", escape(alt))


def _img(data: bytes, kind: str, alt: str) -> str:
    return f'<img alt="{alt}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
