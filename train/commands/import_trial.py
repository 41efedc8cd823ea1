"""`python -m train import-trial`: the trial's weights as a checkpoint that `--init` and the exports take."""

from __future__ import annotations

import argparse
import dataclasses

from ..checkpoints.native import save_plain
from ..checkpoints.trial import net_from_trial
from ..trainers.detection_config import FitConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="weights.pt of the trial")
    parser.add_argument("--size", type=int, default=256, help="input size in pixels, a multiple of 32 (default: 256)")
    parser.add_argument("--out", required=True, help="checkpoint to write (.pt)")


def run(args: argparse.Namespace) -> None:
    net, spec = net_from_trial(args.weights, (args.size, args.size))
    trained = FitConfig(net="squeezedet-fpn", size=args.size, epochs=1)
    save_plain(args.out, net, spec, dataclasses.asdict(trained))
    print(f"{args.out}: squeezedet-fpn, {args.size} px, {spec.num_anchors} anchors")
