"""What the layers of a net are called in images and alarms."""

from __future__ import annotations

import re

from torch import nn


def layer_name(path: str) -> str:
    """The name of a layer from the path of its convolution or activation in a net.

    >>> [layer_name(path) for path in ("features.relu_conv1", "features.fire2.squeeze.2", "head.fire10.expand_1x1.0")]
    ['conv1', 'fire2.squeeze', 'fire10.expand_1x1']
    """
    return re.sub(r"^(features|head)\.|relu_|\.\d+$", "", path)


def activations(net: nn.Module) -> dict[str, nn.Module]:
    """Every ReLU and LeakyReLU by the name of its layer, in the order of the net's definition."""
    return {
        layer_name(path): module for path, module in net.named_modules() if isinstance(module, nn.ReLU | nn.LeakyReLU)
    }
