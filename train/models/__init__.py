"""The nets, BatchNorm fused into them and back, and how many parameters and operations they have."""

from .registry import NETS, AnyConfig, AnyNet, build_net, config_from_dict, config_to_dict
from .squeezedet import NetConfig, SqueezeDet
from .squeezedet_fpn import FpnConfig, SqueezeDetFpn
from .squeezenet import SqueezeNet, SqueezeNetFeatures

__all__ = [
    "NETS",
    "AnyConfig",
    "AnyNet",
    "FpnConfig",
    "NetConfig",
    "SqueezeDet",
    "SqueezeDetFpn",
    "SqueezeNet",
    "SqueezeNetFeatures",
    "build_net",
    "config_from_dict",
    "config_to_dict",
]
