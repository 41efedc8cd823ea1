"""The nets by name, and nets from what a checkpoint says of their shape."""

from __future__ import annotations

import dataclasses

from .squeezedet import NetConfig, SqueezeDet
from .squeezedet_fpn import FpnConfig, SqueezeDetFpn

AnyConfig = NetConfig | FpnConfig
AnyNet = SqueezeDet | SqueezeDetFpn
KINDS: dict[str, type[AnyConfig]] = {"squeezedet": NetConfig, "fpn": FpnConfig}

# name: (config, where it comes from, the input width and height it was made for)
NETS: dict[str, tuple[AnyConfig, str, tuple[int, int]]] = {
    "sqdet": (
        NetConfig(
            head_fires=((96, 160, 160), (96, 160, 160)),
            head_norm=True,
            convdet_kernel=1,
            convdet_padding=0,
            dropout=0.0,
        ),
        "ours: narrow Fires with BatchNorm and a 1x1 ConvDet, 1.2 M parameters at K=9, C=20",
        (320, 320),
    ),
    "squeezedet": (NetConfig(), "the paper's SqueezeDet (v1.1 layout)", (1242, 375)),
    "squeezedet+": (
        NetConfig(backbone="1.0", squeeze_factor=6, head_fires=((384, 256, 256), (384, 256, 256))),
        "the paper's wider SqueezeDet+ (v1.0 layout; BichenWuUCB/squeezeDet, nets/squeezeDetPlus.py)",
        (1242, 375),
    ),
    "squeezedet-2017": (
        NetConfig(backbone="1.0", conv10_channels=1000, convdet_padding=0, leaky_slope=0.01),
        "the 2017 OpenCV project's SqueezeDet_deploy.prototxt (v1.0 layout, conv10 kept, LeakyReLU)",
        (416, 416),
    ),
    "squeezedet-fpn": (
        FpnConfig(),
        "ours: SqueezeDet on grids of stride 8, 16, 32 and 64, one anchor a cell, 1.48 M parameters at C=20",
        (256, 256),
    ),
}


def build_net(name: str, anchors_per_cell: int, num_classes: int, **changes: object) -> AnyNet:
    """A net of the registry; `changes` replace fields of its config."""
    if name not in NETS:
        raise ValueError(f"no net called {name!r}; there are {', '.join(NETS)}")
    return dataclasses.replace(NETS[name][0], **changes).build(anchors_per_cell, num_classes)


def config_to_dict(config: AnyConfig) -> dict:
    """For a checkpoint; without a kind it is a NetConfig's, as checkpoints of before 0.3.0 are."""
    kind = next(name for name, cls in KINDS.items() if type(config) is cls)
    return dataclasses.asdict(config) | ({"kind": kind} if kind != "squeezedet" else {})


def config_from_dict(values: dict) -> AnyConfig:
    """What `config_to_dict` gave."""
    values = dict(values)
    return KINDS[values.pop("kind", "squeezedet")](**values)
