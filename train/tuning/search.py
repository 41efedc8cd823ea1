"""The value of one option that gives the best mAP on the validation split, by bisection."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import typing
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.util.atomic_files import write_text_atomically

from ..common.errors import NotFiniteError, TrainError
from ..common.options import current_name, option, plain_type
from ..losses import LOSSES
from ..trainers.detection import DetectionTrainer
from ..trainers.detection_config import FitConfig
from .bisection import Scale, best_value, bracket, find_peak
from .plot import plot_trials
from .trial import Trial

# As in the formula that the paper and the 2017 project's blog give; the names of the fields that every loss has.
WEIGHTS = {"lambda_bbox": "box", "lambda_conf_pos": "confidence_positive", "lambda_conf_neg": "confidence_negative"}


@dataclass(frozen=True)
class TuneConfig(FitConfig):
    """The options that all trials share; those of `fit`, in a folder of another name."""

    out: str = option("runs/tune", "folder; each trial is a run in OUT/VALUE")
    watch: int = option(0, "images on which the activations are measured after each epoch; 0: none")


class Trials:
    """Runs with different values of one option, and what came of those in OUT/tune.csv, which are not run again."""

    def __init__(self, config: TuneConfig, path: tuple[str, ...]) -> None:
        self.config, self.path, self.out = config, path, Path(config.out)
        self.table = self.out / "tune.csv"
        self.done = {trial.value: trial for trial in _read(self.table)}

    def measure(self, value: float) -> float:
        """mAP in [0, 1], by training, or from an earlier call. Ctrl-C raises SystemExit, as in `fit`."""
        if value not in self.done:
            self.done[value] = self._run(value)
            _write(self.table, list(self.done.values()))
        return self.done[value].val_map

    def _run(self, value: float) -> Trial:
        folder = self.out / f"{value:.10g}"
        print(f"trial {len(self.done) + 1}: {flag(self.path)} {value:.10g}", flush=True)
        if (folder / "last.pt").exists():
            fit = DetectionTrainer.resume(folder)
        else:
            fit = DetectionTrainer.start(
                with_value(dataclasses.replace(self.config, out=str(folder)), self.path, value)
            )
        try:
            fit.run()
        except NotFiniteError as error:
            print(f"{flag(self.path)} {value:.10g} diverged, which counts as mAP 0: {error}", flush=True)
            return Trial(value, 0.0, diverged=True)
        except SystemExit:
            print("the command that was stopped goes on with the search")
            raise
        with (folder / "results.csv").open() as file:
            return Trial(value, max(float(row["val_map"]) for row in csv.DictReader(file)))


def find_option(name: str, loss: str) -> tuple[tuple[str, ...], type]:
    """Where NAME stands in FitConfig, ("squeezedet", "box"), and its type, int or float.

    Raises:
        TrainError: there is no numeric option of that name, or it belongs to another loss.
    """
    full_name = f"{loss}.{WEIGHTS[name]}" if name in WEIGHTS else current_name(FitConfig, name.replace("-", "_"))
    path = tuple(full_name.split("."))
    if path[0] in LOSSES and path[0] != loss:
        raise TrainError(f"{name}: has no effect with --loss {loss}")
    numbers = {
        other: kind
        for other, kind in numeric_options(FitConfig).items()
        if other.split(".")[0] not in LOSSES or other.startswith(f"{loss}.")
    }
    if full_name not in numbers:
        raise TrainError(f"{name}: no such numeric option; there are {', '.join([*WEIGHTS, *numbers])}")
    return path, numbers[full_name]


def numeric_options(cls: type, prefix: str = "") -> dict[str, type]:
    """{"lr": float, "sqdet.box": float, ...}: the fields of a dataclass, and of those within, that are one number."""
    types = typing.get_type_hints(cls)
    found: dict[str, type] = {}
    for item in dataclasses.fields(cls):
        kind = plain_type(types[item.name])
        if dataclasses.is_dataclass(kind):
            found |= numeric_options(kind, f"{prefix}{item.name}.")
        elif kind in (int, float):
            found[prefix + item.name] = kind
    return found


def with_value(options: typing.Any, path: tuple[str, ...], value: float) -> typing.Any:
    """A copy of the dataclass, in which the field at `path` has another value."""
    name, *rest = path
    return dataclasses.replace(
        options, **{name: with_value(getattr(options, name), tuple(rest), value) if rest else value}
    )


def flag(path: tuple[str, ...]) -> str:
    """("squeezedet", "confidence_negative") to "--squeezedet.confidence-negative"."""
    return f"--{'.'.join(path).replace('_', '-')}"


def check_bounds(low: float, high: float, path: tuple[str, ...], scale: Scale) -> None:
    """Raises TrainError unless LOW and HIGH of --between suit the option and the scale."""
    text = f"--between {low:g} {high:g}"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise TrainError(f"{text}: expected LOW < HIGH, both finite")
    if low <= 0 and not scale.linear:
        raise TrainError(f"{text}: expected LOW above 0, or --linear")
    if scale.whole and not (low.is_integer() and high.is_integer()):
        raise TrainError(f"{text}: {flag(path)} takes whole numbers")


def table(trials: list[Trial]) -> list[str]:
    """Lines of Markdown, by value; the best in bold."""
    best = best_value({trial.value: trial.val_map for trial in trials})
    lines = ["| value | val mAP | trial |", "|---|---|---|"]
    for trial in sorted(trials, key=lambda trial: trial.value):
        mark = "**" if trial.value == best else ""
        result = "0 (diverged)" if trial.diverged else f"{mark}{100 * trial.val_map:.1f}{mark}"
        lines.append(f"| {mark}{trial.value:.10g}{mark} | {result} | {trials.index(trial) + 1} |")
    return lines


def conclusion(measured: dict[float, float], path: tuple[str, ...], low: float, high: float) -> str:
    """What to do with the result."""
    best = best_value(measured)
    if measured[best] == 0:
        return "no value reached more than 0: train longer (--sizes), or search elsewhere (--between)"
    below, above = bracket(measured, low, high)
    text = f"a single peak lies between {below:.10g} and {above:.10g}"
    untried = [side for side, last in (("below", min(measured)), ("above", max(measured))) if best == last]
    if untried:
        side = " or ".join(untried)
        text += f"; nothing {side} {best:.10g} was tried: more --trials, or a wider --between, may find a better one"
    return f"{text}\nuse {flag(path)} {best:.10g} (val mAP {100 * measured[best]:.1f})"


def _begin(config: TuneConfig, asked: dict) -> None:
    """Writes OUT/tune.json, or, where a trial has begun, compares with it.

    Raises:
        TrainError: the trials in OUT are of another search, or of none.
    """
    out = Path(config.out)
    path = out / "tune.json"
    asked = json.loads(json.dumps(asked | dataclasses.asdict(config)))
    del asked["out"]  # the folder may have been moved
    if (out / "tune.csv").exists() or any(out.glob("*/last.pt")):
        if not path.is_file():
            raise TrainError(f"{out}: holds runs that are not trials of a search; name another --out")
        before = json.loads(path.read_text())
        for name, value in asked.items():
            if before.get(name) != value:
                raise TrainError(f"{path}: a search with {name} {before.get(name)}, not {value}; name another --out")
    write_text_atomically(path, json.dumps(asked, indent=1) + "\n")


def _read(path: Path) -> list[Trial]:
    """What `_write` wrote; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open() as file:
        return [
            Trial(float(row["value"]), float(row["val_map"]), row["ended"] == "diverged")
            for row in csv.DictReader(file)
        ]


def _write(path: Path, trials: list[Trial]) -> None:
    """A line a trial, in the order that they were run."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", "value", "val_map", "ended"])
    for number, trial in enumerate(trials, 1):
        ended = "diverged" if trial.diverged else "finished"
        writer.writerow([number, f"{trial.value:.10g}", trial.val_map, ended])
    write_text_atomically(path, text.getvalue())


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        trials: in the order in which they were run.
        best: the value to use. between: where a single peak lies.
        plot: OUT/tune.png.
    """

    trials: list[Trial]
    best: float
    between: tuple[float, float]
    summary: str
    plot: Path


def search_option(
    config: TuneConfig, name: str, low: float, high: float, trials: int = 7, linear: bool = False
) -> Search:
    """Searches for the value of an option between low and high, by runs that differ in nothing else.

    Args:
        name: a numeric option of `fit` without its dashes (lr, sqdet.box), or one of WEIGHTS.
        trials: runs at most; two halve the interval.
        linear: halve differences; else ratios (a logarithmic scale).

    Raises:
        TrainError: an option or the data is wrong, or the folder holds another search.
        SystemExit: Ctrl-C (130); the same call goes on.
    """
    if not config.data:
        raise TrainError("tune needs --data, a data set")
    path, kind = find_option(name, config.loss)
    scale = Scale(linear, kind is int)
    check_bounds(low, high, path, scale)
    low, high = kind(low), kind(high)
    for value in (low, high):
        with_value(config, path, value)  # a value that the option refuses is refused now
    _begin(config, {"name": ".".join(path), "between": [low, high], "linear": linear})

    runs = Trials(config, path)
    measured = find_peak(runs.measure, low, high, trials, scale)
    ordered = [runs.done[value] for value in measured]
    plot = Path(config.out) / "tune.png"
    plot_trials(plot, ordered, flag(path), (low, high), linear)
    summary = "\n".join([*table(ordered), conclusion(measured, path, low, high)])
    return Search(ordered, best_value(measured), bracket(measured, low, high), summary, plot)
