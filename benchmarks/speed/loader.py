"""Does the loader keep the net fed? Views/s of one core, read from files and kept in memory, and of the model.

    python -m benchmarks.speed.loader --data DATA [--splits train] [--net squeezedet-fpn] [--size 256] [--batch 16]
                                [--mosaic 0.4] [--images 1000] [--views 300] [--rounds 3]

Files: each image is decoded whenever it is shown, and each anchor gets its target, as `train fit --loss sqdet` has it.
Memory: `--cache ram --loss task-aligned`. Both are CPU time of this process. Model: forward, loss and backward on a
batch already loaded, by the clock and with all threads. The three take turns, so that a slow moment of the machine
hits all; medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import cv2
import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from train.common.errors import TrainError
from train.common.labels import HELP as LABELS_HELP
from train.common.labels import parse_labels
from train.data.batch import Batch
from train.data.cache import LARGER, ImageCache
from train.data.formats.open_dataset import load_dataset
from train.data.loader import DetectionData, epoch_order
from train.data.transforms.augment import AugmentConfig
from train.losses import LOSSES, Loss
from train.models import NETS, AnyNet, build_net

# 9 shapes, as a real model has
ANCHORS_WH = tuple((side * w, side * h) for side in (30.0, 90.0, 200.0) for w, h in ((1, 1), (1, 2), (2, 1)))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="data set: VOC, COCO, YOLO or a plain folder")
    parser.add_argument("--splits", default="train", help="comma-separated splits (default: train)")
    parser.add_argument("--labels", default="", help=LABELS_HELP)
    parser.add_argument("--net", choices=NETS, default="squeezedet-fpn")
    parser.add_argument("--size", type=int, default=256, help="network input in pixels")
    parser.add_argument("--batch", type=int, default=16, help="images a step of the model")
    parser.add_argument("--mosaic", type=float, default=0.4, help="probability of four images in one")
    parser.add_argument("--images", type=int, default=1000, help="images of the data set that are shown")
    parser.add_argument("--views", type=int, default=300, help="views a round")
    parser.add_argument("--steps", type=int, default=2, help="steps that the model makes in a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    try:
        measure(args)
    except TrainError as error:
        print(f"loader: {error}", file=sys.stderr)
        return 2
    return 0


def measure(args: argparse.Namespace) -> None:
    """Prints the speeds and their ratios."""
    labels = parse_labels(args.labels)
    samples = load_dataset(args.data, args.splits.split(","), labels)[: args.images]
    torch.manual_seed(0)
    size_wh = (args.size, args.size)
    net = build_net(args.net, len(ANCHORS_WH), len(labels)).to(memory_format=torch.channels_last).train()
    spec = ModelSpec(labels, size_wh, net.make_grids(size_wh, ANCHORS_WH))
    loss_class, config_class, _ = LOSSES["sqdet"]
    loss = loss_class(config_class(), spec)
    cache = ImageCache([sample.image_path for sample in samples], LARGER * args.size)
    cv2.setNumThreads(0)  # as a loader's process does

    augment, speeds = AugmentConfig(mosaic=args.mosaic), {"files": [], "memory": [], "model": []}
    for epoch in range(args.rounds):
        order = [key for turn in range(args.views) for key in epoch_order(samples, 0, turn, epoch)][: args.views]
        files = DetectionData(samples, spec, augment, 0, epoch)
        memory = DetectionData(samples, spec, augment, 0, epoch, with_targets=False, cache=cache)
        speeds["files"].append(views_per_second(files, order))
        speeds["memory"].append(views_per_second(memory, order))
        batch = files.collate([files[key] for key in order[: args.batch]])
        speeds["model"].append(model_speed(net, loss, batch, args.steps))
    found = {name: statistics.median(values) for name, values in speeds.items()}
    print(
        f"{args.net} at {args.size} px, mosaics {args.mosaic:g}, batch {args.batch}, {torch.get_num_threads()} threads"
    )
    print(
        f"one core: files {found['files']:.2f} views/s, memory {found['memory']:.2f} views/s, "
        f"ratio {found['memory'] / found['files']:.2f}"
    )
    print(f"model {found['model']:.2f} images/s, ratio of memory to it {found['memory'] / found['model']:.2f}")


def views_per_second(data: DetectionData, order: Sequence[tuple[int, int]]) -> float:
    """By CPU time of this process, the stacking of batches not included."""
    start = time.process_time()
    for key in order:
        data[key]
    return len(order) / (time.process_time() - start)


def model_speed(net: AnyNet, loss: Loss, batch: Batch, steps: int) -> float:
    """Images/s of training steps, after one that only warms up."""
    for step in range(steps + 1):
        if step == 1:
            start = time.perf_counter()
        net.zero_grad(set_to_none=True)
        sum(loss(net.split(net(batch.images)), batch).values()).backward()
    return steps * len(batch) / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
