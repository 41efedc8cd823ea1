"""`python -m train anchors`: anchor shapes for a data set, and how many of them are worth having."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..common.errors import TrainError
from ..common.labels import HELP as LABELS_HELP
from ..common.labels import parse_labels
from ..common.options import require_at_least
from ..data.anchors import METRICS, best_iou, cluster_shapes, network_shapes
from ..data.anchors_plot import check_plot_path, plot_clusters
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset


def parse_counts(text: str) -> range:
    """ "9" to 9 alone, "1-15" to 1, 2, ... 15."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or not 1 <= int(first) <= int(last or first):
        raise TrainError(f"--shapes {text}: expected a number of at least 1, or FIRST-LAST")
    return range(int(first), int(last or first) + 1)


def table(shapes_wh: np.ndarray, found: dict[int, np.ndarray]) -> str:
    """Markdown: for each number of shapes how well the boxes are met by their best one."""
    lines = ["| shapes | mean best IoU | boxes above 0.5 |", "|---|---|---|"]
    for count, centres_wh in found.items():
        iou = best_iou(shapes_wh, centres_wh)
        lines.append(f"| {count} | {iou.mean():.3f} | {100 * (iou > 0.5).mean():.1f} % |")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", default="train", help="comma-separated lists (default: train)")
    parser.add_argument("--annotations", default="", help="folder of XML files that replace those of the devkit")
    parser.add_argument("--labels", default="", help=LABELS_HELP)
    parser.add_argument("--size", type=int, default=416, help="network input in pixels; images are stretched to it")
    parser.add_argument("--shapes", default="9", help="how many, or a range to compare: 1-15 (default: 9)")
    parser.add_argument("--metric", choices=METRICS, default="iou", help="1 - IoU, or pixels as in 2017 (default: iou)")
    parser.add_argument("--seed", type=int, default=0, help="of the first centres")
    parser.add_argument("--plot", default="", help="PNG file for the boxes and the shapes found (of a range: the last)")


def run(args: argparse.Namespace) -> None:
    counts = parse_counts(args.shapes)
    require_at_least(args, {"size": 1, "seed": 0})
    if args.plot:
        check_plot_path(args.plot)
    samples = open_dataset(args.data, args.lists.split(","), parse_labels(args.labels), args.annotations or None)
    shapes_wh = network_shapes(samples, (args.size, args.size))
    found = {
        count: cluster_shapes(shapes_wh, count, args.seed, args.metric)
        for count in tqdm(counts, desc="k-means", unit="K", delay=1)
    }
    centres_wh = found[counts[-1]]
    print(f"{len(shapes_wh)} boxes of {len(samples)} images at {args.size} x {args.size} px\n")
    print(table(shapes_wh, found))
    print("\nwidth,height: " + "; ".join(f"{w:.0f},{h:.0f}" for w, h in centres_wh))
    if args.plot:
        title = f"{Path(args.data).name} {args.lists}: {len(shapes_wh):,} boxes at {args.size} px"
        plot_clusters(args.plot, shapes_wh, centres_wh, args.metric, args.size, title)
        print(args.plot)
