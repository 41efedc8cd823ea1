"""Image of a search for the best value of an option: value against mAP, in the order of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.plotting import BLUE, GREY, RED, make_figure, save
from .bisection import best_value, bracket

if TYPE_CHECKING:
    from .trial import Trial

GREEN = "#2f855a"


def plot_trials(path: Path, trials: Sequence[Trial], option: str, bounds: tuple[float, float], linear: bool) -> None:
    """A point a trial, with its number; the best marked, diverged ones as crosses, and where the peak lies shaded."""
    measured = {trial.value: 100 * trial.val_map for trial in trials}
    best = best_value(measured)
    figure = make_figure(9, 5.2)
    axes = figure.subplots()
    axes.axvspan(*bracket(measured, *bounds), color=BLUE, alpha=0.08, label="a single peak lies here")
    ordered = sorted(measured)
    axes.plot(ordered, [measured[value] for value in ordered], color=GREY, linewidth=1.2, zorder=1)
    for diverged, colour, marker, name in (
        (False, BLUE, "o", "trial, by number"),
        (True, RED, "x", "diverged: counts as 0"),
    ):
        values = [trial.value for trial in trials if trial.diverged is diverged]
        if values:
            heights = [measured[value] for value in values]
            axes.scatter(values, heights, s=60, color=colour, marker=marker, label=name, zorder=3, clip_on=False)
    x, y = [best], [measured[best]]
    axes.scatter(x, y, s=260, facecolors="none", edgecolors=GREEN, linewidths=2.2, label="the best", zorder=2)
    for number, trial in enumerate(trials, 1):
        axes.annotate(
            str(number), (trial.value, measured[trial.value]), (0, 11), textcoords="offset points", ha="center"
        )
    axes.set_xscale("linear" if linear else "log")
    axes.set_ylim(0, 1.18 * max(measured[best], 1))
    ticks = sorted({*bounds, *measured})
    axes.set_xticks(ticks, [f"{value:.10g}" for value in ticks], rotation=60, ha="right", rotation_mode="anchor")
    axes.minorticks_off()
    axes.set(xlabel=option, ylabel="val mAP, best epoch (points of 100)")
    axes.set_title(f"{option}: best at {best:.10g}, val mAP {measured[best]:.1f}")
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)
