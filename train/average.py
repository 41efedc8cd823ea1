"""`python -m train average`: the mean of several detectors' weights, one detector again.

Nets that were trained on from one another, or from the same net, often lie in one basin: the mean of their weights is
then as good as the better of them, or better, for the time of one (model soups, arXiv 2203.05482). Whether it is,
`python -m train eval` says.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from .checkpoint import net_from_checkpoint
from .compress.compress import save_plain, trained_config
from .errors import TrainError
from .fold import fold
from .models.squeezedet import SqueezeDet


@torch.no_grad()
def average(nets: Sequence[SqueezeDet], shares: Sequence[float]) -> SqueezeDet:
    """The net whose weights are the mean of those of `nets`, each by its share of the sum of `shares`.

    BatchNorm is folded into the weights first. Raises TrainError where the nets are not of one shape.
    """
    folded = [fold(net) for net in nets]
    if any(_shape(net) != _shape(folded[0]) for net in folded):
        raise TrainError("the nets differ in shape; a mean needs nets that were trained on from one")
    mean, states, total = folded[0], [net.state_dict() for net in folded], sum(shares)
    weights = {
        name: sum(state[name] * (share / total) for state, share in zip(states, shares, strict=True))
        for name in states[0]
    }
    mean.load_state_dict(weights)
    return mean


def _shape(net: SqueezeDet) -> dict[str, object]:
    """What must be the same: not the config, which can say one shape in several ways."""
    shapes: dict[str, object] = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    return shapes | {"slope": net.config.leaky_slope, "padding": net.config.convdet_padding}


def parse_shares(text: str, count: int) -> list[float]:
    """Comma-separated numbers above 0, one for each of `count` nets; "": all the same."""
    try:
        shares = [float(part) for part in text.split(",")] if text else [1.0] * count
    except ValueError:
        shares = []
    if len(shares) != count or not all(0 < share < float("inf") for share in shares):
        raise TrainError(f"--shares {text}: expected {count} numbers above 0, one for each checkpoint")
    return shares


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoints", nargs="+", help="two or more, of `fit` or `compress`, or exported .onnx or .sqdet; of one shape"
    )
    parser.add_argument("--shares", default="", help="how much each counts, comma-separated (default: all the same)")
    parser.add_argument("--out", required=True, help="checkpoint to write; the first one says how it was trained")


def run(args: argparse.Namespace) -> None:
    if len(args.checkpoints) < 2:
        raise TrainError(f"{args.checkpoints[0]}: expected two checkpoints or more")
    shares = parse_shares(args.shares, len(args.checkpoints))
    out = Path(args.out)
    if out.suffix != ".pt":
        raise TrainError(f"--out {out}: expected a .pt file")
    nets, specs = zip(*[net_from_checkpoint(path) for path in args.checkpoints])
    for path, spec in zip(args.checkpoints, specs):
        if spec != specs[0]:
            raise TrainError(f"{path}: other labels, anchors or input than {args.checkpoints[0]}")
    save_plain(out, average(nets, shares), specs[0], trained_config(args.checkpoints[0]))
