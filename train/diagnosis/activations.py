"""What the activations of a net are given, on some images: histograms, and the units that never fire."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..models.hooks import reading_inputs
from .layers import activations

LINEAR_UP_TO, LARGEST = 0.1, 1e4  # the bins grow like asinh: evenly below the one, by a constant factor up to the other
BINS = 120
CHUNK = 8  # images at a time: conv1 of 64 images at 320 px would be 400 MB
SAMPLED_SIDE = 8  # positions in a row and a column of a map that its histogram counts: all of them cost seconds


def _bin_edges() -> np.ndarray:
    ends = math.asinh(LARGEST / LINEAR_UP_TO)
    half = LINEAR_UP_TO * np.sinh(np.linspace(0, ends, BINS // 2 + 1))
    return np.concatenate([-half[:0:-1], half]).astype(np.float32)


BIN_EDGES = _bin_edges()  # (BINS + 1,), symmetric about an edge at 0; the outermost bins hold all that is beyond, too


@dataclass(frozen=True, eq=False)
class Measurement:
    """What L activations were given, in the order of the net.

    Attributes:
        layers: their names. units: (L,) int64, their channels. slopes: (L,) float32, of LeakyReLU; 0: ReLU.
        histograms: (L, BINS) int64. Bin i counts the values above BIN_EDGES[i], up to BIN_EDGES[i + 1] and with it, so
            what a ReLU lets through stands in the upper half. NaN is not counted.
        silent: (L,) float32, the share of the units that never fire: what they are given is <= 0 at all positions of
            all images.
        finite: (L,) bool: no unit was given NaN or an infinity as its largest value.
    """

    layers: tuple[str, ...]
    units: np.ndarray
    slopes: np.ndarray
    histograms: np.ndarray
    silent: np.ndarray
    finite: np.ndarray

    @property
    def dead(self) -> np.ndarray:
        """(L,) float32, the share of the units whose activation has no gradient anywhere: the silent ones of a ReLU.

        Nothing moves the weights of such a unit again, but their decay. A silent unit behind LeakyReLU has the slope
        as its gradient everywhere, so it goes on learning, if slowly, and is not dead.
        """
        return np.where(self.slopes > 0, np.float32(0), self.silent)


class _Probe:
    """Counts what one activation is given, before that activation changes it in place."""

    def __init__(self) -> None:
        self.histogram = np.zeros(BINS, np.int64)
        self.highest: torch.Tensor | None = None  # of each unit

    def __call__(self, values: torch.Tensor) -> None:
        """`values`: (N, units, rows, columns)."""
        highest = values.amax(dim=(0, 2, 3))
        self.highest = highest if self.highest is None else torch.maximum(self.highest, highest)
        steps = [-(-side // SAMPLED_SIDE) for side in values.shape[2:]]
        self.histogram += histogram(values[:, :, :: steps[0], :: steps[1]])


def histogram(values: torch.Tensor) -> np.ndarray:
    """(BINS,) int64, as in Measurement, of a tensor of any shape."""
    inner = torch.from_numpy(BIN_EDGES[1:-1]).to(values.device)
    places = torch.bucketize(values[~values.isnan()].float(), inner, out_int32=True)
    return torch.bincount(places, minlength=BINS).cpu().numpy()


@torch.no_grad()
def measure(net: nn.Module, images: torch.Tensor) -> Measurement:
    """Runs the net in evaluation mode, and leaves it as it was: mode, weights, moments of BatchNorm, hooks.

    Args:
        images: (N, 3, H, W) float32 as the net takes them; on any device.
    """
    modules = activations(net)
    probes = {name: _Probe() for name in modules}
    modes = {module: module.training for module in net.modules()}
    device = next(net.parameters()).device
    try:
        net.eval()
        with reading_inputs({module: probes[name] for name, module in modules.items()}):
            for chunk in images.split(CHUNK):
                net(chunk.to(device).contiguous(memory_format=torch.channels_last))
    finally:
        for module, training in modes.items():
            module.training = training
    highest = [probe.highest for probe in probes.values()]
    return Measurement(
        tuple(probes),
        np.array([len(values) for values in highest]),
        np.float32([getattr(module, "negative_slope", 0.0) for module in modules.values()]),
        np.stack([probe.histogram for probe in probes.values()]),
        np.float32([(values <= 0).float().mean().item() for values in highest]),
        np.array([bool(values.isfinite().all()) for values in highest]),
    )
