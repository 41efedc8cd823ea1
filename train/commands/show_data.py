"""`python -m train show-data`: a sheet of training samples as the network is shown them, with their boxes.

A tag's number is the weight of the object. Grey boxes are neither right nor wrong to find.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from sqdet_cv.detections import Detections
from sqdet_cv.media.annotate import draw
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import atomic_path

from ..common.errors import TrainError
from ..common.labels import HELP as LABELS_HELP
from ..common.labels import parse_labels
from ..common.options import add_options, from_options, require_at_least
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset
from ..data.loader import DetectionData
from ..data.transforms.augment import AugmentConfig
from ..data.transforms.geometry import LabeledImage

GREY_BGR = (160, 160, 160)
GAP = 4  # pixels between the samples of a sheet


def draw_view(view: LabeledImage, labels: Sequence[str]) -> np.ndarray:
    """A copy of the view's image with its boxes."""
    image_bgr = view.image_bgr.copy()
    for x1, y1, x2, y2 in view.boxes_xyxy[view.ignore].round().astype(int).tolist():
        cv2.rectangle(image_bgr, (x1, y1), (x2 - 1, y2 - 1), GREY_BGR, 2)
    real = np.nonzero(~view.ignore)[0]
    real = real[np.argsort(-view.weights[real], kind="stable")]  # Detections fall in their scores
    names = tuple(labels[class_id] for class_id in view.class_ids[real])
    return draw(image_bgr, Detections(view.boxes_xyxy[real], view.class_ids[real], view.weights[real], names))


def sheet(images_bgr: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images of one size in rows of `columns`, on white, with gaps; the last row may be short."""
    height, width = images_bgr[0].shape[:2]
    rows = -(-len(images_bgr) // columns)
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, image_bgr in enumerate(images_bgr):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        page[y : y + height, x : x + width] = image_bgr
    return page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", default="train", help="comma-separated lists (default: train)")
    parser.add_argument("--annotations", default="", help="folder of XML files that replace those of the data set")
    parser.add_argument("--labels", default="", help=LABELS_HELP)
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
    samples = open_dataset(args.data, args.lists.split(","), labels, args.annotations or None)
    # Of the spec a view needs the size and the mean colour; it has no anchors yet, so one stands in for them.
    spec = ModelSpec(labels, (args.size, args.size), (1, 1), ((args.size, args.size),))
    data = DetectionData(samples, spec, augment, args.seed, epoch=0)
    chosen = np.random.default_rng(args.seed).permutation(len(samples))[: args.count]
    images = [draw_view(data.view(int(i))[0], labels) for i in tqdm(chosen, unit="image", delay=1)]
    with atomic_path(args.out) as temporary:
        if not cv2.imwrite(str(temporary), sheet(images, min(args.columns, len(images)))):
            raise TrainError(f"{args.out}: OpenCV cannot write it")
    print(f"{args.out}: {len(images)} of {len(samples)} images")
