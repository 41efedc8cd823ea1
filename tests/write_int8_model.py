"""Writes tests/data/int8/: a tiny int8 detector with every kind of layer that ours have, and what it must answer.

The answer is computed in exact integers (`export.int8.reference`), so that an OpenCV without PyTorch beside it can be
held to it. Run from the project's root: python -m tests.write_int8_model
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from export.graph.trace import trace
from export.int8.calibrate import collect_ranges
from export.int8.quantize import Int8Builder, choose_quantisers
from export.int8.reference import Int8Net
from export.onnx.model import INPUT, build_detector
from sqdet_cv.boxes.ops import decode
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_bytes_atomically, write_text_atomically
from train.models.fire import Fire
from train.models.squeezedet import SqueezeDet

from .int8_model import ANSWER, MODEL, picture
from .released import PHOTOS


class TinyDetector(nn.Module):
    """Convolution, pool, Fire, pool, Fire with LeakyReLU, ConvDet: 64 x 48 px to 5 x 7 cells with two anchors each."""

    anchors_per_cell, num_classes = 2, 3
    split = SqueezeDet.split

    def __init__(self) -> None:
        super().__init__()
        modules = {
            "conv1": nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()),
            "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
            "fire2": Fire(8, 4, 8, 8),
            "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
            "fire3": Fire(16, 6, 8, 8, leaky_slope=0.1),
            "convdet": nn.Conv2d(16, self.anchors_per_cell * (self.num_classes + 5), 1),
        }
        self.layers = nn.Sequential(OrderedDict(modules))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def tiny_detector() -> tuple[TinyDetector, ModelSpec]:
    """With random weights that keep every layer lively."""
    torch.manual_seed(0)
    net = TinyDetector().eval()
    for parameter in net.parameters():
        if parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        net.layers.convdet.weight /= 50  # the input is a hundred times what such weights are made for
    return net, ModelSpec.single(("cat", "dog", "person"), (64, 48), (5, 7), ((12.0, 20.0), (30.0, 24.0)))


def main(model_path: Path = MODEL, answer_path: Path = ANSWER) -> None:
    net, spec = tiny_detector()
    layers = trace(net, INPUT)
    quantisers = choose_quantisers(layers, collect_ranges(layers, spec, PHOTOS))
    model = build_detector(Int8Builder(quantisers), layers, spec, "decoded")
    with torch.no_grad():
        raw = net.split(Int8Net(net, layers, quantisers)(torch.from_numpy(images_to_blob([picture()], spec))))
    boxes_xyxy = decode(raw.deltas[0].numpy(), spec)
    scores = (raw.class_logits.softmax(dim=2) * raw.confidence_logits.sigmoid()[..., None])[0].numpy()
    write_bytes_atomically(model_path, model.SerializeToString())
    spec.save(model_path.with_suffix(".json"))
    answer = {"boxes_xyxy": boxes_xyxy.round(3).tolist(), "scores": scores.round(5).tolist()}
    write_text_atomically(answer_path, json.dumps(answer) + "\n")
    print(f"{model_path}: {model_path.stat().st_size} bytes, {len(scores)} anchors")


if __name__ == "__main__":
    main()
