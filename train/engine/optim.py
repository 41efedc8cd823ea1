"""What descends, how fast, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..common.errors import TrainError
from .config import OPTIMIZERS, LoopConfig
from .schedules import STEP, cosine_factor, find_solver, parse_epochs, step_factor


def freeze(net: nn.Module, names: str) -> None:
    """Takes the named backbone layers ("conv1,fire2") out of training. Raises TrainError for an unknown name."""
    layers = dict(net.features.named_children())
    for name in filter(None, names.split(",")):
        if name not in layers:
            raise TrainError(f"no backbone layer called {name!r}; there are {', '.join(layers)}")
        layers[name].requires_grad_(False)


def train_mode(net: nn.Module) -> None:
    """`net.train()`, but a norm that does not learn keeps its moments, or the layers after it would see others."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.weight.requires_grad:
            module.eval()


def make_optimizer(
    net: nn.Module, lr: float, backbone_factor: float, weight_decay: float, name: str = "sgd"
) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or AdamW. No decay on biases and norms; the pretrained backbone learns more slowly.

    Each group's own peak rate stands in its "base_lr".
    """
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


class LRScheduler:
    """The optimiser of a run, and its learning rate at each of the run's steps.

    Args:
        steps: of each epoch.

    Raises:
        TrainError: the run has more steps than the solver file, which `scale_schedule` would stretch to it.
    """

    def __init__(self, config: LoopConfig, net: nn.Module, steps: Sequence[int]) -> None:
        self.config, self.total_steps = config, sum(steps)
        self.falls = [sum(steps[:epoch]) for epoch in parse_epochs(config.lr_epochs)]
        self.solver = find_solver(config.schedule)
        if self.solver is None:
            lr = config.lr or OPTIMIZERS[config.optimizer]
            self.optimizer = make_optimizer(net, lr, config.backbone_lr, config.weight_decay, config.optimizer)
            return
        if self.total_steps > self.solver.max_iter and not config.scale_schedule:
            raise TrainError(
                f"{len(steps)} epochs: {self.total_steps} steps; --schedule {config.schedule} ends after "
                f"{self.solver.max_iter} (or give --scale-schedule)"
            )
        self.optimizer = self.solver.make_optimizer(net, config.lr or self.solver.base_lr)

    def factor(self, step: int) -> float:
        """Learning rate of a step of the run, in [0, total_steps), as a share of the highest."""
        config = self.config
        if config.schedule == STEP:
            return step_factor(step, self.falls, config.lr_gamma, config.warmup)
        if self.solver is None:
            return cosine_factor(step, self.total_steps, config.warmup)
        if config.scale_schedule:
            step = step * self.solver.max_iter // self.total_steps
        return self.solver.lr_factor(step)

    def set_rate(self, step: int) -> None:
        factor = self.factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    @property
    def rate(self) -> float:
        """The highest of the groups' learning rates, as it stands."""
        return max(group["lr"] for group in self.optimizer.param_groups)


class ModelEma:
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
