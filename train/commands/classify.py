"""`python -m train classify`: trains a SqueezeNet classifier on a folder in ImageNet's layout."""

from __future__ import annotations

import argparse

from ..common.options import add_options, from_options, from_yaml
from ..trainers.classification import ClassifyConfig, evaluate_classifier, resume_classifier, train_classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; its own options apply")
    action.add_argument("--eval", metavar="CHECKPOINT", help="no training: top-1 and top-5 on the --val folder")
    parser.add_argument("--config", metavar="FILE", help="args.yaml of another run; options given beside it win")
    add_options(parser, ClassifyConfig)


def run(args: argparse.Namespace) -> None:
    if args.resume:
        resume_classifier(args.resume)
        return
    base = from_yaml(args.config, ClassifyConfig) if args.config else None
    config = from_options(args, ClassifyConfig, base=base)
    if args.eval:
        print(evaluate_classifier(args.eval, config))
    else:
        train_classifier(config)
