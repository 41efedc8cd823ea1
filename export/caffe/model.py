"""The Caffe pair: layers and names as in the 2017 project's SqueezeDet_deploy.prototxt, with one of three heads.

`layers`: slice (its third top: deltas), softmax, sigmoid. `infer-bbox`: the same tensors in the geometry that the C++
class `cv::dnn_objdetect::InferBbox` has hard-wired. `detection-output`: SSD's layers, for `cv2.dnn.DetectionModel`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sqdet_cv.boxes.postprocess import MAX_CANDIDATES, NMS_THRESHOLD
from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.spec.detector_spec import ModelSpec

from ..errors import ExportError
from ..graph.trace import Layer
from .proto import NetParameter, add_blob

INPUT = "data"
CONVDET = "conv11"  # the 2017 name
HEADS = ("layers", "infer-bbox", "detection-output")


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


class CaffeBuilder:
    """Collects layers; a blob has the name of the layer that makes it, unless that works in place."""

    def __init__(self, name: str, input_wh: tuple[int, int], half: bool = False) -> None:
        width, height = input_wh
        self.net = NetParameter(name=name, input=[INPUT], input_dim=[1, 3, height, width])
        self.half = half
        self._blobs = {INPUT: INPUT}  # path in the traced net -> blob

    def add(self, name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str] = ()) -> object:
        """A new LayerParameter; its top is called as the layer if none is given."""
        return self.net.layer.add(name=name, type=kind, bottom=bottoms, top=tops or [name])

    def add_layer(self, layer: Layer) -> str:
        """Adds a layer of `graph.trace` and returns the name of its blob."""
        bottoms = [self._blobs[path] for path in layer.inputs]
        blob = self._add_kind(layer, bottoms)
        self._blobs[layer.name] = blob
        return blob

    def _add_kind(self, layer: Layer, bottoms: list[str]) -> str:
        name, settings = caffe_name(layer.name), layer.settings
        if layer.kind == "conv":
            message = self.add(name, "Convolution", bottoms)
            parameters = message.convolution_param
            parameters.num_output = len(layer.weight)
            parameters.kernel_size.append(layer.weight.shape[2])
            parameters.stride.append(settings["stride"])
            parameters.pad.append(settings["padding"])
            add_blob(message, layer.weight, self.half)
            add_blob(message, layer.bias, self.half)
        elif layer.kind in ("relu", "leaky_relu"):
            name = bottoms[0]  # in place
            message = self.add(f"rect_{name}", "ReLU", bottoms, [name])
            if layer.kind == "leaky_relu":
                message.relu_param.negative_slope = settings["slope"]
        elif layer.kind == "max_pool":
            if not settings["ceil_mode"]:
                raise ExportError(f"{layer.name}: Caffe's pooling rounds up; this layer rounds down")
            name = _pool_name(bottoms[0])
            parameters = self.add(name, "Pooling", bottoms).pooling_param
            parameters.kernel_size, parameters.stride = settings["kernel"], settings["stride"]
            parameters.pad = settings["padding"]
        elif layer.kind == "average_pool":
            name = _pool_name(bottoms[0])
            parameters = self.add(name, "Pooling", bottoms).pooling_param
            parameters.pool, parameters.global_pooling = 1, True  # AVE
        elif layer.kind == "concat":
            self.add(name, "Concat", bottoms).concat_param.axis = 1
        elif layer.kind == "add":
            self.add(name, "Eltwise", bottoms)  # a sum, unless it is told otherwise
        else:
            raise ExportError(f"{layer.name}: a layer of kind {layer.kind} cannot be exported to Caffe")
        return name


def caffe_name(path: str) -> str:
    """features.fire2.expand_1x1 -> fire2_expand_1x1"""
    path = path.removeprefix("features.").removeprefix("head.")
    return CONVDET if path == "convdet" else path.replace(".", "_")


def _pool_name(source: str) -> str:
    """A pool is numbered as the layer before it: fire4 -> pool4."""
    return f"pool{re.search(r'[0-9]*$', source).group()}"


def detector_net(
    layers: Sequence[Layer],
    spec: ModelSpec,
    head: str = "layers",
    *,
    crop: int = 0,
    half: bool = False,
    suppression: Suppression | None = None,
) -> object:
    """The NetParameter, weights included, of a traced SqueezeDet.

    Args:
        layers: `graph.trace` of the net up to ConvDet, traced with the input name `INPUT`.
        spec: of the exported model, after any crop.
        head: one of `HEADS`.
        crop: rings of cells to cut off the grid.
        half: store convolution weights as float16.
        suppression: for `detection-output`.

    Raises:
        ExportError: the head cannot express this model; says what it needs.
    """
    if head == "infer-bbox":
        require_infer_bbox(spec)
        layers = [*layers[:-1], _reordered(layers[-1], spec)]
    elif head == "detection-output" and (spec.grid_transposed or spec.delta_order != "xywh"):
        raise ExportError("detection-output needs a model with rows as y and deltas in the order x, y, w, h")
    builder = CaffeBuilder("SqueezeDet", spec.input_wh, half)
    for layer in layers:
        grid = builder.add_layer(layer)
    if crop:
        # Crop takes its size from another blob: a pool of that size is one without a constant
        parameters = builder.add("border", "Pooling", [grid]).pooling_param
        parameters.kernel_size, parameters.stride = 2 * crop + 1, 1
        parameters = builder.add("crop", "Crop", [grid, "border"]).crop_param
        parameters.axis, grid = 2, "crop"
        parameters.offset.append(crop)
    permuted = f"permute_{CONVDET}"
    order = [0, 3, 2, 1] if head == "infer-bbox" else [0, 2, 3, 1]
    builder.add("permute", "Permute", [grid], [permuted]).permute_param.order.extend(order)
    if head == "infer-bbox":
        permuted = _to_2017_geometry(builder, permuted, spec)
    _split(builder, permuted, spec)
    if head == "detection-output":
        _detection_output(builder, grid, spec, suppression or Suppression())
    return builder.net


def _split(builder: CaffeBuilder, permuted: str, spec: ModelSpec) -> None:
    """The last layers of the 2017 net, with its names."""
    k, c = spec.anchors_per_cell, spec.num_classes
    tops = ["soft_class_reg", "sig_conf_reg", "delta_bbox"]
    parameters = builder.add("slice", "Slice", [permuted], tops).slice_param
    parameters.axis = 3
    parameters.slice_point.extend([k * c, k * c + k])
    reshape = builder.add("reshape", "Reshape", [tops[0]], ["reshape_soft_class_reg"])
    reshape.reshape_param.shape.dim.extend([0, spec.num_anchors, c])
    builder.add("softmax", "Softmax", ["reshape_soft_class_reg"], ["class_scores"]).softmax_param.axis = 2
    builder.add("sigmoid", "Sigmoid", [tops[1]], ["conf_scores"])


# -- infer-bbox -----------------------------------------------------------------------------------------------------


def require_infer_bbox(spec: ModelSpec) -> None:
    """Raises ExportError unless the model's shape is the one that the C++ class has hard-wired."""
    wanted = VOC_2017_SPEC
    if spec.labels != wanted.labels:
        raise ExportError("--infer-bbox: the C++ class has the 20 PASCAL VOC classes in alphabetical order built in")
    have = (spec.input_wh, spec.grid_hw, spec.anchors_per_cell)
    if have != (wanted.input_wh, wanted.grid_hw, wanted.anchors_per_cell):
        raise ExportError(
            f"--infer-bbox: the C++ class takes 416 x 416 pixels and 23 x 23 cells of 9 shapes; this model has "
            f"{have[0][0]} x {have[0][1]} pixels and {have[1][0]} x {have[1][1]} cells of {have[2]} shapes "
            "(--size 416 --crop 1 gives a padded net those)"
        )
    if spec.grid_transposed or spec.delta_order != "xywh":
        raise ExportError("--infer-bbox: the model is in the C++ class's geometry already; leave the option out")


def _reordered(convdet: Layer, spec: ModelSpec) -> Layer:
    """ConvDet with each shape's deltas as dx, dy, dh, dw."""
    first = spec.anchors_per_cell * (spec.num_classes + 1)
    channels = np.arange(len(convdet.weight))
    channels[first:] = channels[first:].reshape(-1, 4)[:, [0, 1, 3, 2]].ravel()
    weight, bias = convdet.weight[channels], convdet.bias[channels]
    return Layer(convdet.name, convdet.kind, convdet.inputs, weight, bias, convdet.settings)


def infer_bbox_scale_and_shift(spec: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    """What turns our deltas into deltas of the C++ class's anchors, both (23, 23, 36) float32, first axis x.

    A box is centre c + s d with our anchor and c_ref + s_ref d_ref with the other, so that
    d_ref = s / s_ref d + (c - c_ref) / s_ref; a size is s exp(d), so that d_ref = d + log(s / s_ref).
    """
    rows, columns = spec.grid_hw
    ours = spec.anchors_cxcywh.reshape(rows, columns, -1, 4).transpose(1, 0, 2, 3).astype(np.float64)
    theirs = VOC_2017_SPEC.anchors_cxcywh.reshape(columns, rows, -1, 4).astype(np.float64)
    ratio_wh = ours[..., 2:] / theirs[..., 2:]
    ratio_hw = ratio_wh[..., ::-1]
    scale = np.concatenate([ratio_wh, np.ones_like(ratio_hw)], axis=3)
    shift = np.concatenate([(ours[..., :2] - theirs[..., :2]) / theirs[..., 2:], np.log(ratio_hw)], axis=3)
    return tuple(array.reshape(columns, rows, -1).astype(np.float32) for array in (scale, shift))


def _to_2017_geometry(builder: CaffeBuilder, permuted: str, spec: ModelSpec) -> str:
    """Scales and shifts the deltas before `slice`, where the C++ sample takes them."""
    parameters = builder.add("cut", "Slice", [permuted], ["scores_reg", "own_delta"]).slice_param
    parameters.axis = 3
    parameters.slice_point.append(spec.anchors_per_cell * (spec.num_classes + 1))
    message = builder.add("to_2017_anchors", "Scale", ["own_delta"])
    message.scale_param.axis, message.scale_param.num_axes, message.scale_param.bias_term = 1, 3, True
    for blob in infer_bbox_scale_and_shift(spec):
        add_blob(message, blob)
    builder.add("join", "Concat", ["scores_reg", "to_2017_anchors"]).concat_param.axis = 3
    return "join"


# -- detection-output -----------------------------------------------------------------------------------------------


def _detection_output(builder: CaffeBuilder, grid: str, spec: ModelSpec, suppression: Suppression) -> None:
    """Scores, anchors as prior boxes, and SSD's DetectionOutput. Its exponential is plain: `spec.size_delta_cap`, which
    a trained net does not reach, is not applied; and it takes MAX_CANDIDATES of each class, not of all together."""
    confidence = builder.add("confidence", "Reshape", ["conf_scores"])
    confidence.reshape_param.shape.dim.extend([0, spec.num_anchors])
    builder.add("scores", "Scale", ["class_scores", "confidence"]).scale_param.axis = 0
    builder.add("flat_scores", "Flatten", ["scores"]).flatten_param.axis = 1
    builder.add("flat_deltas", "Flatten", ["delta_bbox"]).flatten_param.axis = 1

    anchors = builder.add("anchors", "PriorBox", [grid, INPUT]).prior_box_param
    rows, columns = spec.grid_hw
    anchors.step_h = spec.input_wh[1] / (rows + 1 + 2 * spec.grid_inset)
    anchors.step_w = spec.input_wh[0] / (columns + 1 + 2 * spec.grid_inset)
    anchors.offset = 1 + spec.grid_inset
    anchors.width.extend(w for w, _ in spec.anchors_wh)
    anchors.height.extend(h for _, h in spec.anchors_wh)
    anchors.variance.append(1)
    anchors.clip = False

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
