"""Training a detector: the net, its data and its loss, in the loop of `engine.trainer`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec

from ..checkpoints.initialize import initialise
from ..checkpoints.native import load_checkpoint, save_checkpoint
from ..common import distributed
from ..common.errors import TrainError
from ..common.labels import parse_labels
from ..data.anchors import find_anchors
from ..data.batch import Batch
from ..data.cache import LARGER, ImageCache
from ..data.formats.open_dataset import load_dataset
from ..data.loader import DetectionData, epoch_order, make_loader
from ..data.multi_scale import SizedData, size_of_step, sizes_around
from ..data.sample import Sample
from ..detectors.pytorch import TorchDetector
from ..diagnosis.monitor import ActivationMonitor, monitored_images
from ..diagnosis.plots import draw_history, draw_weights
from ..engine.optim import ModelEma, freeze
from ..engine.run_folder import RunResult, create_run_folder, require_new_run
from ..engine.trainer import Trainer
from ..evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from ..losses import Loss
from ..models import AnyNet, config_from_dict
from ..models.batchnorm import recalibrate_batchnorm
from ..models.engines import use_fast_stem
from ..teachers.dense import DenseTeacher
from .detection_config import FitConfig

CALIBRATION_STEPS = 16  # batches for the moments of BatchNorm, where --init has none


def train_detector(config: FitConfig) -> RunResult:
    """Trains a new detector, from the first step to the last epoch.

    Raises:
        TrainError: bad input, or a loss that is not finite.
        SystemExit: 130, after Ctrl-C; `resume_detector` goes on.
    """
    with distributed.process_group():
        return DetectionTrainer.start(config).run()


def resume_detector(folder: str | Path) -> RunResult:
    """Goes on with the run in a folder, by its own options. Raises as `train_detector`."""
    with distributed.process_group():
        return DetectionTrainer.resume(folder).run()


class DetectionTrainer(Trainer):
    """A detector, its images and its state, from `start` or `resume` to the last epoch."""

    monitor = "val_map"

    def __init__(self, config: FitConfig, net: AnyNet, spec: ModelSpec, samples: list[Sample]) -> None:
        self.spec, self.samples = spec, samples
        self.val_samples = load_dataset(config.data, [config.val], spec.labels)
        freeze(net, config.frozen)
        self.epoch_sizes = config.epoch_sizes
        device = distributed.join_processes(config.device)
        self.orders = [
            epoch_order(self.samples, config.balance, config.seed, epoch) for epoch in range(len(self.epoch_sizes))
        ]
        step_images = config.batch * distributed.count()
        self.step_images = step_images
        steps = [-(-len(order) // step_images) for order in self.orders]
        super().__init__(config, net, device, steps, config.minutes)
        if self.clock and distributed.count() > 1:
            raise TrainError("--minutes: for one process; with torchrun give --epochs")
        sizes = {n for size in self.epoch_sizes for n in sizes_around(size, config.multi_scale)}
        self.specs = {n: spec.resized((n, n), net.grids_hw((n, n))) for n in sizes}
        self.losses = {n: self._make_loss(one) for n, one in self.specs.items()}
        for loss in self.losses.values():
            loss.all_processes = True
        self.teacher = DenseTeacher(config.teacher, spec.labels) if config.teacher else None
        if self.teacher:
            for one in (*self.specs.values(), spec):
                self.teacher.prepare(one, device)
        self.cache = None
        if config.cache:
            paths = [sample.image_path for sample in samples]
            self.cache = ImageCache(paths, LARGER * max(self.specs), config.cache)
        use_fast_stem(self.net, config.frozen.split(","))
        self.watch = None
        if config.watch and self.is_main_process:
            self.watch = ActivationMonitor(self.out, monitored_images(samples, spec, config.watch))

    @classmethod
    def start(cls, config: FitConfig) -> DetectionTrainer:
        if not config.data:
            raise TrainError("fit needs --data, a data set")
        require_new_run(Path(config.out))
        torch.manual_seed(config.seed)
        labels = parse_labels(config.labels)
        samples = load_samples(config, labels)
        net = config.net_config.build(config.anchors_per_cell, len(labels))
        spec = new_spec(config, net, labels, samples)
        initialised = initialise(net, config.init, labels) if config.init else None
        trainer = cls(config, net, spec, samples)
        if initialised:
            trainer.say(initialised.line)
        if initialised and initialised.needs_recalibration:
            recalibrate_batchnorm(trainer.net, trainer.calibration_images())
            trainer.ema = ModelEma(trainer.net, config.ema)
        if trainer.is_main_process:
            create_run_folder(trainer.out, config)
        return trainer

    @classmethod
    def resume(cls, out: str | Path) -> DetectionTrainer:
        saved = load_checkpoint(Path(out) / "last.pt")
        config = FitConfig.from_saved(saved["config"] | {"out": str(out)})
        spec = ModelSpec.from_json(saved["spec"])
        net = config_from_dict(saved["net"]).build(spec.grids[0].anchors_per_cell, spec.num_classes)
        trainer = cls(config, net, spec, load_samples(config, spec.labels))
        trainer.restore(saved)
        return trainer

    def calibration_images(self) -> Iterable[torch.Tensor]:
        """The images of the first steps, for `recalibrate_batchnorm`."""
        config = self.config
        data = DetectionData(self.samples, self.spec, config.augment, config.seed, epoch=0)
        order = self.orders[0][: CALIBRATION_STEPS * config.batch]
        for batch in make_loader(data, order, config.batch, config.workers):
            yield batch.to(self.device).images

    @property
    def title(self) -> str:
        return f"{super().title} at {self.epoch_sizes[self.epoch]} px"

    def _keys(self) -> list[tuple[int, int, int]]:
        """This process's part of the rest of the epoch: (image, draw, input size)."""
        config, epoch = self.config, self.epoch
        mine = distributed.rank_slice(
            self.orders[epoch], config.batch, self.step, distributed.rank(), distributed.count()
        )
        size = self.epoch_sizes[epoch]
        return [
            (*key, size_of_step(size, config.multi_scale, config.seed, epoch, self.step + i // config.batch))
            for i, key in enumerate(mine)
        ]

    def _add_epoch(self) -> None:
        epoch = len(self.steps)
        self.orders.append(epoch_order(self.samples, self.config.balance, self.config.seed, epoch))
        self.epoch_sizes.append(self.epoch_sizes[-1])
        self.steps.append(-(-len(self.orders[-1]) // self.step_images))

    @property
    def _is_plain(self) -> bool:
        """Whether mosaics are over."""
        if self.clock:
            return self.clock.progress >= 1 - self.config.plain_part
        return self.epoch >= len(self.epoch_sizes) - self.config.plain_epochs

    def _batches(self) -> Iterable[Batch]:
        is_plain = self._is_plain
        for batch in self._load(is_plain):
            yield batch
            if self._is_plain != is_plain:  # in mid-epoch: `step` counts what was shown
                yield from self._load(True)
                return

    def _load(self, is_plain: bool) -> Iterable[Batch]:
        """The rest of the epoch."""
        config = self.config
        augment = replace(config.augment, mosaic=0.0) if is_plain else config.augment
        by_size = {
            size: DetectionData(
                self.samples,
                spec,
                augment,
                config.seed,
                self.epoch,
                with_targets=self.losses[size].needs_targets,
                cache=self.cache,
            )
            for size, spec in self.specs.items()
        }
        return make_loader(SizedData(by_size), self._keys(), config.batch, config.workers)

    def _image_files(self) -> list[str]:
        return [str(self.samples[i].image_path) for i, _, _ in self._keys()[: self.config.batch]]

    def compute_losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self._compare(self.net, self.losses[batch.pixels_bgr.shape[2]], batch)

    def _compare(self, net: nn.Module, loss: Loss, batch: Batch) -> dict[str, torch.Tensor]:
        taught = (self.teacher(batch),) if self.teacher else ()
        return loss(net.split(net(batch.images)), batch, *taught)

    def _make_loss(self, spec: ModelSpec) -> Loss:
        loss = self.config.make_loss(spec)
        shown = [self.samples[i].class_ids[~self.samples[i].ignore] for i, _ in self.orders[0]]
        loss.weigh_classes(np.bincount(np.concatenate(shown), minlength=spec.num_classes).tolist())
        return loss.to(self.device)

    @torch.no_grad()
    def _validate(self, averaged: nn.Module) -> dict[str, float]:
        """At the model's own size: the parts of the loss, a mean over the images, and the mAP."""
        averaged.eval()
        loss = self._make_loss(self.spec)
        targets = loss.needs_targets
        data = DetectionData(self.val_samples, self.spec, None, self.config.seed, self.epoch, with_targets=targets)
        order = [(i, 0) for i in range(len(data))]
        sums: dict[str, float] = {}
        for batch in make_loader(data, order, self.config.batch, self.config.workers):
            batch = batch.to(self.device)
            parts = self._compare(averaged, loss, batch)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch)
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
        save_checkpoint(path, self.net, self.spec, self.ema.values, state)


def load_samples(config: FitConfig, labels: tuple[str, ...]) -> list[Sample]:
    """The images to train on. Raises TrainError also where they show no object of any class."""
    samples = load_dataset(config.data, config.splits.split(","), labels, config.annotations or None)
    if not any(len(sample.boxes_xyxy) for sample in samples):
        raise TrainError(f"{config.data}: no object called {' or '.join(labels)}; are these (--labels) its names?")
    return samples


def new_spec(config: FitConfig, net: AnyNet, labels: tuple[str, ...], samples: list[Sample]) -> ModelSpec:
    """The geometry of a new net at the last of the input sizes. Its anchors come from the boxes of the images, unless
    it has its own."""
    size = config.epoch_sizes[-1]
    anchors_wh = None
    if net.finds_anchors:
        found = find_anchors(samples, size, config.anchors_per_cell, config.seed).round(2)
        anchors_wh = tuple(map(tuple, found.tolist()))
    return ModelSpec(labels, (size, size), net.make_grids((size, size), anchors_wh))
