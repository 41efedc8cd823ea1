"""Does the loader keep the net fed? Images/s of the loader / images/s of the model. Needs torch.

    python -m benchmarks.speed.loader --data DATA [--lists train] [--net sqdet] [--size 320] [--batch 16] [--workers 1]
                                [--batches 20] [--rounds 3]

Loader: `train fit`'s own, with its default augmentation. Model: forward, loss and backward on a batch already loaded.
The two take turns, so that a slow moment of the machine hits both; medians of the rounds are printed. A ratio above 1
means that with a core to spare the net never waits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from train.common.errors import TrainError
from train.common.labels import HELP as LABELS_HELP
from train.common.labels import parse_labels
from train.data.batch import Batch
from train.data.formats.open_dataset import HELP as DATA_HELP
from train.data.formats.open_dataset import load_dataset
from train.data.loader import DetectionData, epoch_order, make_loader
from train.data.transforms.augment import AugmentConfig
from train.losses import LOSSES, Loss
from train.models import NETS, SqueezeDet, build_net

ANCHORS_WH = tuple((32.0 * i, 32.0 * i) for i in range(1, 10))  # of an untrained net; they change no time


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", default="train", help="comma-separated lists (default: train)")
    parser.add_argument("--labels", default="", help=LABELS_HELP)
    parser.add_argument("--net", choices=NETS, default="sqdet")
    parser.add_argument("--size", type=int, default=320, help="network input in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images a step")
    parser.add_argument("--workers", type=int, default=1, help="processes that load images; 0: none")
    parser.add_argument("--batches", type=int, default=20, help="batches that the loader loads in a round")
    parser.add_argument("--steps", type=int, default=3, help="steps that the model makes in a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    try:
        measure(args)
    except TrainError as error:
        print(f"loader: {error}", file=sys.stderr)
        return 2
    return 0


def measure(args: argparse.Namespace) -> None:
    """Prints both speeds and their ratio."""
    labels = parse_labels(args.labels)
    samples = load_dataset(args.data, args.lists.split(","), labels)
    torch.manual_seed(0)
    size_wh = (args.size, args.size)
    net = build_net(args.net, len(ANCHORS_WH), len(labels)).to(memory_format=torch.channels_last).train()
    spec = ModelSpec.single(labels, size_wh, net.grid_hw(size_wh), ANCHORS_WH, grid_inset=net.grid_inset)
    loss_class, config_class, _ = LOSSES["sqdet"]
    loss = loss_class(config_class(), spec)

    loaded, modelled = [], []
    for epoch in range(args.rounds):
        data = DetectionData(samples, spec, AugmentConfig(), seed=0, epoch=epoch)
        order = epoch_order(samples, 0, 0, epoch)[: args.batches * args.batch]
        speed, batch = loader_speed(data, order, args.batch, args.workers)
        loaded.append(speed)
        modelled.append(model_speed(net, loss, batch, args.steps))
    loader, model = statistics.median(loaded), statistics.median(modelled)
    print(
        f"{args.net} at {args.size} px, batch {args.batch}, {args.workers} workers, {torch.get_num_threads()} threads"
    )
    print(f"loader {loader:.2f} images/s, model {model:.2f} images/s, ratio {loader / model:.2f}")


def loader_speed(
    data: DetectionData, order: Sequence[tuple[int, int]], batch_size: int, workers: int
) -> tuple[float, Batch]:
    """Images/s over `order`, the start of the workers included, and the first batch."""
    start = time.perf_counter()
    batches = iter(make_loader(data, order, batch_size, workers))
    first = next(batches)
    for _ in batches:
        pass
    return len(order) / (time.perf_counter() - start), first


def model_speed(net: SqueezeDet, loss: Loss, batch: Batch, steps: int) -> float:
    """Images/s of training steps, after one that only warms up."""
    images = batch.images
    for step in range(steps + 1):
        if step == 1:
            start = time.perf_counter()
        net.zero_grad(set_to_none=True)
        sum(loss(net.split(net(images)), batch).values()).backward()
    return steps * len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
