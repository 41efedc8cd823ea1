"""Pruning by magnitude: the smallest weights become zero and stay it (Deep Compression, arXiv 1510.00149)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..models.fuse import convolutions, fused_weights


class PruningMask(nn.Module):
    """Parametrisation of a weight: where `kept` is False it is +0.0, whatever the optimiser, its momentum, weight
    decay or an average do to the tensor behind it.

    The mask is a buffer, so checkpoints and `ModelEma` carry it. The gradient of a pruned weight is 0.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", weight.detach() != 0)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        # Not a product: that makes -0.0 of negative weights, which the packed file would have to store.
        return torch.where(self.kept, weight, 0.0)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return weight


def add_masks(net: nn.Module) -> None:
    """Gives the weight of every convolution a mask, which keeps what is not zero already. Biases are not pruned."""
    for conv in convolutions(net).values():
        parametrize.register_parametrization(conv, "weight", PruningMask(conv.weight))


@torch.no_grad()
def prune(net: nn.Module, sparsity: float) -> None:
    """Masks a fraction `sparsity` of all weights, to the weight: those with the lowest `lamp_scores`.

    Unlike plain magnitudes these do not depend on a layer's scale: a layer whose inputs are large has small weights,
    and could lose them all.

    Weights are compared as they will be exported, times the scale of the BatchNorm after them. What is masked stays
    masked, so `sparsity` has an effect only where it is above that of the call before.

    Args:
        net: one with masks (`add_masks`).
        sparsity: in [0, 1).
    """
    weights = fused_weights(net)
    masks = [conv.parametrizations.weight[0].kept for conv in convolutions(net).values()]
    # Below every score: a masked weight never changes places with one that happens to be 0.
    scores = torch.cat(
        [torch.where(kept, lamp_scores(weight), -1.0).flatten() for kept, weight in zip(masks, weights.values())]
    )
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[scores.argsort(stable=True)[: round(sparsity * len(scores))]] = False
    keep &= scores >= 0
    for kept, part in zip(masks, keep.split([kept.numel() for kept in masks])):
        kept.copy_(part.view(kept.shape))


def lamp_scores(weight: torch.Tensor) -> torch.Tensor:
    """Layer-adaptive magnitudes (LAMP, arXiv 2010.07611, equation 5): the square of each weight over the sum of the
    squares of those of its layer that are not smaller. In [0, 1], of the weight's shape; 1 for the layer's largest.

    >>> lamp_scores(torch.tensor([3.0, -1.0, 0.0, 2.0]))
    tensor([1.0000, 0.0714, 0.0000, 0.3077])
    """
    squares, order = weight.flatten().double().square().sort(stable=True)
    at_least = squares.flip(0).cumsum(0).flip(0)
    scores = torch.where(squares > 0, squares / at_least, 0.0)
    return torch.empty_like(scores).scatter_(0, order, scores).view(weight.shape).to(weight.dtype)


def cubic_sparsity(step: int, steps: int, first: float, final: float) -> float:
    """The gradual schedule of Zhu & Gupta (arXiv 1710.01878, section 3): fast while much is redundant.

    >>> [cubic_sparsity(step, 4, 0.0, 0.64) for step in (0, 2, 4, 9)]
    [0.0, 0.56, 0.64, 0.64]
    """
    return final + (first - final) * (1 - min(step / steps, 1.0)) ** 3
