"""`python -m train import-trial`: the trial's weights as a checkpoint that `--init` and the exports take."""

from __future__ import annotations

import argparse
import dataclasses

from ..checkpoints.native import save_plain
from ..checkpoints.trial import net_from_trial
from ..data.transforms.augment import AugmentConfig
from ..trainers.detection_config import FitConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="weights.pt of the trial")
    parser.add_argument("--size", type=int, default=256, help="input size in pixels, a multiple of 32 (default: 256)")
    parser.add_argument("--out", required=True, help="checkpoint to write (.pt)")


def run(args: argparse.Namespace) -> None:
    net, spec = net_from_trial(args.weights, (args.size, args.size))
    # near enough to how the trial's script trained it, for `compress` to go on in the same way
    trained = FitConfig(
        net="squeezedet-fpn",
        loss="task-aligned",
        size=args.size,
        epochs=1,
        batch=32,
        optimizer="adamw",
        backbone_lr=0.5,
        weight_decay=0.05,
        clip=10.0,
        augment=AugmentConfig(mosaic=0.4),
    )
    save_plain(args.out, net, spec, dataclasses.asdict(trained))
    print(f"{args.out}: squeezedet-fpn, {args.size} px, {spec.num_anchors} anchors")
