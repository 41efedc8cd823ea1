"""A detector to an ONNX file in 8 bits (QDQ), with its spec beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_all_atomically
from train.models import AnyNet

from ..geometry import cropped
from ..graph.trace import trace
from ..onnx.model import INPUT, build_detector
from ..report import ExportReport
from .calibrate import collect_ranges
from .check import check_int8
from .quantize import Int8Builder, choose_quantisers
from .reference import Int8Net


def export_int8(
    net: AnyNet,
    spec: ModelSpec,
    path: str | Path,
    calibration_images: Sequence[Path],
    *,
    head: str = "convdet",
    crop: int = 0,
) -> ExportReport:
    """As `export.onnx.export.export_onnx`, with weights and activations in 8 bits: a quarter of the bytes.

    Args:
        calibration_images: a few hundred images like those to detect in; they show which ranges to quantize.

    Returns:
        the report; its errors are the distance from the float net, every layer being held to exact integers.
    """
    path, spec = Path(path), cropped(spec, crop)
    layers = trace(net, INPUT)
    quantisers = choose_quantisers(layers, collect_ranges(layers, spec, calibration_images))
    onnx = build_detector(Int8Builder(quantisers), layers, spec, head, crop).SerializeToString()
    errors = check_int8(str(path), onnx, net, Int8Net(net, layers, quantisers), spec, head, crop)
    write_all_atomically({path: onnx, path.with_suffix(".json"): spec.to_json().encode("utf-8")})
    return ExportReport(path, len(onnx), spec.num_anchors, *errors)
