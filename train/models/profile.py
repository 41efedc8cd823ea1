"""What a net costs: parameters, multiply-accumulates, and the share of its weights that is zero."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .fuse import convolutions


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@torch.no_grad()
def count_macs(net: nn.Module, input_wh: tuple[int, int]) -> int:
    """Multiply-accumulates of all convolutions for one image. Biases, norms and activations are not counted."""
    was_training = net.training
    net.eval()
    try:
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, input_wh[1], input_wh[0]))
    finally:
        net.train(was_training)
    return counter.get_total_flops() // 2  # PyTorch counts the multiplication and the addition


@torch.no_grad()
def zero_share(net: nn.Module) -> float:
    """The share of all convolutions' weights that is zero, in [0, 1]."""
    weights = [conv.weight for conv in convolutions(net).values()]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
