"""Several nets of one shape as one, whose weights are the mean of theirs ("model soups", arXiv 2203.05482)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec

from ..common.errors import TrainError
from ..models import AnyConfig, AnyNet, NetConfig
from ..models.fuse import fuse_batchnorm
from .native import net_from_checkpoint


def average_checkpoints(paths: Sequence[str | Path]) -> tuple[AnyNet, ModelSpec]:
    """The mean of two or more nets with BatchNorm fused, in evaluation mode, and their common spec.

    Args:
        paths: .pt of `fit` or `compress`, .onnx or .sqdet.

    Raises:
        TrainError: fewer than two files, one of them cannot be read, or its net or spec differs from the first one's.
    """
    if len(paths) < 2:
        raise TrainError(f"{', '.join(map(str, paths)) or 'no checkpoint'}: a mean needs two or more")
    loaded = [net_from_checkpoint(path) for path in paths]
    nets, (spec, *specs) = [fuse_batchnorm(net) for net, _ in loaded], [spec for _, spec in loaded]
    for path, net, other in zip(paths[1:], nets[1:], specs):
        if _shape(net.config) != _shape(nets[0].config):
            raise TrainError(f"{path}: a net of another shape than {paths[0]}")
        if other != spec:
            raise TrainError(f"{path}: its classes, anchors or input size are not those of {paths[0]}")
    return average_weights(nets), spec


def _shape(config: AnyConfig) -> AnyConfig:
    """Without the dropout, which an exported file does not record."""
    return replace(config, dropout=0.0) if isinstance(config, NetConfig) else config


def average_weights(nets: Sequence[AnyNet]) -> AnyNet:
    """The first net, with the mean of all nets' weights, summed in float64. The nets have no BatchNorm, whose moments
    have no meaningful mean. A weight that is zero in all stays zero."""
    first, *others = nets
    mean = {name: value.double() for name, value in first.state_dict().items()}
    for other in others:
        for name, value in other.state_dict().items():
            mean[name] += value.double()
    first.load_state_dict({name: (value / len(nets)).float() for name, value in mean.items()})
    return first
