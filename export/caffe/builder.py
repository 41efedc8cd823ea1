"""Layers to Caffe's, one by one, with names as in the 2017 project's SqueezeDet_deploy.prototxt."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ..errors import ExportError
from ..graph.trace import Layer
from .proto import NetParameter, add_blob

INPUT = "data"
CONVDET = "conv11"  # the 2017 name


class CaffeBuilder:
    """Collects layers; a blob has the name of the layer that makes it, unless that works in place."""

    def __init__(self, name: str, input_wh: tuple[int, int], half: bool = False) -> None:
        width, height = input_wh
        self.net = NetParameter(name=name, input=[INPUT], input_dim=[1, 3, height, width])
        self.half = half
        self._blobs = {INPUT: INPUT}  # path in the traced net -> blob
        self._channels = {INPUT: 3}  # of each blob

    def add(self, name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str] = ()) -> object:
        """A new LayerParameter; its top is called as the layer if none is given."""
        return self.net.layer.add(name=name, type=kind, bottom=bottoms, top=tops or [name])

    def add_layer(self, layer: Layer) -> str:
        """Adds a layer of `graph.trace` and returns the name of its blob."""
        bottoms = [self._blobs[path] for path in layer.inputs]
        blob = self._add_kind(layer, bottoms)
        self._blobs[layer.name] = blob
        if layer.kind == "conv":
            self._channels[blob] = len(layer.weight)
        elif layer.kind == "concat":
            self._channels[blob] = sum(self._channels[bottom] for bottom in bottoms)
        else:
            self._channels[blob] = self._channels[bottoms[0]]
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
            name = _pool_name(bottoms[0])
            parameters = self.add(name, "Pooling", bottoms).pooling_param
            parameters.kernel_size, parameters.stride = settings["kernel"], settings["stride"]
            parameters.pad = settings["padding"]
            if not settings["ceil_mode"]:
                parameters.ceil_mode = False
        elif layer.kind == "average_pool":
            name = _pool_name(bottoms[0])
            parameters = self.add(name, "Pooling", bottoms).pooling_param
            parameters.pool, parameters.global_pooling = 1, True  # AVE
        elif layer.kind == "concat":
            self.add(name, "Concat", bottoms).concat_param.axis = 1
        elif layer.kind == "add":
            self.add(name, "Eltwise", bottoms)  # a sum, unless it is told otherwise
        elif layer.kind == "upsample":
            self._add_upsample(name, bottoms)
        else:
            raise ExportError(f"{layer.name}: a layer of kind {layer.kind} cannot be exported to Caffe")
        return name

    def _add_upsample(self, name: str, bottoms: list[str]) -> None:
        """Each pixel four times: Caffe has no layer for that, but a transposed convolution of ones, a channel each."""
        channels = self._channels[bottoms[0]]
        message = self.add(name, "Deconvolution", bottoms)
        parameters = message.convolution_param
        parameters.num_output = parameters.group = channels
        parameters.bias_term = False
        parameters.kernel_size.append(2)
        parameters.stride.append(2)
        add_blob(message, np.ones((channels, 1, 2, 2), np.float32))


def caffe_name(path: str) -> str:
    """features.fire2.expand_1x1 -> fire2_expand_1x1"""
    path = path.removeprefix("features.").removeprefix("head.")
    return CONVDET if path == "convdet" else path.replace(".", "_")


def _pool_name(source: str) -> str:
    """A pool is numbered as the conv or Fire before it, fire4 -> pool4; another has the whole name."""
    number = re.fullmatch(r"(?:conv|fire)([0-9]+)", source)
    return f"pool{number.group(1)}" if number else f"pool_{source}"
