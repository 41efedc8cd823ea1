"""The options of `python -m train fit`."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec

from ..checkpoints.exported import SUFFIXES
from ..checkpoints.native import load_checkpoint, net_from_checkpoint
from ..common.errors import TrainError
from ..common.labels import HELP as LABELS_HELP
from ..common.options import from_dict, from_options, from_yaml, nested, option, require_at_least
from ..data.cache import HELP as CACHE_HELP
from ..data.cache import PLACES
from ..data.formats.open_dataset import ANNOTATIONS_HELP
from ..data.transforms.augment import AugmentConfig
from ..diagnosis.monitor import MONITORED_IMAGES, MOST_IMAGES
from ..engine.config import LoopConfig
from ..engine.schedules import COSINE
from ..losses import (
    LOSSES,
    OTHER_NAMES,
    Loss,
    SqdetLossConfig,
    SqueezeDet2017LossConfig,
    SqueezeDetLossConfig,
    TaskAlignedLossConfig,
)
from ..models import NETS, AnyConfig, NetConfig
from ..teachers.dense import HELP as TEACHER_HELP

FROM_INIT = "init"  # a --net
PLAIN_EPOCHS = "number of last epochs without mosaics, which teach that an image is full of objects"
SIZE, EPOCHS = 320, 20  # unless --size, --epochs or --sizes is given
SMALLEST = 32  # pixels
LOSS_NAMES = ", ".join(LOSSES).replace("_", "-")


@dataclass(frozen=True)
class FitConfig(LoopConfig):
    """A whole run; saved in its checkpoints and in args.yaml of its folder."""

    REMOVED = {**LoopConfig.REMOVED, "view_teacher": None}  # `teacher` says more, of more

    out: str = option("runs/fit", "run folder; must not hold a run already")
    data: str | None = option(None, "data set: VOC, COCO, YOLO or a plain folder; its format is detected", unset=("",))
    splits: str = option("train", "comma-separated splits to train on", aliases=("lists",))
    val: str = option("val", "split to choose the best epoch by")
    annotations: str | None = option(None, ANNOTATIONS_HELP, unset=("",))
    teacher: str | None = option(None, TEACHER_HELP)
    cache: str | None = option(None, CACHE_HELP)
    labels: str | None = option(None, LABELS_HELP, unset=("",))
    net: str = option(
        "sqdet", f"one of {', '.join(NETS)}; or {FROM_INIT}: the shape of --init's, with BatchNorm in the head"
    )
    leaky_slope: float | None = option(
        None, "of the activations below 0; 0: ReLU (default: the net's own)", unset=(-1.0,)
    )
    dropout: float | None = option(None, "before ConvDet (default: the net's own)", unset=(-1.0,))
    size: int | None = option(None, f"input size in pixels (default: {SIZE})")
    epochs: int | None = option(None, f"epochs of training (default: {EPOCHS})")
    minutes: float | None = option(None, "train so long instead of a number of epochs; rate and mosaics end on time")
    plain_part: float = option(0.15, "with --minutes: fraction of the time, at its end, without mosaics")
    sizes: str | None = option(
        None, "in place of --size and --epochs: SIZE:EPOCHS[,SIZE:EPOCHS...]; the model's own size is the last"
    )
    multi_scale: float = option(0.0, "every ten steps another input size, smaller or larger by up to this share")
    anchors_per_cell: int = option(9, "anchor shapes of each cell, found by k-means on the boxes", aliases=("shapes",))
    frozen: str = option("conv1,fire2,fire3", "backbone layers that do not learn, comma-separated")
    balance: float = option(0.1, "rare classes are sampled as if this share of the images showed them; 0: off")
    plain_epochs: int = option(0, PLAIN_EPOCHS)
    watch: int = option(MONITORED_IMAGES, "images on which the activations are measured after each epoch; 0: none")
    loss: str = option("sqdet", f"one of {LOSS_NAMES}; its own options are --NAME.*")
    sqdet: SqdetLossConfig = nested(SqdetLossConfig, aliases=("ours",))
    squeezedet2017: SqueezeDet2017LossConfig = nested(SqueezeDet2017LossConfig, aliases=("gsoc",))
    squeezedet: SqueezeDetLossConfig = nested(SqueezeDetLossConfig, aliases=("paper",))
    task_aligned: TaskAlignedLossConfig = nested(TaskAlignedLossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", OTHER_NAMES.get(self.loss, self.loss))
        super().__post_init__()
        require_at_least(self, {"anchors_per_cell": 1, "multi_scale": 0, "watch": 0, "plain_epochs": 0})
        require_at_least(self, {"size": SMALLEST, "epochs": 1})
        if self.sizes is not None and (self.size, self.epochs) != (None, None):
            raise TrainError(f"--sizes {self.sizes}: sets sizes and epochs; leave out --size and --epochs, or --sizes")
        if self.minutes is not None:
            if not 0 < self.minutes < float("inf"):
                raise TrainError(f"--minutes {self.minutes}: expected above 0")
            if (self.sizes, self.epochs) != (None, None):
                raise TrainError(f"--minutes {self.minutes:g}: says how long; leave out --epochs and --sizes")
            if self.schedule != COSINE or self.plain_epochs:
                raise TrainError("--minutes: goes with --schedule cosine, and --plain-part in place of --plain-epochs")
        if not 0 <= self.plain_part <= 1:
            raise TrainError(f"--plain-part {self.plain_part}: expected 0 to 1")
        if self.watch > MOST_IMAGES:
            raise TrainError(f"--watch {self.watch}: expected {MOST_IMAGES} at most")
        if self.net not in (*NETS, FROM_INIT):
            raise TrainError(f"--net {self.net}: there are {', '.join(NETS)}, {FROM_INIT}")
        if self.net == FROM_INIT and not self.init:
            raise TrainError(f"--net {FROM_INIT} needs --init, a checkpoint of a detector, an .onnx or a .sqdet")
        if self.multi_scale >= 1:
            raise TrainError(f"--multi-scale {self.multi_scale}: expected below 1")
        for name in ("leaky_slope", "dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise TrainError(f"--{name.replace('_', '-')} {value}: expected at least 0, below 1")
        if self.loss not in LOSSES:
            raise TrainError(f"--loss {self.loss}: there are {LOSS_NAMES}")
        for name, (_, config_class, _) in LOSSES.items():
            if name != self.loss and getattr(self, name) != config_class():
                raise TrainError(f"--{name.replace('_', '-')}.*: has no effect with --loss {self.loss}")
        if self.teacher and (self.loss != "task_aligned" or not self.task_aligned.teacher):
            raise TrainError(
                "--teacher: has an effect only with --loss task-aligned, and --task-aligned.teacher above 0"
            )
        if self.cache not in (None, *PLACES):
            raise TrainError(f"--cache {self.cache}: there are {', '.join(PLACES)}")

    @property
    def epoch_sizes(self) -> list[int]:
        """The input size of each epoch, in pixels; with `minutes`, of the first."""
        if self.minutes is not None:
            return [self.size or SIZE]
        return parse_sizes(self.sizes) if self.sizes is not None else [self.size or SIZE] * (self.epochs or EPOCHS)

    @property
    def net_config(self) -> AnyConfig:
        """The shape of the net: that of its name, with the activations and the dropout of the options."""
        changes = {name: getattr(self, name) for name in ("leaky_slope", "dropout") if getattr(self, name) is not None}
        if self.net == FROM_INIT:
            shape = net_from_checkpoint(self.init)[0].config
            is_plain = isinstance(shape, NetConfig)
            shape = replace(shape, head_norm=True) if is_plain else shape.with_norms(True)
        else:
            shape = NETS[self.net][0]
        if changes and not isinstance(shape, NetConfig):
            option = next(iter(changes)).replace("_", "-")
            raise TrainError(f"--{option}: has no effect with --net {self.net}, which has no such layer")
        return replace(shape, **changes)

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> FitConfig:
        """From a command line with `add_options` and --config, a file whose options the given ones replace."""
        base, given = from_yaml(args.config, cls) if args.config else None, vars(args)
        if base and "sizes" in given:
            base = replace(base, size=None, epochs=None)
        elif base and base.sizes and ("size" in given or "epochs" in given):
            sizes = base.epoch_sizes
            base = replace(base, sizes=None, size=sizes[-1], epochs=len(sizes))
        return from_options(args, cls, base=base)

    @classmethod
    def from_saved(cls, values: dict) -> FitConfig:
        """From a checkpoint. Before there were several losses, the options of `sqdet` were saved as `loss`."""
        if isinstance(values["loss"], dict):
            values = values | {"loss": "sqdet", "sqdet": values["loss"]}
        return from_dict(values, cls)

    def make_loss(self, spec: ModelSpec) -> Loss:
        """The chosen loss, for the geometry of one input size."""
        return LOSSES[self.loss][0](getattr(self, self.loss), spec)


def parse_sizes(text: str) -> list[int]:
    """The input size of each epoch: "256:2,320:1" to [256, 256, 320]."""
    try:
        pairs = [(int(size), int(epochs)) for size, epochs in (phase.split(":") for phase in text.split(","))]
        valid = all(size >= SMALLEST and epochs >= 1 for size, epochs in pairs)
    except ValueError:
        valid = False
    if not valid:
        raise TrainError(f"--sizes {text}: expected SIZE:EPOCHS[,SIZE:EPOCHS...], sizes of at least {SMALLEST}")
    return [size for size, epochs in pairs for _ in range(epochs)]


def trained_config(checkpoint: str | Path) -> dict:
    """The options of `fit` by which a net was trained, as saved; for an exported model the default ones."""
    if Path(checkpoint).suffix in SUFFIXES:
        return asdict(FitConfig())
    trained = load_checkpoint(checkpoint).get("config")
    if trained is None:
        raise TrainError(f"{checkpoint}: does not say how it was trained; expected one of `python -m train fit`")
    return trained
