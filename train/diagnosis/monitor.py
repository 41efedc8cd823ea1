"""Measures the activations of a net once an epoch, and warns when a layer dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec

from ..data.loader import DetectionData
from ..data.sample import Sample
from .activations import Measurement, measure
from .history import History, load_history, save_history

MONITORED_IMAGES = 32  # a unit that none of so many images makes fire is of no use; 64 at most
MOST_IMAGES = 64
# A squeeze layer of 16 units with one left passes one number a position on: what was learnt behind it is lost.
DEAD_SHARE = 0.9
# Up to half of a narrow layer's units die in a sane run, and recover; layers of a run at too high a rate of which more
# died did not (docs/history.md, "Dying ReLUs").
DEAD_RISE = 0.5


class ActivationMonitor:
    """The activations of one run's net, on always the same images.

    Args:
        folder: the run's; what was measured before the run was stopped is read from it.
        images: (N, 3, H, W) float32, as `monitored_images` makes them.

    Raises:
        TrainError: the folder holds a damaged history.
    """

    def __init__(self, folder: str | Path, images: torch.Tensor) -> None:
        self.folder, self.images = Path(folder), images
        self.history = load_history(folder)

    def measure(self, net: nn.Module, epoch: int) -> list[str]:
        """Measures the net, writes that down as of `epoch` (from 1), in place of what was there of it, and returns
        the warnings (`find_warnings`)."""
        found = measure(net, self.images)
        before = self.history.before(epoch)
        self.history = self.history.with_epoch(epoch, found)
        save_history(self.folder, self.history)
        return find_warnings(before, found)


def find_warnings(before: History, found: Measurement) -> list[str]:
    """One line for each layer that has just passed a limit: DEAD_SHARE of its units dead, or more than DEAD_RISE more
    of them than at best before; or that is given something not finite. It is said once, not again each epoch."""
    if not before.epochs:
        last, lowest = np.full(len(found.layers), -1.0), np.ones(len(found.layers))
    else:
        last, lowest = before.dead()[-1], before.dead().min(axis=0)
    lines = []
    for i, layer in enumerate(found.layers):
        dead = found.dead[i]
        count = f"{round(dead * found.units[i])} of {found.units[i]} units"
        if not found.finite[i]:
            lines.append(f"{layer}: its values are not finite; lower the learning rate")
        elif last[i] < DEAD_SHARE <= dead:
            lines.append(f"{layer} has died: {count} have no gradient; lower the learning rate, or use LeakyReLU 0.1")
        elif last[i] <= lowest[i] + DEAD_RISE < dead:
            lines.append(f"{layer} is dying: {count} have no gradient, {100 * lowest[i]:.0f} % of them at best before")
    return lines


def monitored_images(samples: Sequence[Sample], spec: ModelSpec, count: int = MONITORED_IMAGES) -> torch.Tensor:
    """(N, 3, H, W) float32: up to `count` images, evenly from the list, whole and unchanged, as the net takes them."""
    data = DetectionData(samples, spec, None, seed=0, epoch=0)
    chosen = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return data.collate([data[int(i), 0] for i in chosen]).images
