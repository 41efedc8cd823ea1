"""Trains a detector: data, loss and evaluation for the loop of `engine.trainer`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec

from ..checkpoints.exported import SUFFIXES
from ..checkpoints.initialize import initialise
from ..checkpoints.native import load_checkpoint, net_from_checkpoint, save_checkpoint
from ..common import distributed
from ..common.errors import TrainError
from ..common.labels import HELP as LABELS_HELP
from ..common.labels import parse_labels
from ..common.options import from_dict, option, require_at_least
from ..data.anchors import find_anchors
from ..data.formats.open_dataset import open_dataset
from ..data.loader import Batch, DetectionData, epoch_order, make_loader
from ..data.multi_scale import SizedData, size_of_step, sizes_around
from ..data.sample import Sample
from ..data.transforms.augment import AugmentConfig
from ..detectors.pytorch import TorchDetector
from ..diagnosis.monitor import MOST_PICTURES, PICTURES, ActivationMonitor, monitored_images
from ..diagnosis.plots import draw_history, draw_weights
from ..engine.config import LoopConfig
from ..engine.optim import ModelEma, freeze
from ..engine.run_folder import begin_run, refuse_old_run
from ..engine.trainer import RunResult, Trainer
from ..evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from ..losses import LOSSES, Loss, SqdetLossConfig, SqueezeDet2017LossConfig, SqueezeDetLossConfig
from ..models.batchnorm import recalibrate_batchnorm
from ..models.squeezedet import NETS, NetConfig, SqueezeDet
from ..teachers.online import HELP as VIEW_TEACHER_HELP
from ..teachers.online import ViewTeacher

CALIBRATION_STEPS = 16  # batches that the moments of BatchNorm are taken from, when --init has none
AS_INIT = "init"  # a --net
PLAIN_EPOCHS = "the last so many epochs draw no mosaics: they teach that an image is full of objects"
OWN = -1.0  # of --dropout and --leaky-slope: as the net has it; of compress's --mosaic: as the checkpoint had it


@dataclass(frozen=True)
class FitConfig(LoopConfig):
    """A whole run; saved in its checkpoints and in args.yaml of its folder."""

    out: str = option("runs/fit", "run folder; must not hold a run already")
    data: str = option("", "data set; its format is found out (VOC, COCO, YOLO, plain folder)")
    lists: str = option("train", "comma-separated lists to train on")
    val: str = option("val", "list to choose the best epoch by")
    annotations: str = option("", "folder of XML files that replace those of the devkit (python -m train label)")
    view_teacher: str = option("", VIEW_TEACHER_HELP)
    labels: str = option("", LABELS_HELP)
    net: str = option(
        "sqdet", f"one of {', '.join(NETS)}; or {AS_INIT}: the shape of --init's, with BatchNorm in the head"
    )
    leaky_slope: float = option(OWN, "of the activations below 0; 0: ReLU; -1: as the net has it")
    dropout: float = option(OWN, "before ConvDet; -1: as the net has it")
    sizes: str = option("320:20", "input sizes and epochs, SIZE:EPOCHS[,SIZE:EPOCHS...]; the model's own is the last")
    multi_scale: float = option(0.0, "every ten steps another input size, at most by this share larger or smaller")
    shapes: int = option(9, "anchor shapes per cell, found by k-means on the boxes")
    frozen: str = option("conv1,fire2,fire3", "backbone layers that do not learn, comma-separated")
    balance: float = option(0.1, "rare classes are sampled as if they were in this share of the images; 0: off")
    plain_epochs: int = option(0, PLAIN_EPOCHS)
    watch: int = option(PICTURES, "images on which the activations are looked at after each epoch; 0: none")
    loss: str = option("ours", f"one of {', '.join(LOSSES)}; its own options are --NAME.*")
    ours: SqdetLossConfig = field(default_factory=SqdetLossConfig)
    gsoc: SqueezeDet2017LossConfig = field(default_factory=SqueezeDet2017LossConfig)
    paper: SqueezeDetLossConfig = field(default_factory=SqueezeDetLossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, {"shapes": 1, "multi_scale": 0, "watch": 0, "plain_epochs": 0})
        if self.watch > MOST_PICTURES:
            raise TrainError(f"--watch {self.watch}: expected {MOST_PICTURES} at most")
        if self.net not in (*NETS, AS_INIT):
            raise TrainError(f"--net {self.net}: there are {', '.join(NETS)}, {AS_INIT}")
        if self.net == AS_INIT and not self.init:
            raise TrainError(f"--net {AS_INIT} needs --init, a checkpoint of a detector, an .onnx or a .sqdet")
        if self.multi_scale >= 1:
            raise TrainError(f"--multi-scale {self.multi_scale}: expected below 1")
        for name in ("leaky_slope", "dropout"):
            value = getattr(self, name)
            if value != OWN and not 0 <= value < 1:
                raise TrainError(f"--{name.replace('_', '-')} {value}: expected at least 0, below 1, or {OWN:.0f}")
        if self.loss not in LOSSES:
            raise TrainError(f"--loss {self.loss}: there are {', '.join(LOSSES)}")
        for name, (_, config_class, _) in LOSSES.items():
            if name != self.loss and getattr(self, name) != config_class():
                raise TrainError(f"--{name}.*: has no effect with --loss {self.loss}")

        if self.view_teacher and (self.loss != "ours" or not self.ours.teacher):
            raise TrainError("--view-teacher: has an effect only with --loss ours, and --ours.teacher above 0")

    @property
    def net_config(self) -> NetConfig:
        """The shape of the net: that of its name, with the activations and the dropout that were asked for."""
        asked = {name: value for name in ("leaky_slope", "dropout") if (value := getattr(self, name)) != OWN}
        if self.net == AS_INIT:
            shape = replace(net_from_checkpoint(self.init)[0].config, head_norm=True)
        else:
            shape = NETS[self.net][0]
        return replace(shape, **asked)

    @classmethod
    def from_saved(cls, values: dict) -> FitConfig:
        """From a checkpoint. Those of runs begun when there was one loss hold the options of `ours` under `loss`."""
        if isinstance(values["loss"], dict):
            values = values | {"loss": "ours", "ours": values["loss"]}
        return from_dict(values, cls)

    def make_loss(self, spec: ModelSpec) -> Loss:
        """The loss that was chosen, for the geometry of one input size."""
        return LOSSES[self.loss][0](getattr(self, self.loss), spec)


class DetectionTrainer(Trainer):
    """A detector, its images and its state, from `start` or `resume` to the last epoch."""

    monitor = "val_map"

    def __init__(self, config: FitConfig, net: SqueezeDet, spec: ModelSpec, samples: list[Sample]) -> None:
        self.spec, self.samples = spec, samples
        self.val_samples = open_dataset(config.data, [config.val], spec.labels)
        freeze(net, config.frozen)
        self.epoch_sizes = parse_sizes(config.sizes)
        self.view_teacher = ViewTeacher(config.view_teacher, spec.labels) if config.view_teacher else None
        device = distributed.join_processes(config.device)
        self.orders = [
            epoch_order(self.samples, config.balance, config.seed, epoch) for epoch in range(len(self.epoch_sizes))
        ]
        a_step = config.batch * distributed.count()
        super().__init__(config, net, device, [-(-len(order) // a_step) for order in self.orders])
        sizes = {n for size in self.epoch_sizes for n in sizes_around(size, config.multi_scale)}
        self.specs = {n: spec.resized((n, n), net.grid_hw((n, n))) for n in sizes}
        self.losses = {n: config.make_loss(one).to(device) for n, one in self.specs.items()}
        for loss in self.losses.values():
            loss.all_processes = True
        looks = config.watch > 0 and self.is_main_process
        self.watch = ActivationMonitor(self.out, monitored_images(samples, spec, config.watch)) if looks else None

    @classmethod
    def start(cls, config: FitConfig) -> DetectionTrainer:
        refuse_old_run(Path(config.out))
        torch.manual_seed(config.seed)
        labels = parse_labels(config.labels)
        samples = load_samples(config, labels)
        net = SqueezeDet(config.net_config, config.shapes, len(labels))
        spec = new_spec(config, net, labels, samples)
        begun = initialise(net, config.init) if config.init else None
        fit = cls(config, net, spec, samples)
        if begun:
            fit.say(begun.line)
        if begun and begun.idle_norms:
            recalibrate_batchnorm(fit.net, fit.calibration_images())
            fit.average = ModelEma(fit.net, config.ema)
        if fit.is_main_process:
            begin_run(fit.out, config)
        return fit

    @classmethod
    def resume(cls, out: str | Path) -> DetectionTrainer:
        saved = load_checkpoint(Path(out) / "last.pt")
        config = FitConfig.from_saved(saved["config"] | {"out": str(out)})
        spec = ModelSpec.from_json(saved["spec"])
        net = SqueezeDet(NetConfig(**saved["net"]), spec.anchors_per_cell, spec.num_classes)
        fit = cls(config, net, spec, load_samples(config, spec.labels))
        fit.restore(saved)
        return fit

    def calibration_images(self) -> Iterable[torch.Tensor]:
        """Images for `recalibrate_batchnorm`: those of the first steps."""
        config = self.config
        data = DetectionData(self.samples, self.spec, config.augment, config.seed, epoch=0)
        order = self.orders[0][: CALIBRATION_STEPS * config.batch]
        for batch in make_loader(data, order, config.batch, config.workers):
            yield batch.images.to(self.device)

    @property
    def title(self) -> str:
        return f"{super().title} at {self.epoch_sizes[self.epoch]} px"

    def _keys(self) -> list[tuple[int, int, int]]:
        """This process's part of what is left of the epoch: (image, draw, input size)."""
        config, epoch = self.config, self.epoch
        share = distributed.rank_slice(
            self.orders[epoch], config.batch, self.step, distributed.rank(), distributed.count()
        )
        size = self.epoch_sizes[epoch]
        return [
            (*key, size_of_step(size, config.multi_scale, config.seed, epoch, self.step + i // config.batch))
            for i, key in enumerate(share)
        ]

    @property
    def _augment(self) -> AugmentConfig:
        """Of the current epoch."""
        config = self.config
        plain = self.epoch >= len(self.epoch_sizes) - config.plain_epochs
        return replace(config.augment, mosaic=0.0) if plain else config.augment

    def _batches(self) -> Iterable[Batch]:
        config = self.config
        by_size = {
            size: DetectionData(self.samples, spec, self._augment, config.seed, self.epoch, self.view_teacher)
            for size, spec in self.specs.items()
        }
        for batch in make_loader(SizedData(by_size), self._keys(), config.batch, config.workers):
            yield batch.to(self.device)

    def _image_files(self) -> list[str]:
        return [str(self.samples[i].image_path) for i, _, _ in self._keys()[: self.config.batch]]

    def compute_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        images = batch.images.contiguous(memory_format=torch.channels_last)
        return self.losses[images.shape[3]](self.net.split(self.net(images).float()), batch)

    @torch.no_grad()
    def _validate(self, averaged: nn.Module) -> dict[str, float]:
        """At the model's own size: the parts of the loss, a mean over the images, and the mAP."""
        averaged.eval()
        loss = self.config.make_loss(self.spec).to(self.device)
        data = DetectionData(self.val_samples, self.spec, None, self.config.seed, self.epoch)
        order = [(i, 0) for i in range(len(data))]
        sums: dict[str, float] = {}
        for batch in make_loader(data, order, self.config.batch, self.config.workers):
            batch = batch.to(self.device)
            parts = loss(averaged.split(averaged(batch.images.contiguous(memory_format=torch.channels_last))), batch)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.images)
        detector = TorchDetector(averaged, self.spec, EVAL_SCORE_THRESHOLD)
        val_map = mean_ap(evaluate(detector, self.val_samples, self.spec.labels))
        self.say(f"epoch {self.epoch + 1}: val mAP {100 * val_map:.1f}")
        row = {"size": self.epoch_sizes[self.epoch]}
        return row | {f"val_{name}": value / len(data) for name, value in sums.items()} | {"val_map": val_map}

    def _inspect(self) -> None:
        if self.watch:
            for line in self.watch.measure(self.net, self.epoch + 1):
                self.say(f"epoch {self.epoch + 1}: {line}")

    def _draw(self) -> None:
        if self.watch and self.watch.history.epochs:
            draw_history(self.out, self.watch.history)
            draw_weights(self.out, self.net)

    def _write_checkpoint(self, path: Path, state: dict) -> None:
        save_checkpoint(path, self.net, self.spec, self.average.values, state)


def train_detector(config: FitConfig) -> RunResult:
    """Trains a detector as `python -m train fit` does.

    >>> result = train_detector(FitConfig(data="mine", labels="cat,dog", out="runs/mine"))  # doctest: +SKIP
    >>> result.best, max(row["val_map"] for row in result.history)  # doctest: +SKIP
    (PosixPath('runs/mine/best.pt'), 0.63)

    Raises:
        TrainError: the data or an option is wrong, said before anything is written.
        SystemExit: Ctrl-C (130); `resume_detector` goes on.
    """
    if not config.data:
        raise TrainError("fit needs --data, a data set")
    with distributed.process_group():
        return DetectionTrainer.start(config).run()


def resume_detector(folder: str | Path) -> RunResult:
    """Goes on with the run in a folder, to the same weights as if it had never stopped (bit for bit on a CPU)."""
    with distributed.process_group():
        return DetectionTrainer.resume(folder).run()


def load_samples(config: FitConfig, labels: tuple[str, ...]) -> list[Sample]:
    """The images to train on. Raises TrainError also where they show no object of any class."""
    samples = open_dataset(config.data, config.lists.split(","), labels, config.annotations or None)
    if not any(len(sample.boxes_xyxy) for sample in samples):
        raise TrainError(f"{config.data}: no object called {' or '.join(labels)}; are these (--labels) its names?")
    return samples


def trained_config(checkpoint: str) -> dict:
    """How the net was trained: the options of `python -m train fit`, the default ones for an exported model."""
    if Path(checkpoint).suffix in SUFFIXES:
        return asdict(FitConfig())
    trained = load_checkpoint(checkpoint).get("config")
    if trained is None:
        raise TrainError(f"{checkpoint}: does not say how it was trained; expected one of `python -m train fit`")
    return trained


def new_spec(config: FitConfig, net: SqueezeDet, labels: tuple[str, ...], samples: list[Sample]) -> ModelSpec:
    """The geometry of a new net: anchors from the boxes of the images, at the last of the input sizes."""
    size = parse_sizes(config.sizes)[-1]
    anchors_wh = find_anchors(samples, size, config.shapes, config.seed).round(2).tolist()
    grid_hw = net.grid_hw((size, size))
    return ModelSpec(labels, (size, size), grid_hw, tuple(map(tuple, anchors_wh)), grid_inset=net.grid_inset)


def parse_sizes(text: str) -> list[int]:
    """The input size of each epoch: "256:2,320:1" to [256, 256, 320]."""
    try:
        pairs = [(int(size), int(epochs)) for size, epochs in (phase.split(":") for phase in text.split(","))]
        valid = all(size >= 32 and epochs >= 1 for size, epochs in pairs)
    except ValueError:
        valid = False
    if not valid:
        raise TrainError(f"--sizes {text}: expected SIZE:EPOCHS[,SIZE:EPOCHS...], sizes of at least 32")
    return [size for size, epochs in pairs for _ in range(epochs)]
