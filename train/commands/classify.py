"""`python -m train classify`: trains a SqueezeNet classifier on a folder in ImageNet's layout."""

from __future__ import annotations

import argparse

from ..common.options import add_options
from ..trainers.classification import ClassifyConfig, classifier_accuracy, resume_classifier, train_classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, by its own options")
    action.add_argument("--eval", metavar="CHECKPOINT", help="no training: top-1 and top-5 on the --val folder")
    parser.add_argument("--config", metavar="FILE", help="args.yaml of another run; the options given here replace its")
    add_options(parser, ClassifyConfig)


def run(args: argparse.Namespace) -> None:
    if args.resume:
        resume_classifier(args.resume)
    elif args.eval:
        print(classifier_accuracy(args.eval, ClassifyConfig.from_args(args), progress=True))
    else:
        train_classifier(ClassifyConfig.from_args(args))
