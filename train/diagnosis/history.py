"""The measurements of a run, epoch by epoch, in RUN/activations.npz."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sqdet_cv.util.atomic_files import atomic_path

from ..common.errors import TrainError
from .activations import BIN_EDGES, Measurement

FILE = "activations.npz"


@dataclass(frozen=True, eq=False)
class History:
    """Measurements of one net, with rising epochs.

    Attributes:
        epochs: E rising numbers. measurements: one each, all of the same layers.
    """

    epochs: tuple[int, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    def before(self, epoch: int) -> History:
        count = sum(one < epoch for one in self.epochs)
        return History(self.epochs[:count], self.measurements[:count])

    def with_epoch(self, epoch: int, found: Measurement) -> History:
        """With this as the last: what was there of `epoch` and later is of a run that was stopped and done again.

        Raises:
            TrainError: the epochs before are of a net with other layers.
        """
        kept = self.before(epoch)
        if kept.epochs and kept.measurements[0].layers != found.layers:
            raise TrainError(f"{FILE}: of a net with other layers; it is of another run: delete it")
        return History((*kept.epochs, epoch), (*kept.measurements, found))

    def dead(self) -> np.ndarray:
        """(E, L) shares in [0, 1]."""
        return np.array([found.dead for found in self.measurements])

    def silent(self) -> np.ndarray:
        """(E, L) shares in [0, 1]."""
        return np.array([found.silent for found in self.measurements])


def save_history(folder: str | Path, history: History) -> None:
    """Writes FOLDER/activations.npz at once or not at all; there must be an epoch."""
    first = history.measurements[0]
    arrays = {
        name: np.stack([getattr(found, name) for found in history.measurements])
        for name in ("histograms", "silent", "finite")
    }
    with atomic_path(Path(folder) / FILE) as temporary:
        np.savez_compressed(
            temporary,
            edges=BIN_EDGES,
            epochs=np.array(history.epochs),
            layers=np.array(first.layers),
            units=first.units,
            slopes=first.slopes,
            **arrays,
        )


def load_history(folder: str | Path) -> History:
    """What `save_history` wrote; an empty one if there is no file. Raises TrainError that names a damaged one."""
    path = Path(folder) / FILE
    if not path.exists():
        return History()
    try:
        with np.load(path) as archive:
            arrays = dict(archive)
        if not np.array_equal(arrays["edges"], BIN_EDGES):
            raise ValueError("other bins than this version's")
        common = Measurement(tuple(arrays["layers"].tolist()), arrays["units"], arrays["slopes"], *[np.empty(0)] * 3)
        rows = zip(arrays["histograms"], arrays["silent"], arrays["finite"], strict=True)
        measurements = tuple(
            replace(common, histograms=histograms, silent=silent, finite=finite) for histograms, silent, finite in rows
        )
        return History(tuple(arrays["epochs"].tolist()), measurements)
    except Exception as error:  # NumPy raises zip, pickle, end-of-file and key errors alike
        raise TrainError(f"{path}: not a history of activations ({error}); delete it to begin a new one") from None
