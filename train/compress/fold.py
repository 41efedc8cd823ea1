"""The same net with nothing but convolutions: what is exported, and so what is to be pruned and shared."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from ..models.squeezedet import SqueezeDet


def convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions by their path in the net, in the order of its definition."""
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}


@torch.no_grad()
def fold(net: SqueezeDet) -> SqueezeDet:
    """A copy that computes the same in evaluation mode, with plain weights: BatchNorm is part of the convolution
    before it, and what `Masked` and `Shared` make of a weight is the weight.

    A norm scales whole channels. Folded later, it would tear a shared weight into as many values as there are
    channels.
    """
    plain = SqueezeDet(dataclasses.replace(net.config, head_norm=False), net.num_shapes, net.num_classes)
    modules = dict(net.named_modules())
    for name, conv in convolutions(plain).items():
        weight, bias = modules[name].weight, modules[name].bias
        norm = modules.get(f"{name.removesuffix('.0')}.1")  # the second layer of a ConvAct
        if isinstance(norm, nn.BatchNorm2d):
            weight, bias = _fold_norm(weight, bias, norm)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return plain.eval()


def _fold_norm(
    weight: torch.Tensor, bias: torch.Tensor | None, norm: nn.BatchNorm2d
) -> tuple[torch.Tensor, torch.Tensor]:
    """y = gamma (w x + b - mean) / sqrt(var + eps) + beta as one convolution, in float64."""
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean.double()
    return weight.double() * gain[:, None, None, None], shift * gain + norm.bias.double()
