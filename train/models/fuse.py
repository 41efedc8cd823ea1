"""The same net with nothing but convolutions, which is what is exported, pruned and shared; and back again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from .batchnorm import recalibrate_batchnorm
from .squeezedet import SqueezeDet

IDLE_VARIANCE = 1 - 1e-5  # of a norm that changes no scale: BatchNorm's own eps makes it 1


def convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions by their path in the net, in the order of its definition."""
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}


@torch.no_grad()
def fuse_batchnorm(net: SqueezeDet) -> SqueezeDet:
    """A copy that computes the same in evaluation mode, with plain weights: BatchNorm is part of the convolution
    before it, and what `PruningMask` and `SharedWeights` make of a weight is the weight.

    A norm scales whole channels. Folded later, it would tear a shared weight into as many values as there are
    channels.
    """
    plain = SqueezeDet(
        dataclasses.replace(net.config, backbone_norm=False, head_norm=False), net.anchors_per_cell, net.num_classes
    )
    modules = dict(net.named_modules())
    for name, conv in convolutions(plain).items():
        weight, bias = modules[name].weight, modules[name].bias
        norm = _norm_after(name, modules)
        if norm:
            weight, bias = _fold_norm(weight, bias, norm)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return plain.eval()


def fused_arrays(net: SqueezeDet) -> dict[str, torch.Tensor]:
    """The weights of the folded net by layer, "features.fire2.squeeze.weight", as our exports name them."""
    arrays = {}
    for name, conv in convolutions(fuse_batchnorm(net)).items():
        layer = name.removesuffix(".0")  # the first module of a ConvAct
        arrays |= {f"{layer}.weight": conv.weight.detach(), f"{layer}.bias": conv.bias.detach()}
    return arrays


def unfuse(arrays: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What of the state of a net (`own`) such arrays fill. A layer with BatchNorm gets the folded weights and a norm
    that does nothing but add the folded bias, so that it computes the same; before it is trained, such a norm is to be
    settled (`norms.recalibrate_batchnorm`)."""
    found = {}
    for name in own:
        module, _, kind = name.rpartition(".")
        # conv is LAYER.0 and its norm LAYER.1 in a ConvAct
        stem, _, position = module.rpartition(".")
        layer = stem if position in ("0", "1") else module
        if position == "1" and f"{layer}.weight" in arrays:
            bias = arrays.get(f"{layer}.bias", torch.zeros(len(arrays[f"{layer}.weight"])))
            if kind == "bias":
                found[name] = bias
            elif kind == "weight":
                found[name] = torch.ones_like(bias)
            elif kind == "running_mean":
                found[name] = torch.zeros_like(bias)
            elif kind == "running_var":
                found[name] = torch.full_like(bias, IDLE_VARIANCE)
        elif f"{layer}.{kind}" in arrays:
            found[name] = arrays[f"{layer}.{kind}"]
    return found


def unfuse_batchnorm(net: SqueezeDet, images: Iterable[torch.Tensor]) -> SqueezeDet:
    """The opposite of `fuse_batchnorm`: a copy that computes the same in evaluation mode and has BatchNorm in all its
    Fires, with the moments of these images. It trains better than the fused net: at a higher learning rate, and without
    scales drifting apart.

    Args:
        images: batches (N, 3, H, W) as the net will be trained on; one pass over them.
    """
    config = dataclasses.replace(net.config, backbone_norm=True, head_norm=True)
    normed = SqueezeDet(config, net.anchors_per_cell, net.num_classes).eval()
    normed.load_state_dict(normed.state_dict() | unfuse(fused_arrays(net), normed.state_dict()))
    recalibrate_batchnorm(normed, images)
    return normed


@torch.no_grad()
def fused_weights(net: nn.Module) -> dict[str, torch.Tensor]:
    """The weight of each convolution times the scale of the norm after it: what `fuse_batchnorm` would make of it."""
    modules = dict(net.named_modules())
    found = {}
    for name, conv in convolutions(net).items():
        norm = _norm_after(name, modules)
        found[name] = (conv.weight.double() * _gain(norm)).to(conv.weight.dtype) if norm else conv.weight
    return found


def _norm_after(name: str, modules: Mapping[str, nn.Module]) -> nn.BatchNorm2d | None:
    norm = modules.get(f"{name.removesuffix('.0')}.1")  # the second layer of a ConvAct
    return norm if isinstance(norm, nn.BatchNorm2d) else None


def _gain(norm: nn.BatchNorm2d) -> torch.Tensor:
    """(out, 1, 1, 1) float64."""
    return (norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt())[:, None, None, None]


def _fold_norm(
    weight: torch.Tensor, bias: torch.Tensor | None, norm: nn.BatchNorm2d
) -> tuple[torch.Tensor, torch.Tensor]:
    """y = gamma (w x + b - mean) / sqrt(var + eps) + beta as one convolution, in float64."""
    gain = _gain(norm)
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean.double()
    return weight.double() * gain, shift * gain.flatten() + norm.bias.double()
