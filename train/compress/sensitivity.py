"""`python -m train sensitivity`: what it costs to prune one layer, or to let it share weights, the others untouched.

Deep Compression's figures of that kind say where weights are redundant. The numbers go to OUT/sensitivity.json, which
`python -m train compress --scan` reads, after every layer; the same command goes on with what is there. The image is
OUT/sensitivity.png.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn
from tqdm import tqdm

from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_text_atomically

from ..checkpoints.native import net_from_checkpoint
from ..common.errors import TrainError
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import open_dataset
from ..data.sample import Sample
from ..detectors.open_detector import TorchDetector
from ..evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from ..models.fuse import convolutions, fuse_batchnorm
from ..models.squeezedet import SqueezeDet
from .config import MAX_BITS
from .prune import add_masks, prune
from .sensitivity_plot import plot_scan
from .weight_sharing import share_weights


class Scan:
    """The mAP of a net on some images, whole or with one layer changed."""

    def __init__(self, net: SqueezeDet, spec: ModelSpec, samples: Sequence[Sample]) -> None:
        self.net, self.spec, self.samples = fuse_batchnorm(net), spec, samples

    def measure(self, net: SqueezeDet) -> float:
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of `python -m train fit`")
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", default="val", help="comma-separated lists of images (default: val)")
    parser.add_argument("--photos", type=int, default=0, help="only so many images, evenly from the list; 0: all")
    parser.add_argument("--sparsities", default="0.3,0.5,0.7,0.9", help="shares to prune (default: 0.3,0.5,0.7,0.9)")
    parser.add_argument("--bits", default="1,2,3,4", help="2^bits shared weights (default: 1,2,3,4)")
    parser.add_argument("--out", default="runs/sensitivity", help="folder to write to (default: runs/sensitivity)")


def run(args: argparse.Namespace) -> None:
    sparsities = numbers(args.sparsities, float, 0, 0.999, "sparsities")
    bits = numbers(args.bits, int, 1, MAX_BITS, "bits")
    if args.photos < 0:
        raise TrainError(f"--photos {args.photos}: expected 0 or more")
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainError("sensitivity draws with matplotlib: pip install '.[train]'")
    net, spec = net_from_checkpoint(args.checkpoint)
    samples = open_dataset(args.data, args.lists.split(","), spec.labels)
    if args.photos:
        samples = samples[:: max(len(samples) // args.photos, 1)][: args.photos]
    asked = {"checkpoint": args.checkpoint, "data": args.data, "lists": args.lists, "photos": len(samples)}
    asked |= {"sparsities": sparsities, "bits": bits}
    path = Path(args.out) / "sensitivity.json"
    found = read_scan(path, asked)
    scan = Scan(net, spec, samples)
    if "map" not in found:
        found |= {"map": scan.measure(scan.net), "pruned": {}, "shared": {}}
    bar = tqdm(convolutions(scan.net), desc=f"{len(samples)} images", unit="layer")
    for layer in bar:
        if layer in found["shared"]:
            continue
        found["pruned"][layer] = {str(sparsity): scan.pruned(layer, sparsity) for sparsity in sparsities}
        found["shared"][layer] = {str(count): scan.shared(layer, count) for count in bits}
        write_text_atomically(path, json.dumps(found, indent=1) + "\n")
    plot_scan(path.with_suffix(".png"), found)
    print(f"{path}\n{path.with_suffix('.png')}")


def read_scan(path: Path, asked: dict) -> dict:
    """What an earlier, stopped call with the same options found; else those options.

    Raises:
        TrainError: the file is of a call with others.
    """
    if not path.is_file():
        return dict(asked)
    found = json.loads(path.read_text())
    for name, value in asked.items():
        if found.get(name) != value:
            raise TrainError(f"{path}: a scan with {name} {found.get(name)}, not {value}; name another --out")
    return found
