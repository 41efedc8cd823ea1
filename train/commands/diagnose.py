"""`python -m train diagnose`: images of what goes on inside a net, to find out why it does not learn.

activations.png and dead_units.png (over the epochs, if a run measured them in its folder; else of the checkpoint
alone), conv1_filters.png, weights.png and confidence.png. What they show: docs/diagnosis.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.exported import SUFFIXES
from ..checkpoints.native import (
    classifier_from_checkpoint,
    is_classifier_checkpoint,
    load_checkpoint,
    net_from_checkpoint,
)
from ..common.errors import TrainError
from ..common.options import require_at_least
from ..common.plotting import require_matplotlib
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset
from ..diagnosis.activations import measure
from ..diagnosis.confidence import count_confidences, plot_confidence
from ..diagnosis.history import History, load_history
from ..diagnosis.monitor import MOST_PICTURES, PICTURES, find_warnings, monitored_images
from ..diagnosis.plots import draw_history, draw_weights


def find_checkpoint(path: Path) -> Path:
    """The file itself; of a run's folder best.pt, else last.pt. Raises TrainError where there is none."""
    if not path.is_dir():
        return path
    for name in ("best.pt", "last.pt"):
        if (path / name).is_file():
            return path / name
    raise TrainError(f"{path}: neither best.pt nor last.pt in it; expected the folder of a run, or a checkpoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="RUN", help="folder of a run (its best.pt, else last.pt is taken), or a checkpoint"
    )
    parser.add_argument("--data", help=f"{DATA_HELP} (default: none, and no plot that needs images)")
    splits_help = "splits on whose images the activations are measured (default: train)"
    parser.add_argument("--splits", "--lists", default="train", help=splits_help)
    parser.add_argument("--val", default="val", help="splits to count confidences on (default: val)")
    parser.add_argument(
        "--images", "--photos", type=int, default=PICTURES, help=f"how many to measure on (default: {PICTURES})"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that load images; 0: none (default: 1)")
    parser.add_argument("--out", help="folder for the plots (default: the run's)")


def run(args: argparse.Namespace) -> None:
    require_at_least(args, {"images": 1, "workers": 0})
    if args.images > MOST_PICTURES:
        raise TrainError(f"--images {args.images}: expected {MOST_PICTURES} at most")
    require_matplotlib()
    checkpoint = find_checkpoint(Path(args.source))
    if not args.out and checkpoint.suffix in SUFFIXES:
        raise TrainError(f"{checkpoint}: --out FOLDER is needed; only the images of a .pt go beside it")
    out = Path(args.out or checkpoint.parent)
    history = load_history(args.source) if Path(args.source).is_dir() else History()
    written = []
    if is_classifier_checkpoint(checkpoint):
        if args.data:
            raise TrainError(f"{checkpoint}: of a classifier; --data is for detectors")
        net, _, _ = classifier_from_checkpoint(checkpoint)
    else:
        net, spec = net_from_checkpoint(checkpoint)
        if args.data:
            watched, val = (open_dataset(args.data, lists.split(","), spec.labels) for lists in (args.splits, args.val))
            if not history.epochs:
                epoch = 1 if checkpoint.suffix in SUFFIXES else max(load_checkpoint(checkpoint).get("epoch", 0), 1)
                history = History().with_epoch(epoch, measure(net, monitored_images(watched, spec, args.images)))
            counts = count_confidences(net, spec, val, args.workers)
            title = f"Confidence of {checkpoint} on {len(val)} images ({args.val})"
            written.append(out / "confidence.png")
            plot_confidence(written[-1], counts, title)
    written += draw_weights(out, net)
    if history.epochs:
        written += draw_history(out, history)
        for line in find_warnings(History(), history.measurements[-1]):
            print(line)
    print("\n".join(map(str, written)))
    if not args.data:
        print("without --data there is no confidence.png" + ("" if history.epochs else ", nor any activations"))
