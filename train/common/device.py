"""`--device`: where a run computes."""

from __future__ import annotations

import torch

from .errors import TrainError


def find_device(name: str) -> torch.device:
    """The device "cpu", "cuda" or "auto": CUDA where PyTorch finds it. Raises TrainError if there is no such device."""
    if name not in ("auto", "cpu", "cuda"):
        raise TrainError(f"--device {name}: expected cpu, cuda or auto")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainError("--device cuda: this PyTorch finds no CUDA device")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether it is a CPU that computes in bfloat16 faster than in float32: with AVX512-BF16 or AMX."""
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
