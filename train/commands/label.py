"""`python -m train label`: fills the classes an image is not labelled for with detections of one or more teachers."""

from __future__ import annotations

import argparse

from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..detectors.open_detector import MIRROR_HELP, MODEL_HELP, file_names, open_together
from ..teachers.pseudo_labels import PseudoLabelConfig, pseudo_label
from ..teachers.soft_labels import TEACHER_THRESHOLD
from .data_options import add_data_options, load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser, splits=None)
    parser.add_argument("--teacher", required=True, help=MODEL_HELP)
    parser.add_argument("--mirror", action="store_true", help=MIRROR_HELP)
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also write the teacher's class probabilities for each object, those that people labelled too",
    )
    parser.add_argument("--out", required=True, help="folder for the completed XML files")
    default = PseudoLabelConfig()
    for name, help_text in (
        ("threshold", "score that makes an object"),
        ("doubt", "score that makes a region ignored"),
    ):
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{help_text} (default: {value})")


def run(args: argparse.Namespace) -> None:
    if not 0 < args.doubt <= args.threshold < 1:
        raise TrainError(f"--doubt {args.doubt} --threshold {args.threshold}: expected 0 < doubt <= threshold < 1")
    labels = parse_labels(args.labels)
    samples = load_samples(args, labels)
    teacher = open_together(args.teacher, labels, min(TEACHER_THRESHOLD, args.doubt), mirror=args.mirror)
    counts = pseudo_label(
        samples,
        labels,
        teacher,
        args.out,
        PseudoLabelConfig(args.threshold, args.doubt),
        teacher_name=file_names(args.teacher),
        with_probabilities=args.probabilities,
    )
    added = f"{counts.boxes} boxes of the teacher in {counts.images_with_boxes} of {counts.images} images"
    print(f"{args.out}: {added}")
