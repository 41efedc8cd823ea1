"""`python -m train average`: several nets of one shape as one, whose weights are the mean of theirs.

Nets that were trained on from a common one, each its own way, often lie in one basin of the loss, nearer to its middle
together than each alone: the mean then finds more than any of them, in the time of one ("model soups", arXiv
2203.05482). Nets that began apart do not, and their mean finds nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..checkpoints.native import net_from_checkpoint
from ..common.errors import TrainError
from ..compress.pipeline import save_plain, trained_config
from ..models.fuse import fuse_batchnorm
from ..models.squeezedet import SqueezeDet


def average(nets: list[SqueezeDet]) -> SqueezeDet:
    """The mean of the weights of folded nets (BatchNorm's moments have no meaningful mean) of one shape; a weight that
    is zero in all stays zero."""
    first, *others = nets
    mean = {name: value.double() for name, value in first.state_dict().items()}
    for other in others:
        for name, value in other.state_dict().items():
            mean[name] += value.double()
    first.load_state_dict({name: (value / len(nets)).float() for name, value in mean.items()})
    return first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", nargs="+", help="two or more: .pt of `fit` or `compress`, .onnx or .sqdet")
    parser.add_argument("--out", required=True, help="checkpoint to write, NAME.pt")


def run(args: argparse.Namespace) -> None:
    if Path(args.out).suffix != ".pt":
        raise TrainError(f"--out {args.out}: expected a name that ends in .pt")
    if len(args.checkpoints) < 2:
        raise TrainError(f"{args.checkpoints[0]}: the mean of one net is that net; expected two or more")
    read = [net_from_checkpoint(path) for path in args.checkpoints]
    nets, (spec, *specs) = [fuse_batchnorm(net) for net, _ in read], [spec for _, spec in read]
    for path, net, other in zip(args.checkpoints[1:], nets[1:], specs):
        if replace(net.config, dropout=0.0) != replace(nets[0].config, dropout=0.0):  # which a released file forgets
            raise TrainError(f"{path}: a net of another shape than {args.checkpoints[0]}")
        if other != spec:
            raise TrainError(f"{path}: its classes, anchors or input size are not those of {args.checkpoints[0]}")
    net = average(nets)
    save_plain(Path(args.out), net, spec, trained_config(args.checkpoints[0]))
    print(f"{args.out}: the mean of {len(nets)} nets")
