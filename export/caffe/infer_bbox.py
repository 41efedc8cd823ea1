"""The head `infer-bbox`: the net's answers in the geometry that the C++ class `cv::dnn_objdetect::InferBbox` has
hard-wired, so that the class runs unchanged."""

from __future__ import annotations

import numpy as np

from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.spec.detector_spec import ModelSpec

from ..errors import ExportError
from ..graph.trace import Layer
from .builder import CaffeBuilder
from .proto import add_blob

NEVER = -1000.0  # a confidence logit: its sigmoid is 0 in float32


def require_infer_bbox(spec: ModelSpec) -> None:
    """Raises ExportError unless the model's shape is the one that the C++ class has hard-wired."""
    wanted = VOC_2017_SPEC
    if spec.labels != wanted.labels:
        raise ExportError("--infer-bbox: the C++ class has the 20 PASCAL VOC classes in alphabetical order built in")
    if spec.grids[0].transposed or spec.delta_order != "xywh":
        raise ExportError("--infer-bbox: the model is in the C++ class's geometry already; leave the option out")
    if len(spec.grids) > 1:
        if spec.input_wh != wanted.input_wh or spec.num_anchors > wanted.num_anchors:
            raise ExportError(
                f"--infer-bbox: the C++ class takes 416 x 416 pixels and {wanted.num_anchors} anchors; this model "
                f"has {spec.input_wh[0]} x {spec.input_wh[1]} pixels and {spec.num_anchors} anchors (--size 416)"
            )
        return
    have = (spec.input_wh, spec.grid.hw, spec.grid.anchors_per_cell)
    if have != (wanted.input_wh, wanted.grid.hw, wanted.grid.anchors_per_cell):
        raise ExportError(
            f"--infer-bbox: the C++ class takes 416 x 416 pixels and 23 x 23 cells of 9 shapes; this model has "
            f"{have[0][0]} x {have[0][1]} pixels and {have[1][0]} x {have[1][1]} cells of {have[2]} shapes "
            "(--size 416 --crop 1 gives a padded net those)"
        )


def reordered(convdet: Layer, spec: ModelSpec) -> Layer:
    """ConvDet with each shape's deltas as dx, dy, dh, dw."""
    first = spec.grids[0].anchors_per_cell * (spec.num_classes + 1)
    channels = np.arange(len(convdet.weight))
    channels[first:] = channels[first:].reshape(-1, 4)[:, [0, 1, 3, 2]].ravel()
    weight, bias = convdet.weight[channels], convdet.bias[channels]
    return Layer(convdet.name, convdet.kind, convdet.inputs, weight, bias, convdet.settings)


def infer_bbox_scale_and_shift(spec: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    """What turns our deltas into deltas of the C++ class's anchors, both float32: (23, 23, 36), first axis x; of a
    model with several grids, whose first anchor becomes the class's first and so on, (num_anchors, 1, 4).

    A box is centre c + s d with our anchor and c_ref + s_ref d_ref with the other, so that
    d_ref = s / s_ref d + (c - c_ref) / s_ref; a size is s exp(d), so that d_ref = d + log(s / s_ref).
    """
    ours, theirs = (one.anchors_cxcywh.astype(np.float64) for one in (spec, VOC_2017_SPEC))
    if len(spec.grids) > 1:
        shape = (len(ours), 1, 4)
        theirs = theirs[: len(ours)]
    else:
        rows, columns = spec.grid.hw
        shape = (columns, rows, -1)
        ours = ours.reshape(rows, columns, -1, 4).transpose(1, 0, 2, 3).reshape(-1, 4)
    ratio_wh = ours[..., 2:] / theirs[..., 2:]
    ratio_hw = ratio_wh[..., ::-1]
    scale = np.concatenate([ratio_wh, np.ones_like(ratio_hw)], axis=1)
    shift = np.concatenate([(ours[..., :2] - theirs[..., :2]) / theirs[..., 2:], np.log(ratio_hw)], axis=1)
    return tuple(array.reshape(shape).astype(np.float32) for array in (scale, shift))


def to_2017_geometry(builder: CaffeBuilder, permuted: str, spec: ModelSpec) -> str:
    """Scales and shifts the deltas before `slice`, where the C++ sample takes them."""
    parameters = builder.add("cut", "Slice", [permuted], ["scores_reg", "own_delta"]).slice_param
    parameters.axis = 3
    parameters.slice_point.append(spec.grids[0].anchors_per_cell * (spec.num_classes + 1))
    message = builder.add("to_2017_anchors", "Scale", ["own_delta"])
    message.scale_param.axis, message.scale_param.num_axes, message.scale_param.bias_term = 1, 3, True
    for blob in infer_bbox_scale_and_shift(spec):
        add_blob(message, blob)
    builder.add("join", "Concat", ["scores_reg", "to_2017_anchors"]).concat_param.axis = 3
    return "join" if len(spec.grids) == 1 else _fill_up(builder, "join", spec)


def _fill_up(builder: CaffeBuilder, joined: str, spec: ModelSpec) -> str:
    """The rows that the class has beyond the model's anchors: copies of others, times 0, with a confidence that is 0
    after the sigmoid."""
    missing = VOC_2017_SPEC.num_anchors - spec.num_anchors
    parameters = builder.add("some_rows", "Slice", [joined], ["first_rows", "other_rows"]).slice_param
    parameters.axis = 1
    parameters.slice_point.append(missing)
    channels = spec.num_classes + 5
    nothing = np.zeros(channels, np.float32)
    nothing[spec.num_classes] = NEVER
    message = builder.add("empty_rows", "Scale", ["first_rows"])
    message.scale_param.axis, message.scale_param.num_axes, message.scale_param.bias_term = 3, 1, True
    for blob in (np.zeros(channels, np.float32), nothing):
        add_blob(message, blob)
    builder.add("all_rows", "Concat", [joined, "empty_rows"]).concat_param.axis = 1
    return "all_rows"
