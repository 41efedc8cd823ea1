"""The options that name a data set, the same in every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..common.labels import HELP as LABELS_HELP
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import load_dataset
from ..data.sample import Sample

SPLITS_HELP = "comma-separated splits of the data set"


def add_data_options(parser: argparse.ArgumentParser, splits: str | None = "val", labels: bool = True) -> None:
    """Adds --data, --splits (once called --lists) and, for commands without a model that knows them, --labels.

    Args:
        splits: the default; None makes --splits required.
    """
    parser.add_argument("--data", required=True, help=DATA_HELP)
    text = SPLITS_HELP if splits is None else f"{SPLITS_HELP} (default: {splits})"
    parser.add_argument("--splits", "--lists", metavar="SPLITS", default=splits, required=splits is None, help=text)
    if labels:
        parser.add_argument("--labels", help=LABELS_HELP)


def load_samples(args: argparse.Namespace, labels: Sequence[str], annotations: str | None = None) -> list[Sample]:
    """The images of --splits, in their order; `annotations` as for `load_dataset`."""
    return load_dataset(args.data, args.splits.split(","), tuple(labels), annotations or None)
