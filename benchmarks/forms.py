"""The same net written as different ONNX graphs, to find which one cv2.dnn runs fastest. Needs torch and onnx.

A form is a function (layers, spec) -> ONNX model. All forms of a net compute the same tensors; some leave the last step
(softmax, sigmoid, rows per anchor) to the caller, which `graph_forms.finish` then does in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper

from export.graph import Layer, trace
from export.onnx_model import INPUT, GraphBuilder, detector_model, finish_model
from sqdet_cv.files import atomic_path
from sqdet_cv.spec import VOC_LABELS, ModelSpec
from train.checkpoint import net_from_checkpoint
from train.models import NETS, SqueezeDet, build_net

ANCHORS_WH = tuple((32.0 * i, 32.0 * i) for i in range(1, 10))  # of an untrained net; they change no time
Form = Callable[[list[Layer], ModelSpec], onnx.ModelProto]


def write_forms(net: SqueezeDet, spec: ModelSpec, folder: Path) -> None:
    """FORM.onnx for every form, and spec.json.

    The weights are rounded to float16 first: the form that stores them so then computes exactly what the others do.
    """
    layers = [_rounded(layer) for layer in trace(net, INPUT)]
    for name, form in FORMS.items():
        with atomic_path(folder / f"{name}.onnx") as temporary:
            onnx.save(form(layers, spec), temporary)
    spec.save(folder / "spec.json")


def load_net(name: str, size: int | None) -> tuple[SqueezeDet, ModelSpec]:
    """A checkpoint's net, or one of the registry with random weights, 9 anchors a cell and 20 classes."""
    if name not in NETS:
        net, spec = net_from_checkpoint(name)
        return net, spec.resized((size, size), net.grid_hw((size, size))) if size else spec
    torch.manual_seed(0)
    net = build_net(name, len(ANCHORS_WH), len(VOC_LABELS)).eval()
    size_wh = (size or 416,) * 2
    return net, ModelSpec(VOC_LABELS, size_wh, net.grid_hw(size_wh), ANCHORS_WH, grid_inset=net.grid_inset)


def _rounded(layer: Layer) -> Layer:
    if layer.kind != "conv":
        return layer
    as_half = lambda values: values.astype(np.float16).astype(np.float32)  # noqa: E731
    return replace(layer, weight=as_half(layer.weight), bias=as_half(layer.bias))


# -- the layers before the head ------------------------------------------------------------------------------------


def leaky_relu(layers: list[Layer]) -> list[Layer]:
    """LeakyReLU in place of ReLU; the slope is small enough to change no result, and costs what any slope costs."""
    leaky = {"kind": "leaky_relu", "settings": {"slope": 1e-7}}
    return [replace(layer, **leaky) if layer.kind == "relu" else layer for layer in layers]


def floor_pools(layers: list[Layer]) -> list[Layer]:
    """Pools that round down. The same at 320 and 416 px, where conv1 and the pools always leave odd sizes."""
    floor = lambda layer: replace(layer, settings=layer.settings | {"ceil_mode": False})  # noqa: E731
    return [floor(layer) if layer.kind == "max_pool" else layer for layer in layers]


def merge_expand(layers: list[Layer]) -> list[Layer]:
    """expand_1x1 as more channels of expand_3x3, its weight in the middle of zeros: no Concat, more arithmetic."""
    by_name = {layer.name: layer for layer in layers}
    gone: set[str] = set()
    merged: dict[str, list[Layer]] = {}  # what stands in the place of each Concat
    for concat in _concats(layers):
        activations = [by_name[name] for name in concat.inputs]
        convs = [by_name[activation.inputs[0]] for activation in activations]
        weights = [_as_3x3(conv.weight) for conv in convs]
        conv = replace(
            convs[1],
            name=f"{concat.name}.expand",
            weight=np.concatenate(weights),
            bias=np.concatenate([conv.bias for conv in convs]),
        )
        merged[concat.name] = [conv, replace(activations[0], name=concat.name, inputs=[conv.name])]
        gone |= {layer.name for layer in activations + convs}
    return [new for layer in layers if layer.name not in gone for new in merged.get(layer.name, [layer])]


def _as_3x3(weight: np.ndarray) -> np.ndarray:
    margin = (3 - weight.shape[2]) // 2
    return np.pad(weight, [(0, 0), (0, 0), (margin, margin), (margin, margin)])


def relu_after_concat(layers: list[Layer]) -> list[Layer]:
    """One activation on the Concat in place of one on each of its two inputs."""
    by_name = {layer.name: layer for layer in layers}
    gone = {name for concat in _concats(layers) for name in concat.inputs}
    result = []
    for layer in layers:
        if layer.kind == "concat":
            activation = by_name[layer.inputs[0]]
            joined = replace(layer, name=f"{layer.name}.concat", inputs=[by_name[n].inputs[0] for n in layer.inputs])
            result += [joined, replace(activation, name=layer.name, inputs=[joined.name])]
        elif layer.name not in gone:
            result.append(layer)
    return result


def split_squeeze(layers: list[Layer]) -> list[Layer]:
    """A convolution of a Concat as the sum of a convolution of each part; a pool between them pools each part."""
    widths = {layer.name: len(layer.weight) for layer in layers if layer.kind == "conv"}
    parts: dict[str, list[str]] = {}  # a Concat, or a pool of one -> its parts
    result = []
    for layer in layers:
        source = parts.get(layer.inputs[0])
        if layer.kind == "concat":
            parts[layer.name] = layer.inputs
        elif source and layer.kind == "max_pool":
            parts[layer.name] = [f"{layer.name}.{i}" for i in range(len(source))]
            for name, part in zip(parts[layer.name], source):
                result.append(replace(layer, name=name, inputs=[part]))
                widths[name] = widths[part]
        elif source:
            cuts = np.cumsum([widths[part] for part in source])[:-1]
            names = [f"{layer.name}.{i}" for i in range(len(source))]
            biases = [layer.bias, np.zeros_like(layer.bias)]
            for name, part, weight, bias in zip(names, source, np.split(layer.weight, cuts, axis=1), biases):
                result.append(replace(layer, name=name, inputs=[part], weight=weight, bias=bias))
            result.append(Layer(layer.name, "add", names))
        else:
            if layer.kind == "relu":
                widths[layer.name] = widths[layer.inputs[0]]
            result.append(layer)
    return result


def _concats(layers: list[Layer]) -> list[Layer]:
    return [layer for layer in layers if layer.kind == "concat"]


# -- the head ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """How ConvDet's (1, K(C + 1 + 4), rows, columns) becomes tensors; the defaults are what the export writes.

    Attributes:
        split: "rows": Transpose, then Split; "channels": Split, then Transpose each; "convs": ConvDet as three
            convolutions; "none": not at all, the grid is the output.
        reshape_first: (1, K, C, cells) before the Transpose, which then moves longer rows.
        batch: first number of the Reshapes; -1 takes any batch.
        logits: leave softmax and sigmoid to the caller.
    """

    split: str = "rows"
    reshape_first: bool = False
    batch: int = -1
    logits: bool = False


def model_with_head(layers: list[Layer], spec: ModelSpec, head: Head) -> onnx.ModelProto:
    """Like `export.onnx_model.detector_model`, with another head."""
    k, c, a = spec.num_shapes, spec.num_classes, spec.num_anchors
    cells = spec.grid_hw[0] * spec.grid_hw[1]
    widths = [k * c, k, k * 4]
    builder = GraphBuilder()
    for layer in layers[:-1]:
        builder.add_layer(layer)
    convdet = layers[-1]
    if head.split == "none":
        builder.add_layer(replace(convdet, name="grid"))
        return finish_model(builder, "form", spec.input_wh, {"grid": [1, sum(widths), *spec.grid_hw]})

    parts = ["slice_classes", "slice_confidence", "slice_deltas"]
    if head.split == "convs":
        cuts = np.cumsum(widths)[:-1]
        for name, weight, bias in zip(parts, np.split(convdet.weight, cuts), np.split(convdet.bias, cuts)):
            builder.add_layer(replace(convdet, name=name, weight=weight, bias=bias))
    elif head.split == "channels":
        builder.add("Split", [builder.add_layer(convdet)], parts, axis=1, split=widths)
    else:
        rows = builder.add("Transpose", [builder.add_layer(convdet)], "permute", perm=[0, 2, 3, 1])
        builder.add("Split", [rows], parts, axis=3, split=widths)

    def per_anchor(part: str, output: str, *each: int) -> str:
        """(1, K * each, rows, columns), or its Transpose, to (1, A, each)."""
        if head.reshape_first:
            part = _reshape(builder, part, f"{part}.cells", head.batch, k, *(each or (1,)), cells)
            part = builder.add("Transpose", [part], f"{part}.permute", perm=[0, 3, 1, 2])
        elif head.split != "rows":
            part = builder.add("Transpose", [part], f"{part}.permute", perm=[0, 2, 3, 1])
        return _reshape(builder, part, output, head.batch, a, *each)

    logits = [per_anchor(parts[0], "class_logits", c), per_anchor(parts[1], "confidence_logits")]
    outputs = {per_anchor(parts[2], "deltas", 4): [1, a, 4]}
    if head.logits:
        return finish_model(builder, "form", spec.input_wh, outputs | {logits[0]: [1, a, c], logits[1]: [1, a]})
    outputs[builder.add("Softmax", [logits[0]], "class_scores", axis=2)] = [1, a, c]
    outputs[builder.add("Sigmoid", [logits[1]], "confidence")] = [1, a]
    return finish_model(builder, "form", spec.input_wh, outputs)


def _reshape(builder: GraphBuilder, source: str, output: str, *shape: int) -> str:
    return builder.add("Reshape", [source, builder.constant(f"{output}.shape", np.asarray(shape, np.int64))], output)


# -- all of them ---------------------------------------------------------------------------------------------------


def exported(layers: list[Layer], spec: ModelSpec, *, half: bool = False) -> onnx.ModelProto:
    """The file that `python -m export onnx` writes, with and without --half."""
    return detector_model(layers, spec, "convdet", half=half)


def padded_pools(layers: list[Layer], spec: ModelSpec) -> onnx.ModelProto:
    """Pools that round down on a plane with one more row and column: the same as rounding up, at every size."""
    model = exported(layers, spec)
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            kept = [one for one in node.attribute if one.name not in ("pads", "ceil_mode")]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", [0, 0, 1, 1])])
    return model


def rewritten(*rewrites: Callable[[list[Layer]], list[Layer]], head: Head | None = None) -> Form:
    """The rewrites one after the other, with the exported head or another."""

    def form(layers: list[Layer], spec: ModelSpec) -> onnx.ModelProto:
        for rewrite in rewrites:
            layers = rewrite(layers)
        return model_with_head(layers, spec, head) if head else exported(layers, spec)

    return form


FORMS: dict[str, Form] = {
    "base": exported,
    "half": partial(exported, half=True),
    "leaky_relu": rewritten(leaky_relu),
    "merge_expand": rewritten(merge_expand),
    "relu_after_concat": rewritten(relu_after_concat),
    "split_squeeze": rewritten(split_squeeze),
    "pool_floor": rewritten(floor_pools),
    "pool_padded": padded_pools,
    "three_convdets": rewritten(head=Head("convs")),
    "split_channels": rewritten(head=Head("channels")),
    "reshape_first": rewritten(head=Head("channels", reshape_first=True)),
    "batch_1": rewritten(head=Head(batch=1)),
    "logits": rewritten(head=Head(logits=True)),
    "grid": rewritten(head=Head("none")),
    # the best layers with the best head
    "split_both": rewritten(split_squeeze, head=Head("channels")),
}
