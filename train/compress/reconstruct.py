"""Fits the weights of a narrower net so that each layer computes what it did before: least squares on a few images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import nn
from torch.nn.functional import pad, unfold

from ..models.fuse import convolutions
from ..models.hooks import reading_inputs
from ..models.squeezedet import SqueezeDet
from .filter_pruning import all_kept

RIDGE = 1e-4  # pull towards the old weights, relative to the mean square of the inputs: decides where images do not


@torch.no_grad()
def input_moments(net: SqueezeDet, batches: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The mean of x x^T over all places of all images, of each convolution but the first: x is what the convolution
    multiplies with its weights (in the order of `weight.flatten(1)`), and 1 for the bias. float64.

    Args:
        batches: images, (N, 3, H, W) each.
    """
    convs = dict(list(convolutions(net).items())[1:])
    sums = {name: torch.zeros(()) for name in convs}
    places = dict.fromkeys(convs, 0)

    def add(name: str, conv: nn.Conv2d, image: torch.Tensor) -> None:
        columns = unfold(image, conv.kernel_size, padding=conv.padding, stride=conv.stride)
        rows = pad(columns.transpose(0, 1).flatten(1), (0, 0, 0, 1), value=1.0)
        sums[name] = sums[name] + (rows @ rows.T).double()
        places[name] += rows.shape[1]

    with reading_inputs({conv: partial(add, name, conv) for name, conv in convs.items()}):
        for images in batches:
            net(images)
    return {name: total / places[name] for name, total in sums.items()}


@torch.no_grad()
def refit(
    small: SqueezeDet, net: SqueezeDet, kept: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor]
) -> None:
    """Changes the weights of `small` = `narrow(net, kept)` so that, from the inputs that each convolution has left, it
    comes as near as it can to what it made of all (as channel pruning, arXiv 1707.06168, but in closed form and with
    the inputs of the whole net)."""
    convs, parts = convolutions(net), all_kept(net, kept)
    for name, conv in convolutions(small).items():
        outputs, inputs = parts[name]
        if len(inputs) == convs[name].in_channels:
            continue
        items = conv.weight[0, 0].numel()
        columns = (inputs[:, None] * items + torch.arange(items)).flatten()
        columns = torch.cat([columns, torch.tensor([convs[name].in_channels * items])])
        moment = moments[name]
        pull = RIDGE * moment.diagonal().mean()
        weights = torch.cat([convs[name].weight.flatten(1), convs[name].bias[:, None]], dim=1)[outputs].double()
        left = moment[columns][:, columns] + pull * torch.eye(len(columns), dtype=torch.float64)
        right = moment[columns] @ weights.T + pull * weights[:, columns].T
        fitted = torch.linalg.solve(left, right).T
        conv.weight.copy_(fitted[:, :-1].view(conv.weight.shape))
        conv.bias.copy_(fitted[:, -1])
