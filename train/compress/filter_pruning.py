"""Structured pruning: whole filters of the Fires go, so that the net is smaller, and faster on any runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import partial

import torch

from ..common.errors import TrainError
from ..data.batch import Batch
from ..losses import Loss
from ..models.fire import Fire
from ..models.fuse import convolutions
from ..models.hooks import reading_outputs
from ..models.squeezedet import SqueezeDet

# Filters go in groups of so many, as OpenCV computes channels in blocks: of 4 in 4.14, of 8 in 5.1, where a 3x3
# convolution with 52 to 60 outputs is slower than one with 64 (docs/history.md, "Widths of convolutions").
GROUPS = {"squeeze": 8, "expand_1x1": 16, "expand_3x3": 16}


def filters(net: SqueezeDet) -> dict[str, int]:
    """The convolutions that may lose filters, with the size of the groups in which they do."""
    return {f"{path}.{part}.0": size for path in fire_widths(net) for part, size in GROUPS.items()}


def fire_widths(net: SqueezeDet) -> dict[str, tuple[int, int, int]]:
    """Squeeze, expand 1x1 and expand 3x3 of each Fire, by its path."""
    return {
        path: (module.squeeze[0].out_channels, module.expand_1x1[0].out_channels, module.expand_3x3[0].out_channels)
        for path, module in net.named_modules()
        if isinstance(module, Fire)
    }


def sources(net: SqueezeDet) -> dict[str, list[str]]:
    """Of each convolution, which ones' outputs it reads, concatenated; in the order of computation."""
    found: dict[str, list[str]] = {}
    before: list[str] = []
    for name in convolutions(net):
        if name.endswith(".expand_3x3.0"):  # it stands beside expand_1x1
            found[name] = found[before[0]]
            before = [*before, name]
        else:
            found[name], before = before, [name]
    return found


def all_kept(net: SqueezeDet, kept: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Of each convolution the outputs and the inputs that stay: ascending int64.

    Args:
        kept: the outputs that stay, of convolutions that lose some.
    """
    convs = convolutions(net)
    outputs = {name: kept.get(name, torch.arange(conv.out_channels)) for name, conv in convs.items()}
    found = {}
    for name, read in sources(net).items():
        inputs, offset = [], 0
        for source in read:
            inputs.append(outputs[source] + offset)
            offset += convs[source].out_channels
        found[name] = outputs[name], torch.cat(inputs) if read else torch.arange(convs[name].in_channels)
    return found


@torch.no_grad()
def narrow(net: SqueezeDet, kept: Mapping[str, torch.Tensor]) -> SqueezeDet:
    """A smaller net with copies of the weights that are left. Its output is that of `net` with the other
    filters at 0.

    Args:
        net: a folded one.
        kept: for convolutions in `filters`, which outputs stay: ascending int64. Of the others all do.
    """
    parts = all_kept(net, kept)
    widths = {path: tuple(len(parts[f"{path}.{part}.0"][0]) for part in GROUPS) for path in fire_widths(net)}
    config = dataclasses.replace(
        net.config,
        squeeze_factor=1,
        backbone_fires=tuple(width for path, width in widths.items() if path.startswith("features.")),
        head_fires=tuple(width for path, width in widths.items() if path.startswith("head.")),
    )
    small, convs = SqueezeDet(config, net.anchors_per_cell, net.num_classes), convolutions(net)
    for name, conv in convolutions(small).items():
        outputs, inputs = parts[name]
        conv.weight.copy_(convs[name].weight[outputs][:, inputs])
        conv.bias.copy_(convs[name].bias[outputs])
    return small.eval()


def loss_changes(net: SqueezeDet, batches: Iterable[Batch], loss: Loss) -> dict[str, torch.Tensor]:
    """The importance of each filter: the squared change of the loss if it were 0, to first order, summed over batches
    (arXiv 1906.10771, equation 8; of weights and bias together). (out,) float64 of each convolution in `filters`."""
    convs = {name: convolutions(net)[name] for name in filters(net)}
    found = {name: torch.zeros(conv.out_channels, dtype=torch.float64) for name, conv in convs.items()}
    for batch in batches:
        net.zero_grad(set_to_none=True)
        sum(loss(net.split(net(batch.images)), batch).values()).backward()
        for name, conv in convs.items():
            change = (conv.weight.grad * conv.weight).sum(dim=(1, 2, 3)) + conv.bias.grad * conv.bias
            found[name] += change.detach().double().square()
    net.zero_grad(set_to_none=True)
    return found


@torch.no_grad()
def cells(net: SqueezeDet, input_wh: tuple[int, int]) -> dict[str, int]:
    """At how many places each convolution is computed."""
    found: dict[str, int] = {}

    def count(name: str, output: torch.Tensor) -> None:
        found[name] = output[0, 0].numel()

    with reading_outputs({conv: partial(count, name) for name, conv in convolutions(net).items()}):
        net(torch.zeros(1, 3, input_wh[1], input_wh[0]))
    return found


def filter_costs(net: SqueezeDet, input_wh: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds that one filter less saves, in its own convolution and in those that read it."""
    convs, places = convolutions(net), cells(net, input_wh)
    costs = {name: places[name] * conv.weight[0].numel() for name, conv in convs.items()}
    for name, read in sources(net).items():
        for source in read:
            costs[source] += places[name] * convs[name].weight[:, 0].numel()
    return costs


def choose(
    importance: Mapping[str, torch.Tensor], costs: Mapping[str, float], groups: Mapping[str, int], share: float
) -> dict[str, torch.Tensor]:
    """Which filters stay (ascending int64, for `narrow`) if at least a share of all goes, group by group, those first
    that matter least for what they cost. Each layer keeps a group at least, and a whole number of groups if it loses
    any.

    Args:
        importance: (out,) of each layer.
        costs: of one filter of each layer; groups: as of `filters`.

    Raises:
        TrainError: that fraction of the filters cannot go.
    """
    orders = {name: values.argsort(stable=True) for name, values in importance.items()}
    steps: list[tuple[float, str, int]] = []  # mean importance by cost, layer, how many filters
    for name, order in orders.items():
        done, size = 0, len(order) % groups[name] or groups[name]
        while len(order) - done - size >= groups[name]:
            worth = importance[name][order[done : done + size]].mean().item() / costs[name]
            steps.append((worth, name, size))
            done, size = done + size, groups[name]
    count = sum(len(order) for order in orders.values())
    gone = dict.fromkeys(orders, 0)
    for _, name, size in sorted(steps, key=lambda step: step[0]):  # stable: the groups of a layer stay in their order
        if sum(gone.values()) >= share * count:
            break
        gone[name] += size
    if sum(gone.values()) < share * count:
        raise TrainError(f"--structured {share}: only {sum(gone.values())} of {count} filters can go")
    return {name: order[gone[name] :].sort().values for name, order in orders.items()}


def check_share(net: SqueezeDet, share: float) -> None:
    """Raises TrainError if that fraction of the filters cannot go."""
    if share and not isinstance(net, SqueezeDet):
        raise TrainError(f"--structured {share}: only for a SqueezeDet of one grid")
    groups = filters(net)
    equal = {name: torch.ones(convolutions(net)[name].out_channels) for name in groups}
    choose(equal, dict.fromkeys(groups, 1), groups, share)
