"""The Caffe pair of a detector: layers and names as in the 2017 project's SqueezeDet_deploy.prototxt, with one of three
heads.

`layers`: slice (its third top: deltas), softmax, sigmoid. `infer-bbox`: the same tensors in the geometry that the C++
class `cv::dnn_objdetect::InferBbox` has hard-wired. `detection-output`: SSD's layers, for `cv2.dnn.DetectionModel`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.spec.detector_spec import ModelSpec

from ..errors import ExportError
from ..graph.trace import Layer, output_names
from .builder import CONVDET, CaffeBuilder
from .detection_output import Suppression, add_detection_output
from .infer_bbox import reordered, require_infer_bbox, to_2017_geometry

HEADS = ("layers", "infer-bbox", "detection-output")


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
        layers: `graph.trace` of the net up to ConvDet, traced with the input name `builder.INPUT`.
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
        layers = [reordered(layer, spec) if layer.name in output_names(layers) else layer for layer in layers]
    elif head == "detection-output" and (spec.grids[0].transposed or spec.delta_order != "xywh"):
        raise ExportError("detection-output needs a model with rows as y and deltas in the order x, y, w, h")
    builder = CaffeBuilder("SqueezeDet", spec.input_wh, half)
    blobs = {layer.name: builder.add_layer(layer) for layer in layers}
    grids = [blobs[name] for name in output_names(layers)]
    if crop:
        grids = [_crop(builder, grids[0], crop)]
    joined = _join(builder, grids, spec) if len(grids) > 1 else grids[0]
    permuted, anchors = f"permute_{CONVDET}", spec.num_anchors
    order = [0, 3, 2, 1] if head == "infer-bbox" and len(grids) == 1 else [0, 2, 3, 1]
    builder.add("permute", "Permute", [joined], [permuted]).permute_param.order.extend(order)
    if head == "infer-bbox":
        permuted, anchors = to_2017_geometry(builder, permuted, spec), VOC_2017_SPEC.num_anchors
    _split(builder, permuted, anchors, spec)
    if head == "detection-output":
        add_detection_output(builder, grids, spec, suppression or Suppression())
    return builder.net


def _crop(builder: CaffeBuilder, grid: str, rings: int) -> str:
    # Crop takes its size from another blob: a pool of that size is one without a constant
    parameters = builder.add("border", "Pooling", [grid]).pooling_param
    parameters.kernel_size, parameters.stride = 2 * rings + 1, 1
    parameters = builder.add("crop", "Crop", [grid, "border"]).crop_param
    parameters.axis = 2
    parameters.offset.append(rings)
    return "crop"


def _join(builder: CaffeBuilder, grids: Sequence[str], spec: ModelSpec) -> str:
    """Grids of one anchor a cell to one of a column, (1, C+1+4, A, 1)."""
    flat = [f"flat_{blob}" for blob in grids]
    for name, blob, grid in zip(flat, grids, spec.grids, strict=True):
        dims = [0, spec.num_classes + 5, grid.num_anchors, 1]
        builder.add(name, "Reshape", [blob]).reshape_param.shape.dim.extend(dims)
    builder.add("joined", "Concat", flat).concat_param.axis = 2
    return "joined"


def _split(builder: CaffeBuilder, permuted: str, anchors: int, spec: ModelSpec) -> None:
    """The last layers of the 2017 net, with its names."""
    k, c = spec.grids[0].anchors_per_cell, spec.num_classes
    tops = ["soft_class_reg", "sig_conf_reg", "delta_bbox"]
    parameters = builder.add("slice", "Slice", [permuted], tops).slice_param
    parameters.axis = 3
    parameters.slice_point.extend([k * c, k * c + k])
    reshape = builder.add("reshape", "Reshape", [tops[0]], ["reshape_soft_class_reg"])
    reshape.reshape_param.shape.dim.extend([0, anchors, c])
    builder.add("softmax", "Softmax", ["reshape_soft_class_reg"], ["class_scores"]).softmax_param.axis = 2
    builder.add("sigmoid", "Sigmoid", [tops[1]], ["conf_scores"])
