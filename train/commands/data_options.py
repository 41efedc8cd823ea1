"""The options that name a data set, the same in every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..common.labels import HELP as LABELS_HELP
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset
from ..data.sample import Sample

SPLITS_HELP = "comma-separated splits of the data set"


def add_data_options(parser: argparse.ArgumentParser, splits: str | None = "val") -> None:
    """Adds --data, --splits (once called --lists) and --labels; `splits` is the default, None makes it required."""
    parser.add_argument("--data", required=True, help=DATA_HELP)
    default = {"required": True} if splits is None else {"default": splits}
    text = SPLITS_HELP if splits is None else f"{SPLITS_HELP} (default: {splits})"
    parser.add_argument("--splits", help=text, **default)
    parser.add_argument("--lists", dest="splits", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--labels", default="", help=LABELS_HELP)


def load_samples(args: argparse.Namespace, labels: Sequence[str]) -> list[Sample]:
    """The images of the splits that were asked for."""
    return open_dataset(args.data, args.splits.split(","), tuple(labels))
