"""How confident a net is where there is an object, and where there is none: confidence.png."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from sqdet_cv.boxes.postprocess import SCORE_THRESHOLD
from sqdet_cv.spec.detector_spec import ModelSpec

from ..common.plotting import BLUE, RED, make_figure, save
from ..data.loader import DetectionData, make_loader
from ..data.sample import Sample
from ..models import AnyNet

BINS = 100  # of [0, 1]; the detector's default threshold is the border of two
BATCH = 8


@dataclass(frozen=True, eq=False)
class ConfidenceCounts:
    """How many anchors have a confidence in [i / BINS, (i + 1) / BINS): (BINS,) int64 each; 1 is in the last."""

    positive: np.ndarray
    negative: np.ndarray


@torch.no_grad()
def count_confidences(net: AnyNet, spec: ModelSpec, samples: Sequence[Sample], workers: int = 0) -> ConfidenceCounts:
    """Counts the anchors that `targets.assign` calls positive and negative in whole, unchanged images.

    A negative counts only where its most probable class is one that the image is labelled for: of the others nobody
    knows whether it is wrong.

    Args:
        net: in evaluation mode; `spec`: its geometry.
    """
    data = DetectionData(samples, spec, None, seed=0, epoch=0)
    device = next(net.parameters()).device
    counts = {name: np.zeros(BINS, np.int64) for name in ("positive", "negative")}
    for batch in tqdm(make_loader(data, [(i, 0) for i in range(len(samples))], BATCH, workers), delay=1, unit="batch"):
        batch = batch.to(device)
        raw = net.split(net(batch.images))
        confidence = raw.confidence_logits.sigmoid()
        known = batch.labelled.gather(1, raw.class_logits.argmax(dim=2))
        for name, chosen in (("positive", batch.positive_weight > 0), ("negative", batch.negative & known)):
            places = (confidence[chosen] * BINS).long().clamp(max=BINS - 1)
            counts[name] += torch.bincount(places, minlength=BINS).cpu().numpy()
    return ConfidenceCounts(**counts)


def plot_confidence(path: str | Path, counts: ConfidenceCounts, title: str) -> None:
    """Both histograms over each other, on a logarithmic axis: there are a thousand times more negatives."""
    figure = make_figure(9, 5)
    axes = figure.subplots()
    edges = np.arange(BINS + 1) / BINS
    above = edges[:-1] >= SCORE_THRESHOLD - 1e-9
    for name, values, colour in (("negatives", counts.negative, RED), ("positives", counts.positive, BLUE)):
        total = values.sum()
        share = 100 * values[above].sum() / max(total, 1)
        label = f"{total:,} {name}: {share:.2g} % of them above {SCORE_THRESHOLD}"
        axes.stairs(values, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(values, edges, color=colour, linewidth=1.5, label=label)
    axes.axvline(
        SCORE_THRESHOLD, color="black", linestyle="--", linewidth=1, label="Detector's default score threshold"
    )
    axes.set_yscale("log")
    axes.set(xlim=(0, 1), ylim=(0.5, None), xlabel="confidence", ylabel="anchors (logarithmic)", title=title)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right")
    save(figure, path)
