"""The plots of an evaluation as PNG files in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..common.plotting import BLUE, GREY, make_figure, png_bytes
from .average_precision import Matches, average_precision
from .calibration import BINS, Calibration
from .coco import SIZES, CocoResult
from .error_analysis import COLUMNS, ErrorSplit
from .matching import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_COLUMNS = 5
OUTCOME_COLOURS = {  # dark for right, then well apart also in grey
    Outcome.RIGHT: "#2f855a",
    Outcome.LOCALISATION: "#ecc94b",
    Outcome.CONFUSION: "#dd6b20",
    Outcome.DUPLICATE: "#90cdf4",
    Outcome.BACKGROUND: "#4a5568",
}
MISSED_COLOUR = "#e2e8f0"
MOST_NUMBERED = 25  # more classes than this, and the numbers in the confusion matrix would not be legible


def plot_precision_recall(curves: Sequence[Matches], labels: Sequence[str]) -> bytes:
    """A panel a class: precision against recall as measured, and the envelope whose area is the AP."""
    rows = -(-len(labels) // PANEL_COLUMNS)
    figure = make_figure(12, 0.5 + 2.35 * rows)
    panels = figure.subplots(rows, PANEL_COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, label, matches in zip(panels, labels, curves):
        precision, recall = matches.precision_recall()
        ap = average_precision(matches)
        if matches.objects and len(recall):
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            panel.fill_between(
                np.append(0, recall), np.append(envelope[0], envelope), step="pre", color=BLUE, alpha=0.15, linewidth=0
            )
            panel.plot(recall, precision, color=BLUE, linewidth=1.2)
        panel.set(xlim=(0, 1), ylim=(0, 1.02))
        panel.set_title(f"{label}: no objects" if np.isnan(ap) else f"{label}: AP {100 * ap:.1f}", fontsize=10)
        panel.grid(alpha=0.25)
    for panel in panels[len(labels) :]:
        panel.remove()
    figure.supxlabel("recall (share of the objects found)")
    figure.supylabel("precision (share of the detections that are right)")
    figure.suptitle("Precision and recall at IoU 0.5, class by class; shaded: the area that is the AP")
    return png_bytes(figure)


def plot_f1(curves: Sequence[Matches], labels: Sequence[str], all_classes: Matches, score: float) -> bytes:
    """F1 against the score threshold: all classes together, and each for itself with the three best and worst named."""
    figure = make_figure(9, 5)
    axes = figure.subplots()
    lines = {label: matches for label, matches in zip(labels, curves) if matches.true_positive.any()}
    for matches in lines.values():
        axes.plot(matches.scores, matches.f1(), color=GREY, linewidth=0.9, alpha=0.7)
    by_peak = sorted(lines, key=lambda label: lines[label].best_threshold()[1])
    for label in {*by_peak[:3], *by_peak[-3:]}:
        threshold, f1 = lines[label].best_threshold()
        axes.annotate(label, (threshold, f1), (0, 3), textcoords="offset points", ha="center", fontsize=9, color="#444")
    axes.plot(all_classes.scores, all_classes.f1(), color=BLUE, linewidth=2.4, label="all classes together")
    axes.axvline(score, color="black", linestyle="--", linewidth=1, label=f"threshold of this report: {score:.2f}")
    axes.plot([], [], color=GREY, label="one class; named: the best and worst three")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score threshold", ylabel="F1 (harmonic mean of precision and recall)")
    axes.set_title("F1 at IoU 0.5 against the score threshold")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right")
    return png_bytes(figure)


def plot_calibration(found: Calibration) -> bytes:
    """Precision against score, in bins, beside what a calibrated detector has; the number of detections above."""
    figure = make_figure(6, 5)
    axes = figure.subplots()
    places = (np.arange(BINS) + 0.5) / BINS
    axes.bar(places, np.nan_to_num(found.precision), 0.92 / BINS, color=BLUE, label="share that is right")
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="as the score says")
    for place, count, height in zip(places, found.counts, np.nan_to_num(found.precision)):
        axes.annotate(f"{count:,}", (place, height), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="score", ylabel="precision (share of the detections that are right)")
    error = "no detections" if np.isnan(found.error) else f"mean distance {found.error:.3f}"
    axes.set_title(f"Is a score a probability? At IoU 0.5; {error}")
    axes.grid(alpha=0.25, axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left")
    return png_bytes(figure)


def plot_confusion(matrix: np.ndarray, labels: Sequence[str]) -> bytes:
    """The matrix of `confusion_matrix`: counts as numbers, shares of the row as shades."""
    names = [*labels, "(none)"]
    inches = 3.0 + 0.42 * len(names)
    figure = make_figure(inches + 1.2, inches)
    axes = figure.subplots()
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    heat_map = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), [*labels, "(missed)"], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    if len(labels) <= MOST_NUMBERED:
        for row, column in np.argwhere(matrix):
            colour = "white" if shares[row, column] > 55 else "black"
            axes.text(column, row, matrix[row, column], ha="center", va="center", fontsize=9, color=colour)
    axes.axhline(len(labels) - 0.5, color="black", linewidth=1)
    axes.axvline(len(labels) - 0.5, color="black", linewidth=1)
    axes.set(xlabel="what the detector says", ylabel="what is there")
    axes.set_title("Confusion matrix: counts, shaded by the share of the row")
    figure.colorbar(heat_map, ax=axes, label="share of the row (%)", shrink=0.7)
    return png_bytes(figure)


def plot_error_split(split: ErrorSplit, labels: Sequence[str]) -> bytes:
    """Left: what the detections of each class are. Right: how many of its objects are found and missed."""
    figure = make_figure(12, 1.6 + 0.28 * len(labels))
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(labels))
    _stack(
        left,
        rows,
        [(split.detections[kind], name, OUTCOME_COLOURS[kind]) for kind, name in COLUMNS.items()],
        "detections (count)",
    )
    found = split.detections[Outcome.RIGHT]
    parts = [(found, "found", OUTCOME_COLOURS[Outcome.RIGHT]), (split.missed, "missed", MISSED_COLOUR)]
    _stack(right, rows, parts, "objects (count)")
    left.set_yticks(rows, labels)
    left.invert_yaxis()
    left.set_title("What the detections are\n\n", fontsize=11)
    right.set_title("What became of the objects\n\n", fontsize=11)
    return png_bytes(figure)


def plot_sizes(coco: CocoResult) -> bytes:
    """Bars of AP at IoU 0.5 and at 0.5 to 0.95 for each size of object."""
    figure = make_figure(9, 3.8)
    axes = figure.subplots()
    places = np.arange(len(SIZES))
    for offset, values, name, colour in (
        (-0.2, coco.ap_50, "IoU 0.5", GREY),
        (0.2, coco.ap, "mean over IoU 0.5 to 0.95", BLUE),
    ):
        heights = [100 * values[size] for size in SIZES]
        bars = axes.bar(places + offset, np.nan_to_num(heights), 0.38, color=colour, label=name)
        axes.bar_label(bars, ["none" if np.isnan(height) else f"{height:.1f}" for height in heights], fontsize=9)
    axes.set_xticks(places, [f"{name}\n{coco.objects[size]} objects" for size, name in SIZES.items()])
    axes.set(ylim=(0, 105), ylabel="average precision (points of 100)", title="AP by size of the object (COCO)")
    axes.grid(alpha=0.25, axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left")
    return png_bytes(figure)


def _stack(axes: Axes, rows: np.ndarray, parts: list[tuple[np.ndarray, str, str]], unit: str) -> None:
    start = np.zeros(len(rows))
    for counts, name, colour in parts:
        axes.barh(rows, counts, left=start, color=colour, label=name, height=0.75)
        start = start + counts
    axes.set(xlim=(0, 1.05 * max(1, start.max(initial=0))), xlabel=unit)
    axes.grid(alpha=0.25, axis="x")
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(parts), fontsize=9, frameon=False)
