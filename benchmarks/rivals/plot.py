"""The image of `benchmarks.rivals`: mAP against time and against size of the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from train.common.plotting import RED, make_figure, png_bytes

from .results import Row, place_name, places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

OURS_COLOUR, RIVAL_COLOUR = RED, "#4a5568"
INCHES = (9, 4)  # 900 pixels: as wide as a README shows it
LABEL_SIZE = 8.5
# where a name may stand by its point, best first: offset in points, alignments
LABEL_PLACES = (
    ((9, 0), "left", "center"),
    ((-9, 0), "right", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
    ((5, 6), "left", "bottom"),
    ((-5, 6), "right", "bottom"),
    ((5, -6), "left", "top"),
    ((-5, -6), "right", "top"),
)


class Point(NamedTuple):
    """x: milliseconds or megabytes; y: mAP in points of 100; filled: measured where most models were."""

    x: float
    y: float
    name: str
    ours: bool
    filled: bool = True


def speed_points(rows: Sequence[Row]) -> list[Point]:
    """A point for each model and OpenCV that it was timed with; the OpenCV is named where it is not the first."""
    columns = places(rows)
    points = []
    for row in rows:
        for speed in row.speeds:
            if row.accuracy and row.accuracy.map is not None:
                filled = speed.where == columns[0]
                name = row.name if filled else f"{row.name}, {place_name(speed.where)}"
                points.append(Point(speed.total, 100 * row.accuracy.map, name, row.ours, filled))
    return points


def size_points(rows: Sequence[Row]) -> list[Point]:
    return [
        Point(row.bytes / 1e6, 100 * row.accuracy.map, row.name, row.ours)
        for row in rows
        if row.accuracy and row.accuracy.map is not None
    ]


def plot_rivals(rows: Sequence[Row]) -> bytes | None:
    """A PNG with a panel for time and one for size, or the one that there are numbers for; None if there are none."""
    where = places(rows)
    panels = [
        (speed_points(rows), f"pre + forward + post (ms), {place_name(where[0])}" if where else ""),
        (size_points(rows), "files (MB)"),
    ]
    panels = [(points, label) for points, label in panels if points]
    if not panels:
        return None
    figure = make_figure(*INCHES)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (points, label) in zip(all_axes, panels):
        _draw_points(axes, points, label)
    all_axes[0].set_ylabel("mAP at IoU 0.5 (points of 100)")
    figure.draw_without_rendering()  # lays out the panels
    for axes, (points, _) in zip(all_axes, panels):
        _place_names(axes, points)
    return png_bytes(figure)


def _draw_points(axes: Axes, points: Sequence[Point], label: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for point in points:
        colour = OURS_COLOUR if point.ours else RIVAL_COLOUR
        axes.scatter(
            point.x,
            point.y,
            s=75 if point.ours else 42,
            marker="D" if point.ours else "o",
            facecolors=colour if point.filled else "none",
            edgecolors=colour,
            linewidths=1.5,
            zorder=3,
        )
    axes.set_xscale("log")
    low, high = min(point.x for point in points), max(point.x for point in points)
    axes.set_xlim(low / 1.5, high * 1.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.15)
    axes.set_xlabel(label)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def _place_names(axes: Axes, points: Sequence[Point]) -> None:
    """Each name where it covers no other, no point and no border; the last resort is the first place."""
    inside = axes.get_window_extent()
    taken = [_around(*axes.transData.transform((point.x, point.y))) for point in points]
    for number, point in enumerate(points):
        others = taken[:number] + taken[number + 1 :]
        texts = []
        for offset, horizontal, vertical in LABEL_PLACES:
            text = axes.annotate(
                point.name,
                (point.x, point.y),
                offset,
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                fontsize=LABEL_SIZE,
                color=OURS_COLOUR if point.ours else RIVAL_COLOUR,
                fontweight="bold" if point.ours else "normal",
            )
            box = text.get_window_extent()
            if inside.x0 <= box.x0 and box.x1 <= inside.x1 and not box.count_overlaps(others):
                break
            texts.append(text)
            text.remove()
        else:
            axes.add_artist(texts[0])
            box = texts[0].get_window_extent()
        taken.append(box)


def _around(x: float, y: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(x - 6, y - 6, 12, 12)
