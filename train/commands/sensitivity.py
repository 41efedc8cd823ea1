"""`python -m train sensitivity`: what it costs to prune one layer, or to let it share weights, the others untouched.

The numbers go to OUT/sensitivity.json after every layer; the same command goes on with what is there. The
plot is OUT/sensitivity.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.native import net_from_checkpoint
from ..common.errors import TrainError
from ..common.plotting import require_matplotlib
from ..compress.config import MAX_BITS
from ..compress.sensitivity import numbers, scan_sensitivity
from ..compress.sensitivity_plot import plot_scan
from .data_options import add_data_options, load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of `python -m train fit`")
    add_data_options(parser, labels=False)
    parser.add_argument("--images", "--photos", type=int, help="only so many images, evenly spread (default: all)")
    parser.add_argument("--sparsities", default="0.3,0.5,0.7,0.9", help="shares to prune (default: 0.3,0.5,0.7,0.9)")
    parser.add_argument("--bits", default="1,2,3,4", help="2^bits shared weights (default: 1,2,3,4)")
    parser.add_argument("--out", default="runs/sensitivity", help="folder to write to (default: runs/sensitivity)")


def run(args: argparse.Namespace) -> None:
    sparsities = numbers(args.sparsities, float, 0, 0.999, "sparsities")
    bits = numbers(args.bits, int, 1, MAX_BITS, "bits")
    if args.images is not None and args.images < 1:
        raise TrainError(f"--images {args.images}: expected 1 or more")
    require_matplotlib()
    net, spec = net_from_checkpoint(args.checkpoint)
    samples = load_samples(args, spec.labels)
    if args.images:
        samples = samples[:: max(len(samples) // args.images, 1)][: args.images]
    conditions = {"checkpoint": args.checkpoint, "data": args.data, "lists": args.splits, "photos": len(samples)}
    path = Path(args.out) / "sensitivity.json"
    scan = scan_sensitivity(net, spec, samples, sparsities, bits, path, conditions)
    plot_scan(path.with_suffix(".png"), scan, len(samples))
    print(f"{path}\n{path.with_suffix('.png')}")
