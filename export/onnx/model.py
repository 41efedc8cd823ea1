"""The ONNX file: layers as OpenCV's importers like them, with one of two heads behind ConvDet.

Opset 12, fixed shapes, and only operations that cv2.dnn 4.10 to 5.x all run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqdet_cv.classifier import OUTPUT as PROBABILITIES
from sqdet_cv.dnn.onnx_spec import KEY
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec

from ..errors import ExportError
from ..graph.trace import Layer, output_names

OPSET = 12
IR_VERSION = 8  # newer ones are refused by older importers
INPUT = "image"
HEADS = {
    "convdet": ("deltas", "class_scores", "confidence"),
    "decoded": ("boxes_xyxy", "scores"),
}


class GraphBuilder:
    """Collects nodes and initialisers; each `add` returns the name of the node's (first) output."""

    opset = OPSET

    def __init__(self, half: bool = False) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.half = half

    def add(self, op: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: object) -> str:
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0]

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, name: str, value: np.ndarray) -> str:
        """A constant that may be stored as float16; the graph then casts it back, which importers do once, at load."""
        if not self.half:
            return self.constant(name, value)
        self.constant(name, value.astype(np.float16))
        return self.add("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)

    def add_layer(self, layer: Layer) -> str:
        name, settings = layer.name, layer.settings
        if layer.kind == "conv":
            if settings["padding"] and layer.weight.shape[2:] == (1, 1):
                layer = self._padded_apart(layer)
            inputs = [
                *layer.inputs,
                self.weight(f"{name}.weight", layer.weight),
                self.weight(f"{name}.bias", layer.bias),
            ]
            return self.add_conv(layer, inputs)
        if layer.kind == "relu":
            return self.add("Relu", layer.inputs, name)
        if layer.kind == "leaky_relu":
            return self.add("LeakyRelu", layer.inputs, name, alpha=float(settings["slope"]))
        if layer.kind == "max_pool":
            return self.add(
                "MaxPool",
                layer.inputs,
                name,
                kernel_shape=[settings["kernel"]] * 2,
                strides=[settings["stride"]] * 2,
                pads=[settings["padding"]] * 4,
                ceil_mode=int(settings["ceil_mode"]),
            )
        if layer.kind == "average_pool":
            return self.add("GlobalAveragePool", layer.inputs, name)
        if layer.kind == "concat":
            return self.add("Concat", layer.inputs, name, axis=1)
        if layer.kind == "add":
            return self.add("Add", layer.inputs, name)
        if layer.kind == "upsample":
            scales = self.constant(f"{name}.scales", np.asarray([1, 1, 2, 2], np.float32))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            region = self.constant(f"{name}.roi", np.zeros(0, np.float32))  # opset 12 asks for one; it has no effect
            return self.add("Resize", [*layer.inputs, region, scales], name, **how)
        raise ExportError(f"{name}: no ONNX form for a layer of kind {layer.kind}")

    def _padded_apart(self, layer: Layer) -> Layer:
        """The convolution without padding, behind a node that pads: OpenCV 5.1 computes some padded 1x1 convolutions
        wrongly, such as conv10 of SqueezeNet 1.0 on a plane of 25 x 25 (416 px)."""
        begin_end = [0, 0, *[layer.settings["padding"]] * 2] * 2
        amounts = self.constant(f"{layer.name}.pads", np.asarray(begin_end, np.int64))
        padded = self.add("Pad", [*layer.inputs, amounts], f"{layer.name}.padded")
        return dataclasses.replace(layer, inputs=[padded], settings=layer.settings | {"padding": 0})

    def add_conv(self, layer: Layer, inputs: Sequence[str]) -> str:
        """The convolution with its input, weight and bias by name."""
        return self.add(
            "Conv",
            inputs,
            layer.name,
            kernel_shape=list(layer.weight.shape[2:]),
            strides=[layer.settings["stride"]] * 2,
            pads=[layer.settings["padding"]] * 4,
        )

    def add_split(self, source: str, outputs: Sequence[str], axis: int, widths: Sequence[int]) -> str:
        return self.add("Split", [source], outputs, axis=axis, split=list(widths))


def detector_model(
    layers: list[Layer], spec: ModelSpec, head: str, *, crop: int = 0, half: bool = False
) -> onnx.ModelProto:
    """A detector with the `convdet` head (deltas (1, A, 4), class_scores (1, A, C), confidence (1, A)) or the
    `decoded` one (boxes_xyxy (1, A, 4) in input pixels, scores (1, A, C) = confidence x class score).

    Args:
        layers: from `trace`, the input called INPUT, the last layer being ConvDet.
        crop: rings of cells to cut off ConvDet's grid; the spec describes what is left.
        half: store convolution weights as float16.
    """
    return build_detector(GraphBuilder(half), layers, spec, head, crop)


def build_detector(
    builder: GraphBuilder, layers: list[Layer], spec: ModelSpec, head: str, crop: int = 0
) -> onnx.ModelProto:
    """As `detector_model`, with the builder that says how a layer becomes nodes."""
    if head not in HEADS:
        raise ExportError(f"no head called {head!r}; there are {', '.join(HEADS)}")
    blobs = {layer.name: builder.add_layer(layer) for layer in layers}
    grids = [blobs[name] for name in output_names(layers)]
    if crop:
        grids = [_crop(builder, grids[0], spec, crop)]
    a, c = spec.num_anchors, spec.num_classes
    ints = lambda name, values: builder.constant(name, np.asarray(values, np.int64))  # noqa: E731
    if len(grids) == 1:
        _split(builder, grids[0], spec)
        if head == "decoded":
            builder.add("Reshape", ["confidence", ints("column_shape", [-1, a, 1])], "confidence_column")
    else:
        _split_rows(builder, _join(builder, grids, spec), spec)
        if head == "convdet":
            builder.add("Reshape", ["confidence_column", ints("confidence_shape", [-1, a])], "confidence")
    if head == "decoded":
        _decode(builder, spec)
    shapes = {
        "deltas": [1, a, 4],
        "class_scores": [1, a, c],
        "confidence": [1, a],
        "boxes_xyxy": [1, a, 4],
        "scores": [1, a, c],
    }
    return finish_model(builder, f"sqdet_{head}", spec, {name: shapes[name] for name in HEADS[head]})


def classifier_model(layers: list[Layer], spec: ClassifierSpec, *, half: bool = False) -> onnx.ModelProto:
    """A classifier with the output `probabilities`, (1, C).

    Args:
        layers: from `trace`, the input called INPUT, the last layer being the average over the plane: (N, C, 1, 1).
        half: store convolution weights as float16.
    """
    builder = GraphBuilder(half)
    for layer in layers:
        plane = builder.add_layer(layer)
    logits = builder.add("Flatten", [plane], "logits", axis=1)
    builder.add("Softmax", [logits], PROBABILITIES, axis=1)
    return finish_model(builder, "squeezenet", spec, {PROBABILITIES: [1, spec.num_classes]})


def finish_model(
    builder: GraphBuilder, name: str, spec: ModelSpec | ClassifierSpec, output_shapes: dict[str, list[int]]
) -> onnx.ModelProto:
    """The nodes as a checked model for one image of the spec's size, with the spec in its metadata."""
    width, height = spec.input_wh
    graph = helper.make_graph(
        builder.nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output, shape in output_shapes.items()],
        builder.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", builder.opset)], ir_version=IR_VERSION)
    model.producer_name = "sqdet-cv"
    model.metadata_props.add(key=KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    return model


def _crop(builder: GraphBuilder, grid: str, spec: ModelSpec, rings: int) -> str:
    ints = lambda name, values: builder.constant(name, np.asarray(values, np.int64))  # noqa: E731
    ends = [rings + cells for cells in spec.grid.hw]
    inputs = [grid, ints("crop_starts", [rings, rings]), ints("crop_ends", ends), ints("crop_axes", [2, 3])]
    return builder.add("Slice", inputs, "crop")


def _split(builder: GraphBuilder, grid: str, spec: ModelSpec) -> None:
    """(N, K(C+1+4), rows, columns) to the three tensors, one row per anchor; names as in the 2017 net's last layers."""
    k, c, a = spec.grid.anchors_per_cell, spec.num_classes, spec.num_anchors
    shape = lambda name, *dims: builder.constant(name, np.asarray(dims, np.int64))  # noqa: E731
    rows = builder.add("Transpose", [grid], "permute", perm=[0, 2, 3, 1])
    parts = ["slice_classes", "slice_confidence", "slice_deltas"]
    builder.add_split(rows, parts, 3, [k * c, k, k * 4])
    logits = builder.add("Reshape", [parts[0], shape("classes_shape", -1, a, c)], "class_logits")
    builder.add("Softmax", [logits], "class_scores", axis=2)
    confidence = builder.add("Reshape", [parts[1], shape("confidence_shape", -1, a)], "confidence_logits")
    builder.add("Sigmoid", [confidence], "confidence")
    builder.add("Reshape", [parts[2], shape("deltas_shape", -1, a, 4)], "deltas")


def _join(builder: GraphBuilder, grids: Sequence[str], spec: ModelSpec) -> str:
    """Grids of one anchor a cell, (N, C+1+4, rows, columns) each, to one row per anchor, (N, A, C+1+4). They are joined
    before they are transposed: one large Transpose is faster in OpenCV than one a grid."""
    flat = []
    for i, (grid, described) in enumerate(zip(grids, spec.grids, strict=True)):
        dims = np.asarray([-1, spec.num_classes + 5, described.num_anchors], np.int64)
        flat.append(builder.add("Reshape", [grid, builder.constant(f"flat_shape_{i}", dims)], f"flat_{i}"))
    joined = builder.add("Concat", flat, "joined", axis=2)
    return builder.add("Transpose", [joined], "permute", perm=[0, 2, 1])


def _split_rows(builder: GraphBuilder, rows: str, spec: ModelSpec) -> None:
    """As `_split`, from (N, A, C+1+4), but for the confidence, which is a column: (N, A, 1)."""
    builder.add_split(rows, ["class_logits", "confidence_logits", "deltas"], 2, [spec.num_classes, 1, 4])
    builder.add("Softmax", ["class_logits"], "class_scores", axis=2)
    builder.add("Sigmoid", ["confidence_logits"], "confidence_column")


def _decode(builder: GraphBuilder, spec: ModelSpec) -> None:
    """`sqdet_cv.boxes.ops.decode` as nodes."""
    ints = lambda name, value: builder.constant(name, np.asarray([value], np.int64))  # noqa: E731
    floats = lambda name, value: builder.constant(name, np.asarray(value, np.float32))  # noqa: E731
    last = ints("last_axis", 2)
    cuts = [ints(f"cut_{i}", i) for i in range(5)]
    part = lambda name, i, j: builder.add("Slice", ["deltas", cuts[i], cuts[j], last], name)  # noqa: E731
    centre_deltas = part("centre_deltas", 0, 2)
    if spec.delta_order == "xywh":
        size_deltas = part("size_deltas", 2, 4)
    else:
        size_deltas = builder.add("Concat", [part("dw", 3, 4), part("dh", 2, 3)], "size_deltas", axis=2)
    anchors = spec.anchors_cxcywh[None]
    anchor_wh = floats("anchor_wh", anchors[..., 2:])
    shift = builder.add("Mul", [centre_deltas, anchor_wh], "shift")
    centre = builder.add("Add", [shift, floats("anchor_centre", anchors[..., :2])], "centre")
    if np.isfinite(spec.size_delta_cap):
        # x - Relu(x - cap): OpenCV 4.6 (Debian 12) knows no Clip with one bound
        beyond = builder.add("Sub", [size_deltas, floats("cap", spec.size_delta_cap)], "above_cap")
        size_deltas = builder.add("Sub", [size_deltas, builder.add("Relu", [beyond], "excess")], "capped")
    # half the size is all that the corners need
    half_anchor_wh = floats("half_anchor_wh", anchors[..., 2:] / 2)
    half_wh = builder.add("Mul", [builder.add("Exp", [size_deltas], "growth"), half_anchor_wh], "half_wh")
    corners = [builder.add("Sub", [centre, half_wh], "top_left"), builder.add("Add", [centre, half_wh], "bottom_right")]
    builder.add("Concat", corners, "boxes_xyxy", axis=2)
    builder.add("Mul", ["class_scores", "confidence_column"], "scores")
