"""What it costs to prune one layer, or to let it share weights, the others untouched.

Deep Compression's figures of that kind say where weights are redundant (arXiv 1510.00149, figure 6).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from tqdm import tqdm

from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_text_atomically

from ..common.errors import TrainError
from ..data.sample import Sample
from ..detectors.pytorch import TorchDetector
from ..evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from ..models import AnyNet
from ..models.fuse import convolutions, fuse_batchnorm
from .prune import add_masks, prune
from .weight_sharing import share_weights


class LayerScan:
    """The mAP of a net on some images, whole or with one layer changed."""

    def __init__(self, net: AnyNet, spec: ModelSpec, samples: Sequence[Sample]) -> None:
        self.net, self.spec, self.samples = fuse_batchnorm(net), spec, samples

    def measure(self, net: AnyNet) -> float:
        """mAP in [0, 1]."""
        detector = TorchDetector(net, self.spec, EVAL_SCORE_THRESHOLD)
        return mean_ap(evaluate(detector, self.samples, self.spec.labels))

    def pruned(self, layer: str, sparsity: float) -> float:
        net = copy.deepcopy(self.net)
        conv = convolutions(net)[layer]
        add_masks(lone := nn.Sequential(conv))
        prune(lone, sparsity)
        return self.measure(net)

    def shared(self, layer: str, bits: int) -> float:
        net = copy.deepcopy(self.net)
        share_weights(net, {f"{layer}.weight": 2**bits})
        return self.measure(net)


def numbers(text: str, kind: type, low: float, high: float, name: str) -> list:
    """ "0.3,0.5" to [0.3, 0.5]. Raises TrainError unless all lie in [low, high]."""
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(low <= value <= high for value in values):
        raise TrainError(f"--{name} {text}: expected numbers from {low} to {high}, comma-separated")
    return sorted(set(values))


@dataclass(frozen=True)
class Scan:
    """The mAP in [0, 1] of a net with one layer changed.

    Attributes:
        map: of the net as it is.
        pruned: {layer: {sparsity: mAP}}. shared: {layer: {bits: mAP}}. The inner keys are text, as in the JSON file.
    """

    map: float
    pruned: dict[str, dict[str, float]]
    shared: dict[str, dict[str, float]]


def scan_sensitivity(
    net: AnyNet,
    spec: ModelSpec,
    samples: Sequence[Sample],
    sparsities: Sequence[float],
    bits: Sequence[int],
    cache: str | Path | None = None,
    conditions: Mapping[str, object] | None = None,
) -> Scan:
    """Measures the net with each layer pruned to each sparsity, and with its weights shared at each number of bits.

    Args:
        sparsities: fractions of a layer's weights to prune, in [0, 1). bits: 2^bits shared weights, 1 to 8.
        cache: JSON file that is written after each layer; a scan that was stopped goes on with it.
        conditions: what the numbers depend on beside these arguments; goes into the cache.

    Raises:
        TrainError: the cache is of another scan.
    """
    state = dict(conditions or {}) | {"sparsities": list(sparsities), "bits": list(bits)}
    if cache is not None:
        state = read_scan(Path(cache), state)
    scan = LayerScan(net, spec, samples)
    if "map" not in state:
        state |= {"map": scan.measure(scan.net), "pruned": {}, "shared": {}}
    for layer in tqdm(convolutions(scan.net), desc=f"{len(samples)} images", unit="layer"):
        if layer in state["shared"]:
            continue
        state["pruned"][layer] = {str(sparsity): scan.pruned(layer, sparsity) for sparsity in sparsities}
        state["shared"][layer] = {str(count): scan.shared(layer, count) for count in bits}
        if cache is not None:
            write_text_atomically(cache, json.dumps(state, indent=1) + "\n")
    return Scan(state["map"], state["pruned"], state["shared"])


def read_scan(path: Path, conditions: dict) -> dict:
    """The numbers of an earlier call with the same options that was stopped; without one, those options.

    Raises:
        TrainError: the file was written with other options.
    """
    if not path.is_file():
        return dict(conditions)
    found = json.loads(path.read_text())
    for name, value in conditions.items():
        if found.get(name) != value:
            raise TrainError(f"{path}: of a scan with {name} {found.get(name)}, not {value}; name another --out")
    return found
