"""A tiny ONNX detector with NanoDet's tensors: random weights, cells of stride 8, 16, 32 and 64, boxes in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from export.onnx.model import GraphBuilder
from sqdet_cv.spec.detector_spec import ModelSpec

STRIDES = (8, 16, 32, 64)
BINS = 8


def write_teacher(path: Path, labels: Sequence[str], size: int, strides: Sequence[int] = STRIDES) -> Path:
    """NAME.onnx with `class_logits` and `bins` as outputs, and NAME.json. The weights depend on the strides alone."""
    rng = np.random.default_rng(0)
    builder, rows, centres = GraphBuilder(), [], []
    channels = len(labels) + 4 * BINS
    for stride in strides:
        weight = builder.constant(f"w{stride}", rng.normal(0, 0.02, (channels, 3, 3, 3)).astype(np.float32))
        bias = builder.constant(f"b{stride}", rng.normal(-2, 1, channels).astype(np.float32))
        settings = {"kernel_shape": [3, 3], "strides": [stride] * 2, "pads": [1] * 4}
        grid = builder.add("Conv", ["image", weight, bias], f"grid{stride}", **settings)
        turned = builder.add("Transpose", [grid], f"turned{stride}", perm=[0, 2, 3, 1])
        cells = -(-size // stride)
        shape = builder.constant(f"shape{stride}", np.array([1, cells * cells, channels]))
        rows.append(builder.add("Reshape", [turned, shape], f"rows{stride}"))
        y, x = np.mgrid[:cells, :cells] * stride
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
    joined = builder.add("Concat", rows, "rows", axis=1)
    builder.add_split(joined, ["class_logits", "bins"], 2, [len(labels), 4 * BINS])
    builder.constant("centres", np.concatenate(centres).astype(np.float32)[None])
    count = sum(map(len, centres))
    outputs = {"class_logits": [1, count, len(labels)], "bins": [1, count, 4 * BINS]}
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims) for name, dims in outputs.items()]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, size, size])
    graph = helper.make_graph(builder.nodes, "teacher", [image], infos, builder.initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8), path)
    spec = ModelSpec.single(tuple(labels), (size, size), (1, count), ((9, 9),), mean_bgr=(90.0, 100.0, 110.0))
    spec.save(path.with_suffix(".json"))
    return path
