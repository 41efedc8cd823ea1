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
from ..data.formats.open_dataset import load_dataset
from ..diagnosis.activations import measure
from ..diagnosis.history import History, load_history
from ..diagnosis.monitor import MONITORED_IMAGES, MOST_IMAGES, find_warnings, monitored_images
from ..diagnosis.plots import diagnose


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
        "--images",
        "--photos",
        type=int,
        default=MONITORED_IMAGES,
        help=f"how many to measure on (default: {MONITORED_IMAGES})",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that load images; 0: none (default: 1)")
    parser.add_argument("--out", help="folder for the plots (default: the run's)")


def run(args: argparse.Namespace) -> None:
    require_at_least(args, {"images": 1, "workers": 0})
    if args.images > MOST_IMAGES:
        raise TrainError(f"--images {args.images}: expected {MOST_IMAGES} at most")
    require_matplotlib()
    checkpoint = find_checkpoint(Path(args.source))
    if not args.out and checkpoint.suffix in SUFFIXES:
        raise TrainError(f"{checkpoint}: --out FOLDER is needed; only the images of a .pt go beside it")
    out = Path(args.out or checkpoint.parent)
    history = load_history(args.source) if Path(args.source).is_dir() else History()
    spec = train = val = None
    epoch = 1
    if is_classifier_checkpoint(checkpoint):
        if args.data:
            raise TrainError(f"{checkpoint}: of a classifier; --data is for detectors")
        net, _, _ = classifier_from_checkpoint(checkpoint)
    else:
        net, spec = net_from_checkpoint(checkpoint)
        if args.data:
            train, val = (load_dataset(args.data, splits.split(","), spec.labels) for splits in (args.splits, args.val))
            if checkpoint.suffix not in SUFFIXES:
                epoch = max(load_checkpoint(checkpoint).get("epoch", 0), 1)
            if not history.epochs:
                history = History().with_epoch(epoch, measure(net, monitored_images(train, spec, args.images)))
    title = f"Confidence of {checkpoint} on {len(val or ())} images ({args.val})"
    written = diagnose(net, spec, out, train, val, history=history, workers=args.workers, title=title)
    if history.epochs:
        print("".join(f"{line}\n" for line in find_warnings(History(), history.measurements[-1])), end="")
    print("\n".join(map(str, written)))
    if not args.data:
        print("without --data there is no confidence.png" + ("" if history.epochs else ", nor any activations"))
