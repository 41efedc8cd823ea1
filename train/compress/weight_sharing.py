"""Weight sharing: a layer has few distinct weights, which learn (Deep Compression, arXiv 1510.00149, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils import parametrize

from ..models.fuse import convolutions
from .kmeans import cluster, nearest


class SharedWeights(nn.Module):
    """Parametrisation of a tensor by its centroids: (k,) to `indices`' shape. Index 0 is +0.0 and learns nothing,
    index i is centroid i - 1.

    The tensor that learns is the (k,) centroids, so the gradient of a centroid is the sum of those of its members.
    The indices are a buffer, so checkpoints and `ModelEma` carry them.
    """

    def __init__(self, indices: torch.Tensor, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("indices", indices.to(torch.int32))

    def forward(self, centroids: torch.Tensor) -> torch.Tensor:
        return pad(centroids, (1, 0)).index_select(0, self.indices.flatten()).view(self.indices.shape)

    def right_inverse(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean of each centroid's members."""
        indices = self.indices.flatten()
        sums = torch.zeros(self.count + 1, dtype=torch.float64).index_add_(0, indices, tensor.flatten().double())
        return (sums / torch.bincount(indices, minlength=self.count + 1))[1:].to(tensor.dtype)


def share_weights(net: nn.Module, counts: Mapping[str, int]) -> None:
    """Shares the tensors named in `counts` ("features.conv1.weight": 64): each gets at most that many centroids, beside
    zero. What is zero stays zero.

    Args:
        net: one with plain weights (`fuse_batchnorm`), on the CPU.
    """
    layers = convolutions(net)
    for name, count in counts.items():
        layer, _, kind = name.rpartition(".")
        tensor = getattr(layers[layer], kind)
        indices, used = cluster_indices(tensor.detach().numpy(), count)
        if used:
            parametrize.register_parametrization(layers[layer], kind, SharedWeights(torch.from_numpy(indices), used))


def cluster_indices(tensor: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """For each item 0 if it is zero, or 1 + the cluster it is in; and the number of clusters, `count` at most."""
    indices = np.zeros(tensor.shape, np.int64)
    live = tensor != 0
    if not live.any():
        return indices, 0
    centroids = cluster(tensor[live], count)
    # Numbered anew: with centroids a rounding apart one may have no member.
    used, members = np.unique(nearest(tensor[live].astype(np.float64), centroids), return_inverse=True)
    indices[live] = 1 + members
    return indices, len(used)


def formula_ratio(items: int, clusters: int, bits: int = 32) -> float:
    """How many times smaller sharing makes a tensor: r = n b / (n log2 k + k b) (the paper's section 3).

    >>> formula_ratio(16, 4)  # the paper's figure 3
    3.2
    """
    return items * bits / (items * math.log2(clusters) + clusters * bits) if clusters else float("inf")


def share_counts(net: nn.Module, bits: Mapping[str, int], bias_bits: int) -> dict[str, int]:
    """What `share_weights` is to do: 2^bits centroids for each weight, and 2^bias_bits for each bias where that
    is smaller.

    Args:
        bits: by convolution; 0 leaves its weight as it is.
        bias_bits: 0 leaves all biases as they are.
    """
    counts = {}
    for name, conv in convolutions(net).items():
        if bits[name]:
            counts[f"{name}.weight"] = 2 ** bits[name]
        if bias_bits and formula_ratio(conv.bias.numel(), 2**bias_bits) > 1:
            counts[f"{name}.bias"] = 2**bias_bits
    return counts
