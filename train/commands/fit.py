"""`python -m train fit`: trains a detector."""

from __future__ import annotations

import argparse

from ..common.options import add_options, from_options, from_yaml
from ..trainers.detection import FitConfig, resume_detector, train_detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; its own options apply")
    parser.add_argument("--config", metavar="FILE", help="args.yaml of another run; options given beside it win")
    add_options(parser, FitConfig)


def run(args: argparse.Namespace) -> None:
    if args.resume:
        resume_detector(args.resume)
    else:
        base = from_yaml(args.config, FitConfig) if args.config else None
        train_detector(from_options(args, FitConfig, base=base))
