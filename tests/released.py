"""The embedded model and the ten photos it is tested on."""

from __future__ import annotations

from pathlib import Path

import sqdet_cv

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "samples" / "pictures"
PHOTOS = sorted([*PICTURES.glob("*.jpg"), *(ROOT / "tests" / "data" / "photos").glob("*.jpg")], key=lambda p: p.name)
DETECTIONS = ROOT / "tests" / "data" / "released_detections.json"
MODEL = Path(sqdet_cv.__file__).parent / "models" / "sqdet_voc.onnx"
SCORE_THRESHOLD = 0.1  # low, so that every photo's weak candidates are compared too


def released_net():
    """The released weights in a PyTorch net, and their spec."""
    from train.models import build_net  # the runtime's tests run without torch
    from train.weights import initialise

    spec = sqdet_cv.ModelSpec.load(MODEL.with_suffix(".json"))
    net = build_net("sqdet", spec.num_shapes, spec.num_classes)
    initialise(net, MODEL)
    return net.eval(), spec
