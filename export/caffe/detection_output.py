"""The head `detection-output`: SSD's layers, which decode and suppress inside the net, for `cv2.dnn.DetectionModel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqdet_cv.boxes.postprocess import MAX_CANDIDATES, NMS_THRESHOLD
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.spec.grid import Grid

from .builder import INPUT, CaffeBuilder


@dataclass(frozen=True)
class Suppression:
    """What `detection-output` does inside the net.

    Attributes:
        score_threshold: detections score above it.
        nms_threshold: IoU above which the weaker box of a class goes.
        keep: most detections an image; the output has that many rows, unused ones are 0.
    """

    score_threshold: float = 0.05
    nms_threshold: float = NMS_THRESHOLD
    keep: int = 100


def add_detection_output(
    builder: CaffeBuilder, grids: Sequence[str], spec: ModelSpec, suppression: Suppression
) -> None:
    """Scores, anchors as prior boxes, and SSD's DetectionOutput. Its exponential is plain: `spec.size_delta_cap`, which
    a trained net does not reach, is not applied; and it takes MAX_CANDIDATES of each class, not of all together."""
    confidence = builder.add("confidence", "Reshape", ["conf_scores"])
    confidence.reshape_param.shape.dim.extend([0, spec.num_anchors])
    builder.add("scores", "Scale", ["class_scores", "confidence"]).scale_param.axis = 0
    builder.add("flat_scores", "Flatten", ["scores"]).flatten_param.axis = 1
    builder.add("flat_deltas", "Flatten", ["delta_bbox"]).flatten_param.axis = 1

    priors = [
        _add_priors(builder, "anchors" if len(grids) == 1 else f"anchors_{blob}", blob, grid, spec.input_wh)
        for blob, grid in zip(grids, spec.grids, strict=True)
    ]
    if len(priors) > 1:
        builder.add("anchors", "Concat", priors).concat_param.axis = 2

    parameters = builder.add(
        "detection_out", "DetectionOutput", ["flat_deltas", "flat_scores", "anchors"]
    ).detection_output_param
    parameters.num_classes = spec.num_classes
    parameters.share_location = True
    parameters.background_label_id = spec.num_classes  # none; -1 would be OpenCV's mark for the shared boxes
    parameters.code_type = 2  # CENTER_SIZE
    parameters.clip = 1  # else DetectionModel, which moves only the left edge in, makes boxes too wide
    parameters.confidence_threshold = suppression.score_threshold
    parameters.keep_top_k = suppression.keep
    parameters.nms_param.nms_threshold = suppression.nms_threshold
    parameters.nms_param.top_k = MAX_CANDIDATES


def _add_priors(builder: CaffeBuilder, name: str, blob: str, grid: Grid, input_wh: tuple[int, int]) -> str:
    """The anchors of one grid, whose cells are those of the blob."""
    anchors = builder.add(name, "PriorBox", [blob, INPUT]).prior_box_param
    anchors.step_w, anchors.step_h = grid.step_wh(input_wh)
    anchors.offset = grid.offset
    anchors.width.extend(w for w, _ in grid.anchors_wh)
    anchors.height.extend(h for _, h in grid.anchors_wh)
    anchors.variance.append(1)
    anchors.clip = False
    return name
