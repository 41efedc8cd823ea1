"""The learning rate over time: a cosine, steps, or as one of the Caffe solver files prescribes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..common.errors import TrainError


@dataclass(frozen=True)
class CaffeSolver:
    """The numbers of a Caffe solver file that say how to descend.

    Attributes:
        base_lr: learning rate of iteration 0.
        lr_policy: ``"step"``: base_lr * gamma ^ floor(iteration / stepsize);
            ``"poly"``: base_lr * (1 - iteration / max_iter) ^ power (caffe's sgd_solver.cpp).
        max_iter: iterations of the whole training.
        momentum, weight_decay: of SGD, the decay on biases too: none of these nets sets a `decay_mult`.

    >>> CaffeSolver(0.03, "step", 1_500_000, gamma=0.5, stepsize=100_000).lr_factor(250_000)
    0.25
    """

    base_lr: float
    lr_policy: str
    max_iter: int
    gamma: float = 1.0
    stepsize: int = 1
    power: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 2e-4

    def lr_factor(self, iteration: int) -> float:
        """Learning rate of an iteration in [0, max_iter), as a share of `base_lr`."""
        if self.lr_policy == "step":
            return self.gamma ** (iteration // self.stepsize)
        return (1 - iteration / self.max_iter) ** self.power

    def make_optimizer(self, net: nn.Module, lr: float) -> torch.optim.SGD:
        """Caffe's SGD, but for where the rate stands: its velocity holds lr * gradient, PyTorch's the gradient. The
        two differ only in the few steps after a change of the rate."""
        groups = [{"params": list(net.parameters()), "base_lr": lr}]
        return torch.optim.SGD(groups, lr=lr, momentum=self.momentum, weight_decay=self.weight_decay)


SOLVERS = {
    # opencv_contrib, modules/dnn_objdetect/samples/data/SqueezeNet_solver.prototxt; its batches are of 64 images
    "squeezenet2017": CaffeSolver(0.03, "step", 1_500_000, gamma=0.5, stepsize=100_000),
    # ... SqueezeDet_solver.prototxt: no step falls within its iterations, so the rate never changes
    "squeezedet2017": CaffeSolver(1e-6, "step", 100_000, gamma=0.5, stepsize=100_000),
    # forresti/SqueezeNet, SqueezeNet_v1.0/solver.prototxt, of the ImageNet weights; 16 batches of 32 are one step there
    "deepscale": CaffeSolver(0.04, "poly", 170_000, power=1.0),
}
COSINE, STEP = "cosine", "step"
SCHEDULES = (COSINE, STEP, *SOLVERS)


def find_solver(name: str) -> CaffeSolver | None:
    """The solver file of that name; None for the schedules that are none. Raises TrainError for an unknown name."""
    if name not in SCHEDULES:
        raise TrainError(f"--schedule {name}: there are {', '.join(SCHEDULES)}")
    return SOLVERS.get(name)


def parse_epochs(text: str) -> list[int]:
    """ "8,11" to [8, 11]. Raises TrainError for anything but rising numbers of 1 or more."""
    try:
        epochs = [int(part) for part in text.split(",")] if text else []
    except ValueError:
        epochs = [0]
    if any(later <= earlier for earlier, later in zip([0, *epochs], epochs)):
        raise TrainError(f"--lr-epochs {text}: expected rising numbers of epochs, as in 8,11")
    return epochs


def cosine_factor(step: int, total_steps: int, warmup_steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def step_factor(step: int, falls: Sequence[int], gamma: float, warmup_steps: int) -> float:
    """Linear warm-up, then 1, and gamma times as much from each of the steps `falls` on.

    >>> [step_factor(step, [4, 6], 0.1, 2) for step in (0, 1, 3, 4)]
    [0.5, 1.0, 1.0, 0.1]
    """
    warm = min((step + 1) / warmup_steps, 1.0) if warmup_steps else 1.0
    return warm * gamma ** sum(step >= fall for fall in falls)
