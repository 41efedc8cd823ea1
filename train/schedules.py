"""How `python -m train classify` descends: SGD with a cosine, or as one of the Caffe solver files prescribes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .errors import TrainError


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
    # opencv_contrib, modules/dnn_objdetect/samples/data/SqueezeNet_solver.prototxt; its batches are of 64 pictures
    "squeezenet2017": CaffeSolver(0.03, "step", 1_500_000, gamma=0.5, stepsize=100_000),
    # ... SqueezeDet_solver.prototxt: no step falls within its iterations, so the rate never changes
    "squeezedet2017": CaffeSolver(1e-6, "step", 100_000, gamma=0.5, stepsize=100_000),
    # forresti/SqueezeNet, SqueezeNet_v1.0/solver.prototxt, of the ImageNet weights; 16 batches of 32 are one step there
    "deepscale": CaffeSolver(0.04, "poly", 170_000, power=1.0),
}
COSINE = "cosine"
SCHEDULES = (COSINE, *SOLVERS)


def find_solver(name: str) -> CaffeSolver | None:
    """The solver file of that name; None for the cosine. Raises TrainError for an unknown name."""
    if name not in SCHEDULES:
        raise TrainError(f"--schedule {name}: there are {', '.join(SCHEDULES)}")
    return SOLVERS.get(name)
