"""`python -m train show-data`: a sheet of training samples as the network is shown them, with their boxes.

A tag's number is the weight of the object. Grey boxes are neither right nor wrong to find.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from sqdet_cv.util.atomic_files import atomic_path

from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..common.options import add_options, from_options, require_at_least
from ..common.plotting import sheet
from ..data.formats.open_dataset import ANNOTATIONS_HELP
from ..data.preview import draw_samples
from ..data.transforms.augment import AugmentConfig
from .data_options import add_data_options, load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser, "train")
    parser.add_argument("--annotations", help=ANNOTATIONS_HELP)
    parser.add_argument("--out", required=True, help="PNG file to write")
    parser.add_argument("--size", type=int, default=320, help="network input in pixels (default: 320)")
    parser.add_argument("--count", type=int, default=12, help="samples, chosen at random (default: 12)")
    parser.add_argument("--columns", type=int, default=4, help="samples in a row (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and of the augmentation (default: 0)")
    add_options(parser, AugmentConfig, "augment.")


def run(args: argparse.Namespace) -> None:
    require_at_least(args, {"size": 32, "count": 1, "columns": 1, "seed": 0})
    if Path(args.out).suffix != ".png":
        raise TrainError(f"--out {args.out}: expected a .png file")
    augment = from_options(args, AugmentConfig, "augment.")
    labels = parse_labels(args.labels)
    samples = load_samples(args, labels, args.annotations)
    images = draw_samples(samples, labels, args.size, augment, args.count, args.seed)
    with atomic_path(args.out) as temporary:
        if not cv2.imwrite(str(temporary), sheet(images, min(args.columns, len(images)))):
            raise TrainError(f"{args.out}: OpenCV cannot write it")
    print(f"{args.out}: {len(images)} of {len(samples)} images")
