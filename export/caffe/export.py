"""A detector to NAME.caffemodel and NAME.prototxt for OpenCV 4, with its spec beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.dnn.caffe import read_caffe
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_all_atomically
from train.models import AnyNet

from ..check import EXACT, HALF
from ..errors import ExportError
from ..geometry import cropped
from ..graph.trace import trace
from ..report import ExportReport
from .builder import INPUT
from .check import check_caffe, check_detection_output
from .detection_output import Suppression
from .infer_bbox import require_infer_bbox
from .model import detector_net
from .proto import to_text


def export_caffe(
    net: AnyNet,
    spec: ModelSpec,
    path: str | Path,
    *,
    head: str = "layers",
    crop: int | None = None,
    half: bool = False,
    suppression: Suppression | None = None,
) -> ExportReport:
    """Writes PATH (.caffemodel), the .prototxt and the spec's .json, after cv2.dnn has run them.

    Args:
        head: "layers" (slice, softmax, sigmoid, as the 2017 net ends), "detection-output" (suppresses inside the net,
            for `cv2.dnn.DetectionModel`) or "infer-bbox" (for the unchanged C++ class, in the geometry that it expects;
            the input must be 416 px).
        crop: rings of grid cells to cut off; None: as many as "infer-bbox" needs, else none.
        half: store the weights as float16.
        suppression: of "detection-output".

    Raises:
        ExportError: the net does not fit the head, or OpenCV differs from PyTorch; nothing is written.
    """
    path, for_class = Path(path), head == "infer-bbox"
    if crop is None:
        crop = (spec.grid.hw[0] - VOC_2017_SPEC.grid.hw[0]) // 2 if for_class and len(spec.grids) == 1 else 0
        if crop < 0:
            raise ExportError(f"--infer-bbox: made for 416 px; at {spec.input_wh[0]} px there are too few cells")
    written_spec = spec = cropped(spec, crop)
    if for_class:
        require_infer_bbox(spec)
        # what the C++ class has hard-wired, with this model's preprocessing
        written_spec = dataclasses.replace(VOC_2017_SPEC, mean_bgr=spec.mean_bgr, scale=spec.scale, rgb=spec.rgb)
    suppression = suppression or Suppression()
    message = detector_net(trace(net, INPUT), spec, head, crop=crop, half=half, suppression=suppression)
    prototxt, caffemodel = to_text(message).encode(), message.SerializeToString()
    opencv_net = read_caffe(prototxt, caffemodel, str(path))
    tolerance = HALF if half else EXACT
    errors = check_caffe(opencv_net, str(path), net, spec, written_spec, crop, tolerance)
    if head == "detection-output":
        check_detection_output(opencv_net, str(path), spec, tolerance)
    spec_json = written_spec.to_json().encode("utf-8")
    write_all_atomically(
        {path: caffemodel, path.with_suffix(".prototxt"): prototxt, path.with_suffix(".json"): spec_json}
    )
    return ExportReport(path, len(caffemodel), spec.num_anchors, *errors)
