"""The nets, BatchNorm fused into them and back, and how many parameters and operations they have."""

from .squeezedet import NETS, NetConfig, SqueezeDet, build_net
from .squeezenet import SqueezeNet, SqueezeNetFeatures

__all__ = ["NETS", "NetConfig", "SqueezeDet", "SqueezeNet", "SqueezeNetFeatures", "build_net"]
