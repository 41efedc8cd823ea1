"""The options that every training run has, detector or classifier."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.device import find_device
from ..common.errors import TrainError
from ..common.options import option, require_at_least
from .schedules import SCHEDULES, STEP, find_solver, parse_epochs

AMP = (
    "compute in 16 bits where it is safe: float16 on CUDA; bfloat16 on a CPU, where it is slower unless `lscpu` names "
    "avx512_bf16 or amx_bf16"
)
OPTIMIZERS = {"sgd": 0.01, "adamw": 0.001}  # name: the learning rate of --lr 0


@dataclass(frozen=True)
class LoopConfig:
    """A run; saved in its checkpoints and in args.yaml of its folder.

    Raises:
        TrainError: a value outside the range that its meaning gives.
    """

    out: str = option("runs/run", "run folder; must not hold a run already")
    data: str = option("", "data set")
    init: str = option("", "start from an ImageNet archive (.npz), a checkpoint (.pt) or a model (.onnx, .sqdet)")
    batch: int = option(16, "images a step, in each process")
    optimizer: str = option("sgd", f"one of {', '.join(OPTIMIZERS)}; SGD has Nesterov's momentum of 0.9")
    schedule: str = option("cosine", f"of the learning rate: {', '.join(SCHEDULES)} (train/engine/schedules.py)")
    lr: float = option(0.0, "highest learning rate; 0: sgd 0.01, adamw 0.001, a solver file's own")
    lr_epochs: str = option("", "step: comma-separated numbers of epochs after which the rate falls")
    lr_gamma: float = option(0.1, "step: by which factor")
    scale_schedule: bool = option(False, "run through all of a solver file's iterations in the steps of this run")
    backbone_lr: float = option(0.3, "learning rate of the layers from ImageNet, as a share of the others'")
    weight_decay: float = option(5e-4, "on weights, not on biases and norms")
    warmup: int = option(300, "steps of linear warm-up")
    clip: float = option(5.0, "largest norm of the gradient; inf: any")
    ema: float = option(0.999, "decay of the weight average")
    patience: int = option(0, "stop after so many epochs without a better one; 0: never")
    amp: bool = option(False, AMP)
    tensorboard: bool = option(False, "also write RUN/tensorboard; needs the package tensorboard")
    seed: int = option(0, "of everything random")
    workers: int = option(1, "processes that load images; 0: none")
    save_steps: int = option(200, "steps between checkpoints within an epoch")
    device: str = option("auto", "cpu, cuda, or auto")

    def __post_init__(self) -> None:
        least = {"batch": 1, "save_steps": 1, "workers": 0, "seed": 0, "warmup": 0, "patience": 0, "lr": 0, "clip": 0}
        require_at_least(self, least)
        find_device(self.device)
        if self.optimizer not in OPTIMIZERS:
            raise TrainError(f"--optimizer {self.optimizer}: there are {', '.join(OPTIMIZERS)}")
        if find_solver(self.schedule) and self.optimizer != "sgd":
            raise TrainError(f"--optimizer {self.optimizer}: --schedule {self.schedule} is one of SGD")
        if parse_epochs(self.lr_epochs) and self.schedule != STEP:
            raise TrainError(f"--lr-epochs {self.lr_epochs}: has no effect with --schedule {self.schedule}")
        if self.schedule == STEP and not self.lr_epochs:
            raise TrainError("--schedule step needs --lr-epochs, the numbers of epochs after which the rate falls")
        if not 0 < self.lr_gamma <= 1:
            raise TrainError(f"--lr-gamma {self.lr_gamma}: expected above 0, at most 1")
