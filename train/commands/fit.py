"""`python -m train fit`: trains a detector."""

from __future__ import annotations

import argparse

from ..common.options import add_options
from ..trainers.detection import resume_detector, train_detector
from ..trainers.detection_config import FitConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, by its own options")
    parser.add_argument("--config", metavar="FILE", help="args.yaml of another run; the options given here replace its")
    add_options(parser, FitConfig)


def run(args: argparse.Namespace) -> None:
    if args.resume:
        resume_detector(args.resume)
    else:
        train_detector(FitConfig.from_args(args))
