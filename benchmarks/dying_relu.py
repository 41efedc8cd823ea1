"""What a high learning rate does to ReLU and not to LeakyReLU: the same short training, four times.

python -m benchmarks.dying_relu --out runs/dying

It draws its own pictures (coloured squares), and trains a narrow detector on them from scratch: at a sane rate, at one
that kills layers, and at that one with LeakyReLU of two slopes. It prints the alarms as they come, then how many units
of each layer never fire at worst and in the end, and the loss, and writes OUT/dying.png. Units that never fire are dead
behind ReLU; behind LeakyReLU they can come back.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sqdet_cv.spec import ModelSpec
from train.anchors import find_anchors
from train.curves import BLUE
from train.data.augment import AugmentConfig
from train.data.loader import DetectionData, make_loader
from train.data.sample import Row, VocSample, make_sample
from train.diagnosis.diagnose import draw_history
from train.diagnosis.history import History
from train.diagnosis.watch import Watch, watched_images
from train.figures import RED, make_figure, save
from train.losses import OursConfig, OursLoss
from train.models import SqueezeDet, build_net
from train.models.squeezenet import PIXEL_DEVIATION
from train.optim import lr_factor, make_optimizer

COLOURS_BGR = {"blue": (220, 40, 40), "green": (40, 220, 40), "red": (40, 40, 220)}
LABELS = tuple(COLOURS_BGR)
SHAPES = 5  # of anchors
SIZE, PICTURES, BATCH = 96, 192, 8  # 24 steps an epoch
WARMUP = 10  # steps


@dataclass(frozen=True)
class Trial:
    name: str
    lr: float
    leaky_slope: float = 0.0


@dataclass(frozen=True)
class Result:
    """The losses are means of an epoch; the history begins at epoch 0, before the first step."""

    trial: Trial
    history: History
    losses: list[float]


SANE, HIGH = 0.01, 0.05
TRIALS = (
    Trial("sane", SANE),
    Trial("high", HIGH),
    Trial("leaky 0.01", HIGH, 0.01),
    Trial("leaky 0.1", HIGH, 0.1),
)


def draw_pictures(folder: Path, count: int, rng: np.random.Generator) -> list[VocSample]:
    """Pictures of one to three coloured squares, whose colours are the classes, on grey noise, as PNG files."""
    samples = []
    for i in range(count):
        image_bgr = rng.integers(80, 140, (SIZE, SIZE, 1), np.uint8).repeat(3, axis=2)
        rows = []
        for third in rng.permutation(3)[: rng.integers(1, 4)].tolist():  # of the width, so that none covers another
            side = int(rng.integers(20, SIZE // 3))
            x = third * SIZE // 3 + int(rng.integers(0, SIZE // 3 - side + 1))
            y = int(rng.integers(0, SIZE - side + 1))
            class_id = int(rng.integers(len(LABELS)))
            image_bgr[y : y + side, x : x + side] = COLOURS_BGR[LABELS[class_id]]
            rows.append(Row((x, y, x + side, y + side), class_id))
        path = folder / f"{i:04d}.png"
        cv2.imwrite(str(path), image_bgr)
        samples.append(make_sample(path, rows, [True] * len(LABELS), (SIZE, SIZE)))
    return samples


def small_net(leaky_slope: float) -> SqueezeDet:
    """SqueezeDet with few channels and no BatchNorm, which would hide the effect, as `draw_weights` begins nets."""
    net = build_net(
        "squeezedet",
        SHAPES,
        len(LABELS),
        backbone_fires=((16, 32, 32),) * 8,
        head_fires=((16, 32, 32),) * 2,
        dropout=0.0,
        leaky_slope=leaky_slope,
    )
    for layer in net.features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        net.features.conv1.weight /= PIXEL_DEVIATION
    return net


def train(trial: Trial, samples: list[VocSample], folder: Path, epochs: int, seed: int) -> Result:
    """One run, with Fit's loss, clipping and schedule; all layers learn at the same rate."""
    torch.manual_seed(seed)
    net = small_net(trial.leaky_slope)
    anchors = find_anchors(samples, SIZE, SHAPES, seed).round(2).tolist()
    spec = ModelSpec(LABELS, (SIZE, SIZE), net.grid_hw((SIZE, SIZE)), tuple(map(tuple, anchors)))
    optimizer = make_optimizer(net, trial.lr, 1.0, 5e-4)
    loss = OursLoss(OursConfig(), spec)
    watch = Watch(folder, watched_images(samples, spec, 16))
    losses, step, steps = [], 0, epochs * -(-len(samples) // BATCH)
    net.to(memory_format=torch.channels_last)
    watch.measure(net, 0)
    for epoch in tqdm(range(1, epochs + 1), desc=trial.name, unit="epoch"):
        order = [(int(i), 0) for i in np.random.default_rng((seed, epoch)).permutation(len(samples))]
        total = 0.0
        net.train()
        for batch in make_loader(DetectionData(samples, spec, AugmentConfig(), seed, epoch), order, BATCH, 0):
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * lr_factor(step, steps, WARMUP)
            parts = loss(net.split(net(batch.images.contiguous(memory_format=torch.channels_last))), batch)
            value = sum(parts.values())
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            step += 1
            total += value.item()
        losses.append(total / (len(samples) / BATCH))
        for line in watch.measure(net, epoch):
            tqdm.write(f"{trial.name}, epoch {epoch}: {line}")
    return Result(trial, watch.history, losses)


def table(results: list[Result]) -> str:
    """Markdown: the share of each layer's units that never fire, at its highest after an epoch and after the last, and
    how many are dead then; the loss of the last epoch."""
    layers = results[0].history.measurements[0].layers
    titles = [f"{one.trial.name}: rate {one.trial.lr}" for one in results]
    lines = ["| silent units, %: worst, last | " + " | ".join(titles) + " |", "|---" * (len(results) + 1) + "|"]
    silent = [100 * one.history.silent()[1:] for one in results]  # without epoch 0
    for i, layer in enumerate(layers):
        lines.append(f"| {layer} | " + " | ".join(f"{s[:, i].max():.0f}, {s[-1, i]:.0f}" for s in silent) + " |")
    means = " | ".join(f"{s.mean(axis=1).max():.0f}, {s[-1].mean():.0f}" for s in silent)
    lines.append(f"| **mean of the layers** | {means} |")
    dead = " | ".join(f"{100 * one.history.dead()[-1].mean():.0f}" for one in results)
    lines.append(f"| **dead in the end, mean** | {dead} |")
    lines.append("| **loss** | " + " | ".join(f"{one.losses[-1]:.2f}" for one in results) + " |")
    return "\n".join(lines)


def plot(path: Path, results: list[Result]) -> None:
    """The silent units of each run, layer by layer over the epochs, and the losses."""
    figure = make_figure(13, 6.4)
    *maps, axes = figure.subplots(1, len(results) + 1, width_ratios=[1] * len(results) + [1.7])
    layers = results[0].history.measurements[0].layers
    colours = ("#2f855a", RED, "#dd6b20", BLUE)
    for panel, one, colour in zip(maps, results, colours):
        epochs = one.history.epochs
        shares = 100 * one.history.silent().T
        extent = (epochs[0] - 0.5, epochs[-1] + 0.5, len(layers) - 0.5, -0.5)
        picture = panel.imshow(shares, cmap="Reds", vmin=0, vmax=100, aspect="auto", extent=extent)
        panel.set_yticks(range(len(layers)), layers if panel is maps[0] else [], fontsize=8)
        kind = f"LeakyReLU {one.trial.leaky_slope}" if one.trial.leaky_slope else "ReLU"
        panel.set_title(f"{kind}\nrate {one.trial.lr}", color=colour, fontsize=11)
        panel.set_xlabel("epoch")
        axes.plot(epochs[1:], one.losses, color=colour, linewidth=2, label=f"{kind}, rate {one.trial.lr}")
    figure.colorbar(picture, ax=maps, label="units of the layer that never fire (%)", shrink=0.6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set(xlabel="epoch", ylabel="loss (logarithmic)", title="loss")
    axes.grid(alpha=0.25, which="both")
    axes.legend()
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/dying", help="folder to write to (default: runs/dying)")
    parser.add_argument("--epochs", type=int, default=10, help="of 24 steps each (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of pictures, weights and order (default: 0)")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the nets are tiny
    results = []
    with TemporaryDirectory() as folder:
        samples = draw_pictures(Path(folder), PICTURES, np.random.default_rng(args.seed))
        for trial in TRIALS:
            results.append(train(trial, samples, Path(args.out) / trial.name.replace(" ", "_"), args.epochs, args.seed))
    print(table(results))
    plot(Path(args.out) / "dying.png", results)
    for one in results:
        draw_history(Path(args.out) / one.trial.name.replace(" ", "_"), one.history)
    print(f"{args.out}/dying.png")


if __name__ == "__main__":
    main()
