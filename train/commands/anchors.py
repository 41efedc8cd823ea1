"""`python -m train anchors`: anchor shapes for a data set, and how many of them are worth having."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..common.options import require_at_least
from ..common.tables import markdown_table
from ..data.anchors import METRICS, best_iou, network_shapes, search_anchors
from ..data.anchors_plot import check_plot_path, plot_clusters
from ..data.formats.open_dataset import ANNOTATIONS_HELP
from .data_options import add_data_options, load_samples


def parse_counts(text: str) -> range:
    """ "9" to 9 alone, "1-15" to 1, 2, ... 15."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or not 1 <= int(first) <= int(last or first):
        raise TrainError(f"--anchors-per-cell {text}: expected a number of at least 1, or FIRST-LAST")
    return range(int(first), int(last or first) + 1)


def table(shapes_wh: np.ndarray, found: dict[int, np.ndarray]) -> str:
    """Markdown: for each number of shapes, how well the best of them fits the boxes."""
    ious = {count: best_iou(shapes_wh, centres_wh) for count, centres_wh in found.items()}
    rows = [[count, f"{iou.mean():.3f}", f"{100 * (iou > 0.5).mean():.1f} %"] for count, iou in ious.items()]
    return markdown_table(["shapes", "mean best IoU", "boxes above 0.5"], rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser, "train")
    parser.add_argument("--annotations", help=ANNOTATIONS_HELP)
    parser.add_argument("--size", type=int, default=416, help="network input in pixels; images are stretched to it")
    parser.add_argument(
        "--anchors-per-cell", "--shapes", default="9", metavar="K", help="how many, or a range 1-15 (default: 9)"
    )
    parser.add_argument("--metric", choices=METRICS, default="iou", help="1 - IoU, or pixels as in 2017 (default: iou)")
    parser.add_argument("--seed", type=int, default=0, help="of the first centres")
    parser.add_argument("--plot", help="PNG file for the boxes and the shapes found (of a range: the last)")


def run(args: argparse.Namespace) -> None:
    counts = parse_counts(args.anchors_per_cell)
    require_at_least(args, {"size": 1, "seed": 0})
    if args.plot:
        check_plot_path(args.plot)
    samples = load_samples(args, parse_labels(args.labels), args.annotations)
    shapes_wh = network_shapes(samples, (args.size, args.size))
    found = search_anchors(shapes_wh, counts, args.seed, args.metric)
    centres_wh = found[counts[-1]]
    print(f"{len(shapes_wh)} boxes of {len(samples)} images at {args.size} x {args.size} px\n")
    print(table(shapes_wh, found))
    print("\nwidth,height: " + "; ".join(f"{w:.0f},{h:.0f}" for w, h in centres_wh))
    if args.plot:
        title = f"{Path(args.data).name} {args.splits}: {len(shapes_wh):,} boxes at {args.size} px"
        plot_clusters(args.plot, shapes_wh, centres_wh, args.metric, args.size, title)
        print(args.plot)
