"""How many bits each layer gets: the same for all, or as many as a budget of bytes allows."""

from __future__ import annotations

import numpy as np
from torch import nn

from ..common.errors import TrainError
from ..models.fuse import convolutions
from .config import CompressConfig
from .weight_sharing import cluster_indices


def layer_bits(net: nn.Module, config: CompressConfig) -> dict[str, int]:
    """Bits of each convolution's weight, at most `config.bits`."""
    if config.budget:
        weights = {name: conv.weight.detach().numpy() for name, conv in convolutions(net).items()}
        return bits_by_budget(weights, config.budget, config.bits)
    return dict.fromkeys(convolutions(net), config.bits)


def bits_by_budget(weights: dict[str, np.ndarray], budget: int, most: int) -> dict[str, int]:
    """Begins with 1 bit everywhere and gives a bit, again and again, to the layer where it takes away the most error
    for its bytes, until the next would exceed the budget.

    The error of a layer is the squared distance of its weights to their centroids, relative to their own squares:
    about the noise-to-signal ratio that it puts on its output. Bytes are estimated by the entropy.

    Raises:
        TrainError: 1 bit everywhere is more than the budget.
    """
    costs = {name: [_error_and_bytes(weight, bits) for bits in range(1, most + 1)] for name, weight in weights.items()}
    chosen = dict.fromkeys(weights, 1)
    size = sum(steps[0][1] for steps in costs.values())
    if size > budget:
        raise TrainError(f"--budget {budget}: with 1 bit in every layer the weights take about {size:.0f} bytes")

    def gain(name: str) -> float:
        (error, size), (next_error, next_size) = costs[name][chosen[name] - 1 : chosen[name] + 1]
        return (error - next_error) / max(next_size - size, 1.0)

    while open_layers := [name for name in weights if chosen[name] < most]:
        best = max(open_layers, key=gain)
        size += costs[best][chosen[best]][1] - costs[best][chosen[best] - 1][1]
        if size > budget:
            break
        chosen[best] += 1
    return chosen


def _error_and_bytes(weight: np.ndarray, bits: int) -> tuple[float, float]:
    """The relative squared error of 2^bits clusters and zero, and about how many bytes they take, coded."""
    indices, used = cluster_indices(weight, 2**bits)
    flat, values = indices.ravel(), weight.astype(np.float64).ravel()
    counts = np.bincount(flat, minlength=used + 1)
    means = np.bincount(flat, values, used + 1) / np.maximum(counts, 1)
    error = ((values - means[flat]) ** 2).sum() / max((values**2).sum(), 1e-30)
    shares = counts[counts > 0] / len(flat)
    return error, -(shares * np.log2(shares)).sum() * len(flat) / 8 + 4 * used
