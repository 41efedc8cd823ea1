"""The embedded model and the ten images it is tested on."""

from __future__ import annotations

from pathlib import Path

import sqdet_cv
from sqdet_cv.dnn.packed import unpack

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "samples" / "pictures"
PHOTOS = sorted([*PICTURES.glob("*.jpg"), *(ROOT / "tests" / "data" / "photos").glob("*.jpg")], key=lambda p: p.name)
DETECTIONS = ROOT / "tests" / "data" / "released_detections.json"
MODEL = Path(sqdet_cv.__file__).parent / "models" / "sqdet_voc.sqdet"
SCORE_THRESHOLD = 0.1  # low, so that every image's weak candidates are compared too


def released_onnx() -> tuple[bytes, sqdet_cv.ModelSpec]:
    """The ONNX file that is packed in it, and its spec."""
    onnx, spec_json = unpack(MODEL.read_bytes(), MODEL.name)
    return onnx, sqdet_cv.ModelSpec.from_json(spec_json)


def write_released(folder: Path) -> Path:
    """NAME.onnx with NAME.json beside it, as if they had just been exported."""
    onnx, spec = released_onnx()
    spec.save(folder / "released.json")
    (folder / "released.onnx").write_bytes(onnx)
    return folder / "released.onnx"


def released_net():
    """The released weights in a PyTorch net, and their spec."""
    from train.checkpoints.exported import net_from_exported  # the runtime's tests run without torch

    return net_from_exported(MODEL)
