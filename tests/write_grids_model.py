"""Writes tests/data/grids/: a tiny squeezedet-fpn as both kinds of ONNX file and as Caffe, and what PyTorch answers.

Every OpenCV version is held to it. Run from the project's root: python -m tests.write_grids_model
"""

from __future__ import annotations

import json

import torch

from export.caffe import export_caffe
from export.onnx import export_onnx
from sqdet_cv.boxes.ops import decode
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_text_atomically
from train.models import FpnConfig, SqueezeDetFpn

from .grids_model import ANSWER, CAFFE, CONVDET, DECODED
from .int8_model import picture

CONFIG = FpnConfig(backbone_fires=((4, 4, 8),) * 8, coarse_fires=((4, 4, 8),) * 2, width=8, fine_width=4, norm=False)


def tiny_detector() -> tuple[SqueezeDetFpn, ModelSpec]:
    """A net with lively answers on 64 x 32 px: 32 + 8 + 2 + 1 anchors."""
    torch.manual_seed(0)
    net = SqueezeDetFpn(CONFIG, 3).eval()
    spec = ModelSpec(("cat", "dog", "person"), (64, 32), net.make_grids((64, 32)))
    with torch.no_grad():
        for head in net.heads.values():
            head.convdet.bias.zero_()
        grids = net(torch.from_numpy(images_to_blob([picture()], spec)))
        for head, grid in zip(net.heads.values(), grids):
            head.convdet.weight *= 3 / grid.std()
            head.convdet.bias[:4].normal_()
            head.convdet.weight[-4:] /= 20  # deltas, which an exponential enlarges
    return net, spec


def main() -> None:
    net, spec = tiny_detector()
    export_onnx(net, spec, CONVDET)
    export_onnx(net, spec, DECODED, head="decoded")
    export_caffe(net, spec, CAFFE)
    with torch.no_grad():
        raw = net.split(net(torch.from_numpy(images_to_blob([picture()], spec))))
    boxes_xyxy = decode(raw.deltas[0].numpy(), spec)
    scores = (raw.class_logits.softmax(dim=2) * raw.confidence_logits.sigmoid()[..., None])[0].numpy()
    answer = {"boxes_xyxy": boxes_xyxy.round(3).tolist(), "scores": scores.round(5).tolist()}
    write_text_atomically(ANSWER, json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
