"""`python -m train average`: several nets of one shape as one, whose weights are the mean of theirs.

Nets that were trained on from a common one, each its own way, often lie in one basin of the loss, nearer to its middle
together than each alone: the mean then finds more than any of them, in the time of one ("model soups", arXiv
2203.05482). The mean of nets that started apart finds nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.average import average_checkpoints
from ..checkpoints.native import save_plain
from ..common.errors import TrainError
from ..trainers.detection_config import trained_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", nargs="+", help="two or more: .pt of `fit` or `compress`, .onnx or .sqdet")
    parser.add_argument("--out", required=True, help="checkpoint to write, NAME.pt")


def run(args: argparse.Namespace) -> None:
    if Path(args.out).suffix != ".pt":
        raise TrainError(f"--out {args.out}: expected a name that ends in .pt")
    net, spec = average_checkpoints(args.checkpoints)
    save_plain(Path(args.out), net, spec, trained_config(args.checkpoints[0]))
    print(f"{args.out}: the mean of {len(args.checkpoints)} nets")
