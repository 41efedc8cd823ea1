"""The optimizer, which layers it trains, and the moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn

from ..common.errors import TrainError


def freeze(net: nn.Module, names: str) -> None:
    """Takes the named backbone layers ("conv1,fire2") out of training. Raises TrainError for an unknown name."""
    layers = dict(net.features.named_children())
    for name in filter(None, names.split(",")):
        if name not in layers:
            raise TrainError(f"no backbone layer called {name!r}; there are {', '.join(layers)}")
        layers[name].requires_grad_(False)


def train_mode(net: nn.Module) -> None:
    """`net.train()`, but frozen norms keep their moments: otherwise the layers after them would see other values."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.weight.requires_grad:
            module.eval()


def make_optimizer(
    net: nn.Module, lr: float, backbone_factor: float, weight_decay: float, name: str = "sgd"
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW. Biases and norms have no weight decay, and the pretrained backbone learns
    more slowly. Each group has its highest rate in "base_lr"."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter_name, parameter in net.named_parameters():
        if parameter.requires_grad:
            factor = backbone_factor if parameter_name.startswith("features.") else 1.0
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    settings = [
        {"params": params, "lr": lr * f, "base_lr": lr * f, "weight_decay": d} for (f, d), params in groups.items()
    ]
    if name == "adamw":
        return torch.optim.AdamW(settings, lr=lr)
    return torch.optim.SGD(settings, lr=lr, momentum=0.9, nesterov=True)


class ModelEma:
    """Exponential moving average of all floating-point weights and buffers; the rest is copied.

    The average starts short and lengthens to `decay`, so that it soon forgets the random start.
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
