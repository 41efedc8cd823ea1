"""What `benchmarks.rivals` measured: as JSON, joined with what another run measured, and as a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.util.atomic_files import write_text_atomically
from train.common.errors import TrainError


@dataclass(frozen=True)
class Accuracy:
    """Means over classes in [0, 1]; None where there was no object.

    Attributes:
        images: what it was measured on, for people. photos_digest: of images and labels; only numbers of equal
            ones can be compared.
        map: VOC's AP at IoU 0.5, area, over all classes; animals: over five. coco: COCO's AP 50:95.
    """

    photos: str
    photos_digest: str
    map: float | None
    animals: float | None
    coco: float | None


@dataclass(frozen=True)
class Speed:
    """Medians in milliseconds from one run.

    Attributes:
        load: how many processes wanted a core just before the run (1 minute's mean).
        ratio: median over all pairs of turns of total time / that of `reference`; None where that was not in the run.
    """

    opencv: str
    threads: int
    rounds: int
    pictures: int
    load: float
    pre: float
    forward: float
    post: float
    total: float
    reference: str | None
    ratio: float | None

    @property
    def where(self) -> tuple[str, int]:
        return self.opencv, self.threads


@dataclass(frozen=True)
class Row:
    """One model; `digest` tells whether another run's is the same."""

    name: str
    ours: bool
    digest: str
    input_wh: tuple[int, int]
    parameters: int
    bytes: int
    accuracy: Accuracy | None = None
    speeds: tuple[Speed, ...] = ()


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    write_text_atomically(path, json.dumps([dataclasses.asdict(row) for row in rows], indent=1, allow_nan=False) + "\n")


def load_rows(path: Path) -> list[Row]:
    """What `save_rows` wrote. Raises TrainError that names the file."""
    try:
        return [_row(dict(values)) for values in json.loads(path.read_text(encoding="utf-8"))]
    except OSError:
        raise TrainError(f"{path}: no such file; expected the rivals.json of another run") from None
    except (TypeError, ValueError, KeyError) as error:
        raise TrainError(f"{path}: not the rivals.json of a run: {error}") from None


def _row(values: dict) -> Row:
    values["input_wh"] = tuple(values["input_wh"])
    values["speeds"] = tuple(Speed(**speed) for speed in values["speeds"])
    values["accuracy"] = values["accuracy"] and Accuracy(**values["accuracy"])
    return Row(**values)


def join(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """`rows` with what `others` know besides: speeds in another OpenCV or with other threads, mAP where there is none,
    and models with files that `rows` do not have."""
    extra = {row.digest: row for row in others}
    joined = []
    for row in rows:
        other = extra.pop(row.digest, row)
        known = {speed.where for speed in row.speeds}
        speeds = row.speeds + tuple(speed for speed in other.speeds if speed.where not in known)
        joined.append(dataclasses.replace(row, accuracy=row.accuracy or other.accuracy, speeds=speeds))
    joined += extra.values()
    measured = {row.accuracy.photos_digest: row.accuracy.photos for row in joined if row.accuracy}
    if len(measured) > 1:
        raise TrainError(f"mAP measured on different images or labels cannot stand in one table: {measured}")
    return joined


def places(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Each OpenCV and number of threads that something was timed with, the one with most models first."""
    all_places = [speed.where for row in rows for speed in row.speeds]
    return sorted(set(all_places), key=lambda where: (-all_places.count(where), where))


def speed_at(row: Row, where: tuple[str, int]) -> Speed | None:
    return next((speed for speed in row.speeds if speed.where == where), None)


def place_name(where: tuple[str, int]) -> str:
    return f"OpenCV {where[0]}, {where[1]} thread{'s' * (where[1] != 1)}"


def table(rows: Sequence[Row]) -> str:
    """Markdown: a row a model, best mAP first, ours bold; then how it was measured."""
    columns = places(rows)
    heads = ["model", "input", "parameters", "files", "mAP", "5 animals", "COCO AP"]
    for where in columns:
        heads += [f"ms, {place_name(where)}", "ratio"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in sorted(rows, key=lambda row: -(_map(row) or -1)):
        name = f"**{row.name}**" if row.ours else row.name
        cells = [name, "{} x {}".format(*row.input_wh), f"{row.parameters / 1e6:.2f} M", f"{row.bytes / 1e6:.2f} MB"]
        cells += [_points(getattr(row.accuracy, key, None)) for key in ("map", "animals", "coco")]
        for where in columns:
            cells += _speed_cells(speed_at(row, where))
        lines.append(_line(cells))
    return "\n".join([*lines, "", *_conditions(rows, columns)]) + "\n"


def _conditions(rows: Sequence[Row], columns: Sequence[tuple[str, int]]) -> Iterator[str]:
    if photos := next((row.accuracy.photos for row in rows if row.accuracy), None):
        yield f"mAP at IoU 0.5 (area) and COCO AP 50:95 in points of 100, {photos}."
    for where in columns:
        speeds = [speed for row in rows if (speed := speed_at(row, where))]
        one = speeds[0]
        ratio = f"; ratio to {one.reference}, median over the turns" if one.reference else ""
        yield (
            f"{place_name(where)}: {len(speeds)} models in turns, {one.rounds} rounds over {one.pictures} images, "
            f"median ms of total (pre + forward + post){ratio}; load before the run {one.load:.1f}."
        )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _map(row: Row) -> float | None:
    return row.accuracy and row.accuracy.map


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _speed_cells(speed: Speed | None) -> list[str]:
    if speed is None:
        return ["-", "-"]
    steps = f"{speed.total:.1f} ({speed.pre:.1f} + {speed.forward:.1f} + {speed.post:.1f})"
    return [steps, "-" if speed.ratio is None else f"{speed.ratio:.2f}"]
