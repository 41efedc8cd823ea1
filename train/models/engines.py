"""A frozen net on a CPU: by OpenVINO where that is installed and computes the same, else by PyTorch."""

from __future__ import annotations

import copy
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .squeezedet_fpn import PaddedFeatures

# Largest mean difference, as a share of the mean value. OpenVINO may compute in bfloat16 where the processor has it; a
# wrong graph was off by more than the values themselves.
ALLOWED = 0.08


@dataclass(frozen=True)
class Engine:
    """A way to compute a net.

    Attributes:
        name: "PyTorch" or "OpenVINO".
        run: (N, 3, H, W) float32 to a tuple of tensors.
    """

    name: str
    run: Callable[[Tensor], tuple[Tensor, ...]]


def fast_engine(net: nn.Module, images: Tensor) -> Engine:
    """For batches of that shape. `net` gives a tensor or a tuple; it is in evaluation mode.

    OpenVINO takes about half of PyTorch's time, and is not measured here: a run that chose by time would not end with
    the same weights each time.
    """

    @torch.no_grad()
    def by_pytorch(x: Tensor) -> tuple[Tensor, ...]:
        given = net(x.contiguous(memory_format=torch.channels_last))
        return given if isinstance(given, tuple) else (given,)

    plain = Engine("PyTorch", by_pytorch)
    if importlib.util.find_spec("openvino") is None:
        return plain
    other = Engine("OpenVINO", _by_openvino(net, images))
    return other if difference(other.run(images), plain.run(images)) <= ALLOWED else plain


STEM = ("conv1", "fire2", "fire3")


class _Stem(nn.Module):
    def __init__(self, features: PaddedFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.features.stem(x)


def use_fast_stem(net: nn.Module, frozen: Sequence[str]) -> None:
    """Lets a SqueezeDetFpn on a CPU compute its stem by the `fast_engine` while it trains, if no layer of the stem
    learns. The engine is made for the first batch of each shape, with the weights of that moment."""
    features = getattr(net, "features", None)
    if not isinstance(features, PaddedFeatures) or not set(STEM) <= set(frozen):
        return
    if next(net.parameters()).device.type != "cpu":
        return
    engines: dict[tuple[int, ...], Engine] = {}

    def run(x: Tensor) -> Tensor:
        shape = tuple(x.shape)
        if shape not in engines:
            # a copy: evaluation mode must not reach the layers that learn
            engines[shape] = fast_engine(_Stem(copy.deepcopy(features)).eval(), x)
        return engines[shape].run(x)[0].contiguous(memory_format=torch.channels_last)

    features.fast_stem = run


def difference(given: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> float:
    """The largest mean difference of a tensor from its counterpart, as a share of the latter's mean absolute value."""
    return max(
        float((a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp(min=1e-9))
        for a, b in zip(given, right, strict=True)
    )


def _by_openvino(net: nn.Module, images: Tensor) -> Callable[[Tensor], tuple[Tensor, ...]]:
    import openvino

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter: it traces, as it should
        path = Path(folder) / "net.onnx"
        torch.onnx.export(net, (images.contiguous(),), str(path), dynamo=False, opset_version=13)
        hints = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = openvino.Core().compile_model(str(path), "CPU", hints)
    return lambda x: tuple(torch.from_numpy(out.copy()) for out in compiled([x.contiguous().numpy()]).values())
