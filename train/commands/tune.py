"""`python -m train tune`: the value of one option that gives the best mAP on the validation split, by bisection.

NAME is a numeric option of `fit` without its dashes (lr, sqdet.box), or one of the weights in the formula of the loss:
lambda_bbox, lambda_conf_pos, lambda_conf_neg. Each trial is a run in OUT/VALUE, with the same seed and all else equal.
The same command goes on after Ctrl-C, or with more --trials. The result is in OUT/tune.csv and OUT/tune.png.
"""

from __future__ import annotations

import argparse

from ..common.options import add_options, from_options, from_yaml, require_at_least
from ..common.plotting import require_matplotlib
from ..tuning.search import WEIGHTS, TuneConfig, search_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help=f"numeric option of a run, or {', '.join(WEIGHTS)}")
    parser.add_argument("--between", type=float, nargs=2, required=True, metavar=("LOW", "HIGH"), help="search here")
    parser.add_argument("--trials", type=int, default=7, help="runs at most; 2 halve the interval (default: 7)")
    parser.add_argument("--linear", action="store_true", help="halve differences; else ratios (a log scale)")
    parser.add_argument("--config", metavar="FILE", help="args.yaml of another run; options given beside it win")
    add_options(parser, TuneConfig)


def run(args: argparse.Namespace) -> None:
    require_at_least(args, {"trials": 1})
    require_matplotlib()
    config = from_options(args, TuneConfig, base=from_yaml(args.config, TuneConfig) if args.config else None)
    print(search_option(config, args.name, *args.between, args.trials, args.linear).summary)
