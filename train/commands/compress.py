"""`python -m train compress`: prunes a detector, retrains it, lets its layers share weights, and retrains those.

It takes three steps, each of which ends with a checkpoint that `python -m export onnx` takes: RUN/folded.pt,
RUN/pruned.pt, RUN/compressed.pt. With --structured two more come after the first: RUN/sliced.pt, RUN/narrow.pt. A run
goes on from those that are there, and within a step from the training run in RUN/narrow, RUN/prune or RUN/share.
"""

from __future__ import annotations

import argparse

from ..common.errors import TrainError
from ..common.options import add_options, from_options
from ..compress.config import CompressConfig
from ..compress.pipeline import compress_detector, resume_compression


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        nargs="?",
        help="of `python -m train fit` (its averaged weights are taken), or an exported .onnx or .sqdet",
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; its own options apply")
    add_options(parser, CompressConfig)


def run(args: argparse.Namespace) -> None:
    if bool(args.checkpoint) == bool(args.resume):
        raise TrainError("compress needs either a CHECKPOINT to begin with or --resume RUN")
    if args.resume:
        result = resume_compression(args.resume)
    else:
        result = compress_detector(args.checkpoint, from_options(args, CompressConfig))
    print(result.table)
    print(f"{result.checkpoint}: {100 * result.zeros:.1f} % of the weights are zero")
