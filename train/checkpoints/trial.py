"""The weights of the trial that the net `squeezedet-fpn` comes from, which its own script saved by its own names."""

from __future__ import annotations

from pathlib import Path

import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec

from ..common.errors import TrainError
from ..models import FpnConfig, SqueezeDetFpn

NAMES = {"e1": "expand_1x1", "e3": "expand_3x3", "lat5": "lateral5", "lat4": "lateral4", "lat3": "lateral3"}
NAMES |= {"to3": "reduce4", "stem": "mix", "out": "convdet"}


def net_from_trial(path: str | Path, input_wh: tuple[int, int]) -> tuple[SqueezeDetFpn, ModelSpec]:
    """The net in evaluation mode, and its spec for an input of that size in pixels; 20 PASCAL VOC classes.

    Raises:
        TrainError: the file is missing, or does not hold the weights of such a net; a side is no multiple of 32.
    """
    path = Path(path)
    if not path.is_file():
        raise TrainError(f"{path}: no such file; expected the trial's weights.pt")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        renamed = {net_name(name): value for name, value in state.items()}
        # halves are what the weights were stored as; the net computes in float32
        renamed = {name: value.float() if value.is_floating_point() else value for name, value in renamed.items()}
        net = SqueezeDetFpn(FpnConfig(), len(VOC_LABELS))
        net.load_state_dict(renamed)
    except Exception as error:  # torch raises pickle, zip, key and shape errors alike
        reason = " ".join((str(error) or repr(error)).split())[:200]
        raise TrainError(f"{path}: not the trial's weights: {reason}") from None
    return net.eval(), ModelSpec(VOC_LABELS, input_wh, net.make_grids(input_wh))


def net_name(name: str) -> str:
    """What a weight of the trial is called here.

    >>> net_name("fire2.e1.0.weight"), net_name("heads.8.out.bias")
    ('features.fire2.expand_1x1.0.weight', 'heads.stride8.convdet.bias')
    """
    parts = [NAMES.get(part, part) for part in name.split(".")]
    if parts[0] == "conv1":
        parts = ["features", "conv1", parts[-1]]  # there in a Sequential
    elif parts[0] in ("fire10", "fire11"):
        parts = ["coarse", *parts]
    elif parts[0].startswith("fire"):
        parts = ["features", *parts]
    elif parts[0] == "heads":
        parts[1] = f"stride{parts[1]}"
    return ".".join(parts)
