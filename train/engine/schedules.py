"""The learning rate over time: a cosine, or steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..common.errors import TrainError

if TYPE_CHECKING:
    from .config import LoopConfig

COSINE, STEP = "cosine", "step"
SCHEDULES = (COSINE, STEP)


class LRScheduler:
    """Sets the learning rate of each step of a run.

    Args:
        optimizer: each of its groups has its highest rate in "base_lr" (`make_optimizer`).
        steps: of each epoch.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: LoopConfig, steps: Sequence[int]) -> None:
        self.optimizer, self.config, self.total_steps = optimizer, config, sum(steps)
        self.falls = [sum(steps[:epoch]) for epoch in parse_epochs(config.lr_epochs)]

    def factor(self, step: int, progress: float | None = None) -> float:
        """The learning rate of a step of the run, in [0, total_steps), as a share of the highest.

        Args:
            progress: of a run that lasts a given time, the share of it that has passed, in [0, 1].
        """
        if progress is not None:
            return min((step + 1) / max(self.config.warmup, 1), 1.0) * cosine_factor(progress, 1, 0)
        if self.config.schedule == STEP:
            return step_factor(step, self.falls, self.config.lr_gamma, self.config.warmup)
        return cosine_factor(step, self.total_steps, self.config.warmup)

    def set_lr(self, step: int, progress: float | None = None) -> None:
        factor = self.factor(step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    @property
    def lr(self) -> float:
        """The highest learning rate of any group, as it is now."""
        return max(group["lr"] for group in self.optimizer.param_groups)


def parse_epochs(text: str | None) -> list[int]:
    """ "8,11" to [8, 11]. Raises TrainError for anything but rising numbers of 1 or more."""
    try:
        epochs = [int(part) for part in text.split(",")] if text else []
    except ValueError:
        epochs = [0]
    if any(later <= earlier for earlier, later in zip([0, *epochs], epochs)):
        raise TrainError(f"--lr-epochs {text}: expected rising numbers of epochs, as in 8,11")
    return epochs


def cosine_factor(step: float, total_steps: float, warmup_steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero (SGDR without restarts, arXiv 1608.03983)."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def step_factor(step: int, falls: Sequence[int], gamma: float, warmup_steps: int) -> float:
    """Linear warm-up, then 1, multiplied by gamma at each of the steps `falls`.

    >>> [step_factor(step, [4, 6], 0.1, 2) for step in (0, 1, 3, 4)]
    [0.5, 1.0, 1.0, 0.1]
    """
    warm = min((step + 1) / warmup_steps, 1.0) if warmup_steps else 1.0
    return warm * gamma ** sum(step >= fall for fall in falls)
