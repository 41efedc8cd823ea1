"""The Caffe pair of a classifier, layers and names as in the 2017 project's SqueezeNet_deploy.prototxt."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from ..graph.trace import Layer
from .builder import CaffeBuilder

OUTPUT = "predictions"


def classifier_net(layers: Sequence[Layer], input_wh: tuple[int, int], half: bool = False) -> Message:
    """The NetParameter, weights included, whose layer `predictions` gives the probabilities, (1, C, 1, 1).

    Args:
        layers: `graph.trace` of the net, traced with the input name `builder.INPUT`; the last one is the average
            over the plane.
        half: store convolution weights as float16.
    """
    builder = CaffeBuilder("SqueezeNet", input_wh, half)
    for layer in layers:
        logits = builder.add_layer(layer)
    builder.add(OUTPUT, "Softmax", [logits]).softmax_param.axis = 1
    return builder.net
