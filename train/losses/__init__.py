from .ours import DetectionLoss, LossConfig

__all__ = ["DetectionLoss", "LossConfig"]
