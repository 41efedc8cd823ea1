"""The options that every training run has, detector or classifier."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.device import find_device
from ..common.errors import TrainError
from ..common.options import option, require_at_least
from .schedules import SCHEDULES, STEP, parse_epochs

AMP = (
    "compute in 16 bits where it is safe: float16 on CUDA, bfloat16 on a CPU (default: on a CPU with AVX512-BF16 or "
    "AMX, which it makes twice as fast; others it makes slower)"
)
OPTIMIZERS = {"sgd": 0.01, "adamw": 0.001}  # name: its learning rate unless --lr is given


@dataclass(frozen=True)
class LoopConfig:
    """A run; saved in its checkpoints and in args.yaml of its folder.

    Raises:
        TrainError: a value outside the range that its meaning gives.
    """

    REMOVED = {"scale_schedule": False}  # of the Caffe solver files' schedules

    out: str = option("runs/run", "run folder; must not hold a run already")
    data: str | None = option(None, "data set", unset=("",))
    init: str | None = option(
        None, "start from an ImageNet archive (.npz), a checkpoint (.pt) or a model (.onnx, .sqdet)", unset=("",)
    )
    batch: int = option(16, "images a step, in each process")
    optimizer: str = option("sgd", f"one of {', '.join(OPTIMIZERS)}; SGD has a Nesterov momentum of 0.9")
    schedule: str = option("cosine", f"of the learning rate: {', '.join(SCHEDULES)} (train/engine/schedules.py)")
    lr: float | None = option(None, "highest learning rate (default: sgd 0.01, adamw 0.001)", unset=(0.0,))
    lr_epochs: str | None = option(
        None, "step: comma-separated numbers of epochs after which the rate falls", unset=("",)
    )
    lr_gamma: float = option(0.1, "step: by which factor")
    backbone_lr: float = option(0.3, "learning rate of the layers from ImageNet, as a share of the others'")
    weight_decay: float = option(5e-4, "on weights, not on biases and norms")
    warmup: int = option(300, "steps of linear warm-up")
    clip: float = option(5.0, "largest norm of the gradient; inf: any")
    ema: float = option(0.999, "decay of the weight average")
    val_every: int = option(1, "validate after every so many epochs, and after the last")
    patience: int = option(0, "stop after this many validations in a row without a better one; 0: never")
    amp: bool | None = option(None, AMP)
    threads: int | None = option(None, "threads of PyTorch (default: all cores)")
    tensorboard: bool = option(False, "also write RUN/tensorboard; needs the package tensorboard")
    seed: int = option(0, "of everything random")
    workers: int = option(1, "processes that load images; 0: none")
    save_steps: int = option(200, "steps between checkpoints within an epoch")
    device: str = option("auto", "cpu, cuda, or auto")

    def __post_init__(self) -> None:
        least = dict.fromkeys(("batch", "save_steps", "val_every", "threads"), 1)
        least |= dict.fromkeys(("workers", "seed", "warmup", "patience", "clip"), 0)
        require_at_least(self, least)
        find_device(self.device)
        if self.optimizer not in OPTIMIZERS:
            raise TrainError(f"--optimizer {self.optimizer}: there are {', '.join(OPTIMIZERS)}")
        if self.schedule not in SCHEDULES:
            raise TrainError(f"--schedule {self.schedule}: there are {', '.join(SCHEDULES)}")
        if self.lr is not None and self.lr <= 0:
            raise TrainError(f"--lr {self.lr}: expected above 0")
        if parse_epochs(self.lr_epochs) and self.schedule != STEP:
            raise TrainError(f"--lr-epochs {self.lr_epochs}: has no effect with --schedule {self.schedule}")
        if self.schedule == STEP and not self.lr_epochs:
            raise TrainError("--schedule step needs --lr-epochs, the numbers of epochs after which the rate falls")
        if not 0 < self.lr_gamma <= 1:
            raise TrainError(f"--lr-gamma {self.lr_gamma}: expected above 0, at most 1")

    @property
    def peak_lr(self) -> float:
        """The highest learning rate of the run."""
        return OPTIMIZERS[self.optimizer] if self.lr is None else self.lr
