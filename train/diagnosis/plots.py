"""The plots of a diagnosis, written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec

from ..data.sample import Sample
from .activation_plots import plot_activations, plot_dead_units
from .activations import measure
from .confidence import count_confidences, plot_confidence
from .history import History
from .monitor import MONITORED_IMAGES, monitored_images
from .weight_plots import plot_conv1_filters, plot_weights


def draw_history(folder: str | Path, history: History) -> list[Path]:
    """Writes activations.png and dead_units.png into the folder, of a history with an epoch at least."""
    folder = Path(folder)
    plot_activations(folder / "activations.png", history)
    plot_dead_units(folder / "dead_units.png", history)
    return [folder / "activations.png", folder / "dead_units.png"]


def draw_weights(folder: str | Path, net: nn.Module) -> list[Path]:
    """Writes conv1_filters.png and weights.png into the folder."""
    folder = Path(folder)
    plot_conv1_filters(folder / "conv1_filters.png", net)
    plot_weights(folder / "weights.png", net)
    return [folder / "conv1_filters.png", folder / "weights.png"]


def diagnose(
    net: nn.Module,
    spec: ModelSpec | None,
    out_dir: str | Path,
    train: Sequence[Sample] | None = None,
    val: Sequence[Sample] | None = None,
    *,
    history: History | None = None,
    epoch: int = 1,
    images: int = MONITORED_IMAGES,
    workers: int = 1,
    title: str = "",
) -> list[Path]:
    """Draws what goes on inside a net into a folder: conv1_filters.png and weights.png, and where there is the data,
    activations.png and dead_units.png (of `train` or `history`) and confidence.png (of `val`).

    Args:
        spec: of a detector; None for a classifier, of which only the weights are drawn.
        train: samples on which the activations are measured, where there is no `history`.
        val: samples on which the confidences are counted.
        history: what a run measured after its epochs. epoch: the number to give to what is measured now.
        images: how many of `train`. workers: processes that load images; 0: none. title: of confidence.png.

    Returns:
        the files, in the order in which they were written.
    """
    out_dir, written = Path(out_dir), []
    history = history or History()
    if train and spec and not history.epochs:
        history = history.with_epoch(epoch, measure(net, monitored_images(train, spec, images)))
    if val and spec:
        written.append(out_dir / "confidence.png")
        counts = count_confidences(net, spec, val, workers)
        plot_confidence(written[-1], counts, title or f"Confidence on {len(val)} images")
    written += draw_weights(out_dir, net)
    if history.epochs:
        written += draw_history(out_dir, history)
    return written
