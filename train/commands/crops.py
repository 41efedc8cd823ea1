"""`python -m train crops`: the boxes of a data set as images in ImageNet's layout, for `train classify`.

OUT/SPLIT/CLASS/IMAGE_N.jpg is box N of the image. Boxes marked difficult are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..data.crops import write_crops
from ..data.formats.open_dataset import load_dataset
from .data_options import add_data_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser, "train,val")
    parser.add_argument("--out", required=True, type=Path, help="folder to write; each split becomes a folder in it")
    parser.add_argument("--margin", type=float, default=0.1, help="surroundings, as a share of the box (default: 0.1)")
    parser.add_argument("--min-side", type=int, default=16, help="leave out boxes thinner than this (default: 16 px)")
    parser.add_argument("--max-side", type=int, default=256, help="shrink larger crops to this (default: 256 px)")


def run(args: argparse.Namespace) -> None:
    if args.margin < 0:
        raise TrainError(f"--margin {args.margin}: expected 0 or more")
    if not 1 <= args.min_side <= args.max_side:
        raise TrainError(f"--min-side {args.min_side}, --max-side {args.max_side}: expected 1 <= MIN <= MAX")
    labels = parse_labels(args.labels)
    folders = {split: args.out / split for split in args.splits.split(",")}
    for folder in folders.values():
        if folder.exists():
            raise TrainError(f"{folder}: exists already; remove it or name another --out")
    # All splits are read before anything is written.
    samples = {split: load_dataset(args.data, [split], labels) for split in folders}
    for split, folder in folders.items():
        count = write_crops(samples[split], labels, folder, args.margin, args.min_side, args.max_side)
        print(f"{folder}: {count} images of {len(list(folder.iterdir()))} classes")
