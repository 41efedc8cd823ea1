"""BatchNorm fused into the convolutions, as a net is exported, pruned and its weights are shared; and back again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .batchnorm import recalibrate_batchnorm
from .registry import AnyNet

IDENTITY_VARIANCE = 1 - 1e-5  # BatchNorm adds its eps of 1e-5: a norm with this variance scales by 1


def convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions by their path in the net, in the order of its definition."""
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}


@torch.no_grad()
def fuse_conv_weights(
    weight: torch.Tensor, bias: torch.Tensor | None, norm: nn.BatchNorm2d
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of one convolution that computes what a convolution and the norm after it compute in evaluation
    mode. They are computed in float64 and returned in the type of `weight`."""
    moments = (norm.running_mean.double(), norm.running_var.double(), norm.eps)
    fused = fuse_conv_bn_weights(
        weight.double(), None if bias is None else bias.double(), *moments, norm.weight.double(), norm.bias.double()
    )
    return fused[0].to(weight.dtype), fused[1].to(weight.dtype)


@torch.no_grad()
def fuse_batchnorm(net: AnyNet) -> AnyNet:
    """A copy that computes the same in evaluation mode and has convolutions only: each BatchNorm is part of the
    convolution before it, and the weights are what `PruningMask` and `SharedWeights` make of them.

    It comes before weights are shared: a norm scales whole channels, so fused later it would split each shared weight
    into as many values as there are channels.
    """
    plain = net.config.with_norms(False).build(net.anchors_per_cell, net.num_classes)
    modules = dict(net.named_modules())
    for name, conv in convolutions(plain).items():
        old, norm = modules[name], _norm_after(name, modules)
        weight, bias = fuse_conv_weights(old.weight, old.bias, norm) if norm else (old.weight, old.bias)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return plain.eval()


def fused_arrays(net: AnyNet) -> dict[str, torch.Tensor]:
    """The weights of the fused net by the names of our exports, as "features.fire2.squeeze.weight"."""
    arrays = {}
    for name, conv in convolutions(fuse_batchnorm(net)).items():
        layer = name.removesuffix(".0")  # the first module of a ConvAct
        arrays |= {f"{layer}.weight": conv.weight.detach(), f"{layer}.bias": conv.bias.detach()}
    return arrays


def unfuse(arrays: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The part of a net's state dict (`own`) that such arrays fill, the opposite of `fused_arrays`.

    A layer with BatchNorm gets the fused weights and a norm that only adds the fused bias, so that it computes the
    same. Before training, `recalibrate_batchnorm` must give such a norm real moments.
    """
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
                found[name] = torch.full_like(bias, IDENTITY_VARIANCE)
        elif f"{layer}.{kind}" in arrays:
            found[name] = arrays[f"{layer}.{kind}"]
    return found


def unfuse_batchnorm(net: AnyNet, images: Iterable[torch.Tensor]) -> AnyNet:
    """The opposite of `fuse_batchnorm`: a copy that computes the same in evaluation mode and has BatchNorm in all its
    Fires, with the moments of these images. It trains better than the fused net: at a higher learning rate, and without
    scales drifting apart.

    Args:
        images: batches (N, 3, H, W) as the net will be trained on; one pass over them.
    """
    normed = net.config.with_norms(True).build(net.anchors_per_cell, net.num_classes).eval()
    normed.load_state_dict(normed.state_dict() | unfuse(fused_arrays(net), normed.state_dict()))
    recalibrate_batchnorm(normed, images)
    return normed


@torch.no_grad()
def fused_weights(net: nn.Module) -> dict[str, torch.Tensor]:
    """The weight of each convolution times the scale of the norm after it: as `fuse_batchnorm` computes it."""
    modules = dict(net.named_modules())
    found = {}
    for name, conv in convolutions(net).items():
        norm = _norm_after(name, modules)
        found[name] = fuse_conv_weights(conv.weight, conv.bias, norm)[0] if norm else conv.weight
    return found


def _norm_after(name: str, modules: Mapping[str, nn.Module]) -> nn.BatchNorm2d | None:
    norm = modules.get(f"{name.removesuffix('.0')}.1")  # the second layer of a ConvAct
    return norm if isinstance(norm, nn.BatchNorm2d) else None
