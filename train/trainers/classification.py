"""Training a SqueezeNet classifier on a folder in ImageNet's layout, in the loop of `engine.trainer`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sqdet_cv.spec.classifier_spec import ClassifierSpec

from ..checkpoints.classifier import center_crop_spec
from ..checkpoints.initialize import initialise
from ..checkpoints.native import CLASSIFIER_FORMAT, classifier_from_checkpoint, load_checkpoint, save_classifier
from ..common import distributed
from ..common.device import find_device
from ..common.errors import TrainError
from ..common.options import from_dict, from_options, from_yaml, option, require_at_least
from ..data.image_folder import ClassBatch, ClassifyData, CropConfig, ImageFolder, image_order, read_image_folder
from ..data.loader import ordered_batches
from ..engine.config import LoopConfig
from ..engine.run_folder import RunResult, create_run_folder, require_new_run
from ..engine.trainer import Trainer
from ..evaluation.classification import Accuracy, measure
from ..models.squeezenet import LAYOUTS, SqueezeNet, initialize_weights

SMALLEST = 32  # pixels; conv1 and three pools leave one cell


@dataclass(frozen=True)
class ClassifyConfig(LoopConfig):
    """A whole run; saved in its checkpoints and in args.yaml of its folder."""

    out: str = option("runs/classify", "run folder; must not hold a run already")
    data: str | None = option(None, "folder with train/CLASS/*.jpg and val/CLASS/*.jpg", unset=("",))
    val: str = option("val", "folder in --data to choose the best epoch by")
    version: str = option("1.1", f"SqueezeNet version: {' or '.join(LAYOUTS)}")
    size: int = option(227, "input size in pixels")
    epochs: int = option(10, "epochs of training")
    batch: int = option(64, "images a step, in each process")
    backbone_lr: float = option(1.0, "learning rate of the layers before conv10, as a share of conv10's")
    warmup: int = option(100, "steps of linear warm-up")
    clip: float = option(1.0, "largest norm of the gradient; inf: any")
    label_smoothing: float = option(0.1, "share of the target that all classes get alike")
    dropout: float = option(0.5, "before conv10")
    augment: CropConfig = field(default_factory=CropConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, {"size": SMALLEST, "epochs": 1})
        for name in ("label_smoothing", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected at least 0, below 1")
        if self.version not in LAYOUTS:
            raise TrainError(f"--version {self.version}: there are {', '.join(LAYOUTS)}")

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> ClassifyConfig:
        """From a command line with `add_options` and --config, a file whose options the given ones replace."""
        return from_options(args, cls, base=from_yaml(args.config, cls) if args.config else None)

    def folders(self, labels: tuple[str, ...] | None = None) -> tuple[ImageFolder, ImageFolder]:
        """The images to train on and those to choose the best epoch by."""
        data = _data_folder(self)
        train = read_image_folder(data / "train", labels)
        return train, read_image_folder(data / self.val, train.labels)


def train_classifier(config: ClassifyConfig) -> RunResult:
    """Trains a new classifier, from the first step to the last epoch.

    Raises:
        TrainError: bad input, or a loss that is not finite.
        SystemExit: 130, after Ctrl-C; `resume_classifier` goes on.
    """
    with distributed.process_group():
        return ClassificationTrainer.start(config).run()


def resume_classifier(folder: str | Path) -> RunResult:
    """Goes on with the run in a folder, by its own options. Raises as `train_classifier`."""
    with distributed.process_group():
        return ClassificationTrainer.resume(folder).run()


def classifier_accuracy(checkpoint: str | Path, config: ClassifyConfig, progress: bool = False) -> Accuracy:
    """How often a checkpoint of `classify` is right about the images of `config.data`/`config.val`."""
    net, _, spec = classifier_from_checkpoint(checkpoint)
    folder = read_image_folder(_data_folder(config) / config.val, spec.labels)
    net.to(find_device(config.device), memory_format=torch.channels_last)
    return measure(net, folder, spec, config.batch, config.workers, progress)


def _data_folder(config: ClassifyConfig) -> Path:
    if not config.data:
        raise TrainError("classify needs --data, a folder with train/CLASS/*.jpg and val/CLASS/*.jpg")
    return Path(config.data)


class ClassificationTrainer(Trainer):
    """A classifier, its images and its state, from `start` or `resume` to the last epoch."""

    monitor = "val_top1"

    def __init__(
        self, config: ClassifyConfig, net: SqueezeNet, spec: ClassifierSpec, folders: tuple[ImageFolder, ImageFolder]
    ) -> None:
        self.spec = spec
        self.folder, self.val_folder = folders
        device = distributed.join_processes(config.device)
        steps = -(-len(self.folder.paths) // (config.batch * distributed.count()))
        super().__init__(config, net, device, [steps] * config.epochs)

    @classmethod
    def start(cls, config: ClassifyConfig) -> ClassificationTrainer:
        folders = config.folders()
        require_new_run(Path(config.out))
        labels = folders[0].labels
        if len(labels) < 2:
            raise TrainError(f"{config.data}/train: one class, {labels[0]!r}; expected two or more")
        torch.manual_seed(config.seed)
        net = SqueezeNet(config.version, len(labels), config.dropout)
        initialize_weights(net)
        initialised = initialise(net, config.init) if config.init else None
        trainer = cls(config, net, center_crop_spec(labels, (config.size, config.size)), folders)
        if initialised:
            trainer.say(initialised.line)
        if trainer.is_main_process:
            create_run_folder(trainer.out, config)
        return trainer

    @classmethod
    def resume(cls, out: str | Path) -> ClassificationTrainer:
        """From last.pt (`restore`). Raises TrainError if the number of training images has changed."""
        saved = load_checkpoint(Path(out) / "last.pt", (CLASSIFIER_FORMAT,))
        config = from_dict(saved["config"] | {"out": str(out)}, ClassifyConfig, f"{out}/last.pt")
        spec = ClassifierSpec.from_json(saved["spec"])
        folders = config.folders(spec.labels)
        if len(folders[0].paths) != saved["pictures"]:
            raise TrainError(
                f"{config.data}/train: {len(folders[0].paths)} images; the run was started with {saved['pictures']}"
            )
        trainer = cls(config, SqueezeNet(config.version, spec.num_classes, config.dropout), spec, folders)
        trainer.restore(saved)
        return trainer

    def _keys(self) -> list[int]:
        """This process's part of the rest of the epoch."""
        order = image_order(len(self.folder.paths), self.config.seed, self.epoch)
        return distributed.rank_slice(order, self.config.batch, self.step, distributed.rank(), distributed.count())

    def _batches(self) -> Iterable[ClassBatch]:
        config = self.config
        data = ClassifyData(self.folder, self.spec, config.augment, config.seed, self.epoch)
        for images, class_ids in ordered_batches(data, self._keys(), config.batch, config.workers):
            yield ClassBatch(images, class_ids)

    def _image_files(self) -> list[str]:
        return [str(self.folder.paths[i]) for i in self._keys()[: self.config.batch]]

    def compute_losses(self, batch: ClassBatch) -> dict[str, torch.Tensor]:
        logits = self.net(batch.images.contiguous(memory_format=torch.channels_last)).float()
        smoothing = self.config.label_smoothing
        loss = cross_entropy(logits, batch.class_ids, label_smoothing=smoothing, reduction="sum")
        images = distributed.total(torch.tensor(float(len(logits)), device=self.device)) / distributed.count()
        return {"loss": loss / images}

    def _validate(self, averaged: nn.Module) -> dict[str, float]:
        found = measure(averaged, self.val_folder, self.spec, self.config.batch, self.config.workers)
        self.say(f"epoch {self.epoch + 1}: {found}")
        return {"val_loss": found.loss, "val_top1": found.top1, "val_top5": found.top5}

    def _write_checkpoint(self, path: Path, state: dict) -> None:
        state = state | {"pictures": len(self.folder.paths)}
        save_classifier(path, self.net, self.config.version, self.spec, self.ema.values, state)
