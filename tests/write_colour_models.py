"""Writes tests/data/colours/: a detector and a classifier of a few kB that see pure red and pure blue.

Their weights are set by hand, so that what they must answer to a drawn image is known without running them, also
where there is no PyTorch. Run from the project's root: python -m tests.write_colour_models
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from export.graph.trace import trace
from export.onnx.model import INPUT, classifier_model, detector_model
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_bytes_atomically

from .colours import CLASSIFIER, DETECTOR


def detector() -> tuple[nn.Module, ModelSpec]:
    """3 x 5 cells that look at 32 x 32 px each, 16 px apart. Each has an anchor of just that size, and a less confident
    one that is a little narrower and has to be suppressed."""
    spec = ModelSpec.single(("red", "blue"), (96, 64), (3, 5), ((32.0, 32.0), (28.0, 32.0)))
    net = nn.Sequential(nn.Conv2d(3, 3, 4, stride=4), nn.Conv2d(3, 3, 4, stride=4), nn.Conv2d(3, 14, 2))
    blue, green, red = range(3)  # of what the spec's mean leaves: near 0 for grey
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for mean in net[:2]:
            for channel in range(3):
                mean.weight[channel, channel] = 1 / 16
        weight, bias = net[2].weight, net[2].bias
        share = 1 / 4  # of each of the last kernel's four places in the mean over the cell
        for is_red, is_blue, confidence, doubt in ((0, 1, 4, 22), (2, 3, 5, 23)):
            weight[is_red, red], weight[is_red, blue] = share / 10, -share / 10
            weight[is_blue, red], weight[is_blue, blue] = -share / 10, share / 10
            # red + blue - 2 green is about 260 where a cell is all red or all blue, half of that where half of it is
            weight[confidence, [red, blue]], weight[confidence, green] = share / 10, -2 * share / 10
            bias[confidence] = -doubt
    return net.eval(), spec


def classifier() -> tuple[nn.Module, ClassifierSpec]:
    """The mean of how blue, green and red the input's pixels are, at least 0, as logits."""
    spec = ClassifierSpec(("blue", "green", "red"), (24, 16), scale=1 / 64, resize="center_crop", resize_side=32)
    net = nn.Sequential(nn.Conv2d(3, 3, 1, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3)[..., None, None])
        net[0].bias.zero_()
    return net.eval(), spec


def main(detector_path: Path = DETECTOR, classifier_path: Path = CLASSIFIER) -> None:
    net, spec = detector()
    write_bytes_atomically(detector_path, detector_model(trace(net, INPUT), spec, "decoded").SerializeToString())
    spec.save(detector_path.with_suffix(".json"))
    net, spec = classifier()
    write_bytes_atomically(classifier_path, classifier_model(trace(net, INPUT), spec).SerializeToString())
    spec.save(classifier_path.with_suffix(".json"))


if __name__ == "__main__":
    main()
