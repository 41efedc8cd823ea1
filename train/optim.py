"""The optimiser's parameter groups, the learning rate over time, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from .errors import TrainError


def freeze(net: nn.Module, names: Sequence[str]) -> None:
    """Takes the named backbone layers (conv1, fire2, ...) out of training. Raises TrainError for an unknown name."""
    layers = dict(net.features.named_children())
    for name in names:
        if name not in layers:
            raise TrainError(f"no backbone layer called {name!r}; there are {', '.join(layers)}")
        layers[name].requires_grad_(False)


def make_optimizer(net: nn.Module, lr: float, backbone_factor: float, weight_decay: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum. No decay on biases and norms; the pretrained backbone learns more slowly."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            factor = backbone_factor if name.startswith("features.") else 1.0
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.SGD(
        [{"params": params, "lr": lr * f, "base_lr": lr * f, "weight_decay": d} for (f, d), params in groups.items()],
        lr=lr,
        momentum=0.9,
        nesterov=True,
    )


def lr_factor(step: int, total_steps: int, warmup_steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class WeightAverage:
    """Exponential moving average of all floating-point weights and buffers; the rest is copied.

    The average starts short and lengthens to `decay`, so that the random start is forgotten soon.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.values = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)
