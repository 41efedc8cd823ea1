"""The options of `python -m train compress`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from ..common.device import find_device
from ..common.errors import TrainError
from ..common.options import option, require_at_least
from ..data.formats.open_dataset import ANNOTATIONS_HELP
from ..engine.config import AMP
from ..teachers.dense import HELP as TEACHER_HELP
from ..trainers.detection_config import PLAIN_EPOCHS, SMALLEST, FitConfig

MAX_BITS = 8


@dataclass(frozen=True)
class CompressConfig:
    """A whole run; saved in args.yaml of its folder. What retraining needs beyond this (the loss, the augmentation
    ...) is as it was when the checkpoint was trained."""

    # no recipe used another value
    REMOVED = {"scope": "lamp", "start": "linear", "scan": "", "max_drop": 0.5, "view_teacher": None}

    out: str = option("runs/compress", "run folder; must not hold a run already")
    data: str | None = option(
        None, "data set to retrain with: VOC, COCO, YOLO or a plain folder; its format is detected", unset=("",)
    )
    splits: str = option("train", "comma-separated splits to train on", aliases=("lists",))
    val: str = option("val", "split whose mAP is printed after each epoch")
    annotations: str | None = option(None, ANNOTATIONS_HELP, unset=("",))
    teacher: str | None = option(None, TEACHER_HELP)
    structured: float = option(
        0.0, "fraction of the filters of all Fires to remove first, so that the net is faster; 0: none"
    )
    sparsity: float = option(0.6, "fraction of the weights to prune; 0: none")
    ramp: float = option(0.6, "fraction of the pruning's steps over which the sparsity rises")
    every: int = option(20, "steps from one pruning to the next")
    bits: int = option(6, f"2^bits shared weights a layer, 1 to {MAX_BITS}; 0: not shared")
    bias_bits: int = option(6, "the same for biases, where it makes them smaller")
    budget: int | None = option(
        None, "bytes for all weights (by entropy; biases come on top): chooses bits by layer, up to --bits", unset=(0,)
    )
    epochs: int = option(4, "epochs of retraining in all; 0: none")
    narrow_part: float = option(0.25, "with --structured: fraction of the epochs that come before the pruning")
    centroid_part: float = option(0.25, "fraction of the epochs, at the end, in which the shared weights learn")
    size: int | None = option(
        None, "input size in pixels, of the retraining and so of the result (default: the checkpoint's)", unset=(0,)
    )
    frozen: str = option("", "backbone layers that do not learn in the retraining, comma-separated")
    mosaic: float | None = option(
        None, "probability of four images in one (default: as in the training of the checkpoint)", unset=(-1.0,)
    )
    plain_epochs: int = option(0, f"{PLAIN_EPOCHS}; of each stage")
    batch: int = option(16, "images a step")
    lr: float = option(0.002, "peak learning rate while pruning")
    centroid_lr: float = option(1e-4, "peak learning rate of the shared weights, whose gradients are sums")
    warmup: int = option(50, "steps of linear warm-up")
    ema: float = option(0.99, "decay of the weight average")
    amp: bool | None = option(None, AMP)
    seed: int = option(0, "of everything random")
    workers: int = option(1, "processes that load images; 0: none")
    save_steps: int = option(200, "steps between checkpoints within an epoch")
    device: str = option("auto", "cpu, cuda, or auto")

    def __post_init__(self) -> None:
        least = dict.fromkeys(("epochs", "plain_epochs", "warmup", "seed", "workers"), 0)
        least |= dict.fromkeys(("batch", "every", "save_steps", "budget"), 1)
        require_at_least(self, least | {"size": SMALLEST})
        for name in ("bits", "bias_bits"):
            if not 0 <= getattr(self, name) <= MAX_BITS:
                raise TrainError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 0 to {MAX_BITS}")
        for name in ("sparsity", "structured"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainError(f"--{name} {getattr(self, name)}: expected at least 0, below 1")
        if self.mosaic is not None and not 0 <= self.mosaic <= 1:
            raise TrainError(f"--mosaic {self.mosaic}: expected 0 to 1")
        if not 0 < self.ramp <= 1:
            raise TrainError(f"--ramp {self.ramp}: expected above 0, at most 1")
        for name in ("narrow_part", "centroid_part"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 0 to 1")
        if self.epochs and not self.data:
            raise TrainError("compress needs --data, a data set, to retrain; or --epochs 0")
        if self.structured and not self.data:
            raise TrainError("--structured needs --data, a data set, that says which filters matter")
        find_device(self.device)

    @property
    def centroid_epochs(self) -> int:
        return round(self.epochs * self.centroid_part) if self.bits else 0

    @property
    def narrow_epochs(self) -> int:
        most = self.epochs - self.centroid_epochs
        return min(round(self.epochs * self.narrow_part), most) if self.structured else 0

    @property
    def pruning_epochs(self) -> int:
        return self.epochs - self.narrow_epochs - self.centroid_epochs

    def fit_config(self, trained: FitConfig, folder: str, epochs: int, lr: float) -> FitConfig:
        """The options of one stage, which runs in a folder within `out`, for a net that was trained with `trained`. All
        layers but those of `frozen` learn: layers that training froze lose weights too, and must make up for it."""
        augment = trained.augment
        if self.mosaic is not None:
            augment = dataclasses.replace(augment, mosaic=self.mosaic)
        return dataclasses.replace(
            trained,
            out=str(Path(self.out) / folder),
            data=self.data,
            splits=self.splits,
            val=self.val,
            annotations=self.annotations,
            teacher=self.teacher,
            minutes=None,
            labels=None,
            size=self.size,
            epochs=epochs,
            sizes=None,
            frozen=self.frozen,
            augment=augment,
            plain_epochs=self.plain_epochs,
            backbone_lr=1.0,
            lr=lr,
            batch=self.batch,
            warmup=self.warmup,
            ema=self.ema,
            amp=self.amp,
            seed=self.seed,
            workers=self.workers,
            save_steps=self.save_steps,
            device=self.device,
            watch=0,
        )
