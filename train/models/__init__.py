"""The nets, BatchNorm fused into them and back, and what they cost."""

from .squeezedet import NETS, NetConfig, SqueezeDet, build_net
from .squeezenet import SqueezeNet, SqueezeNetFeatures

__all__ = ["NETS", "NetConfig", "SqueezeDet", "SqueezeNet", "SqueezeNetFeatures", "build_net"]
