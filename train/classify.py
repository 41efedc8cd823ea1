"""`python -m train classify`: trains a SqueezeNet classifier on a folder in ImageNet's layout."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from sqdet_cv.classifier_spec import ClassifierSpec

from .checkpoint import CLASSIFIER_FORMAT, classifier_from_checkpoint, load_checkpoint, save_classifier
from .classifier_accuracy import measure
from .classifier_weights import center_crop_spec
from .config import add_options, from_dict, from_options, option, require_at_least
from .data.image_folder import ClassifyData, CropConfig, ImageFolder, picture_order, read_image_folder
from .data.loader import ordered_batches
from .device import find_device
from .errors import TrainError
from .models.squeezenet import LAYOUTS, SqueezeNet, draw_weights
from .optim import WeightAverage, lr_factor, make_optimizer
from .run_folder import StopRequest, begin_run, refuse_old_run, stop_on_interrupt, write_results
from .schedules import COSINE, SCHEDULES, find_solver
from .weights import initialise

SMALLEST = 32  # pixels; conv1 and three pools leave one cell


@dataclass(frozen=True)
class ClassifyConfig:
    """A whole run; saved in its checkpoints and in config.json of its folder."""

    out: str = option("runs/classify", "run folder; must not hold a run already")
    data: str = option("", "folder with train/CLASS/*.jpg and val/CLASS/*.jpg")
    val: str = option("val", "folder in --data to choose the best epoch by")
    version: str = option("1.1", f"SqueezeNet version: {' or '.join(LAYOUTS)}")
    init: str = option("", "start from an ImageNet archive (.npz), a checkpoint (.pt) or an exported .onnx")
    size: int = option(227, "input size in pixels")
    epochs: int = option(10, "times through the pictures")
    batch: int = option(64, "pictures a step")
    schedule: str = option(COSINE, f"learning rate and SGD: {', '.join(SCHEDULES)} (train/schedules.py)")
    scale_schedule: bool = option(False, "run through all of a solver file's iterations in the steps of this run")
    lr: float = option(0.0, "highest learning rate; 0: the solver file's own, 0.01 for the cosine")
    backbone_lr: float = option(1.0, "cosine: learning rate of the layers before conv10, as a share")
    weight_decay: float = option(5e-4, "cosine: on weights, not on biases")
    warmup: int = option(100, "cosine: steps of linear warm-up")
    clip: float = option(1.0, "largest norm of the gradient; inf: any, as in the solver files")
    label_smoothing: float = option(0.1, "share of the target that is spread over all classes")
    dropout: float = option(0.5, "before conv10")
    ema: float = option(0.999, "decay of the weight average")
    seed: int = option(0, "of everything random")
    workers: int = option(1, "processes that load pictures; 0: none")
    save_steps: int = option(200, "steps between checkpoints within an epoch")
    device: str = option("auto", "cpu, cuda, or auto")
    augment: CropConfig = field(default_factory=CropConfig)

    def __post_init__(self) -> None:
        least = {"size": SMALLEST, "epochs": 1, "batch": 1, "save_steps": 1, "workers": 0, "seed": 0, "warmup": 0}
        require_at_least(self, least | {"lr": 0})
        for name in ("label_smoothing", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected at least 0, below 1")
        if self.version not in LAYOUTS:
            raise TrainError(f"--version {self.version}: there are {', '.join(LAYOUTS)}")
        find_solver(self.schedule)
        find_device(self.device)

    def folders(self, labels: tuple[str, ...] | None = None) -> tuple[ImageFolder, ImageFolder]:
        """The pictures to train on and those to choose the best epoch by."""
        train = read_image_folder(Path(self.data) / "train", labels)
        return train, read_image_folder(Path(self.data) / self.val, train.labels)


class Classify:
    """One run: a net, its pictures and its state, from `start` or `resume` to the last epoch."""

    def __init__(
        self, config: ClassifyConfig, net: SqueezeNet, spec: ClassifierSpec, folders: tuple[ImageFolder, ImageFolder]
    ) -> None:
        self.config, self.spec, self.out = config, spec, Path(config.out)
        self.folder, self.val_folder = folders
        self.device = find_device(config.device)
        # channels_last is faster than the default on this net's convolutions on a CPU
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self.steps = -(-len(self.folder.paths) // config.batch)  # in an epoch
        self.total_steps = self.steps * config.epochs
        self.solver = find_solver(config.schedule)
        if self.solver is None:
            self.optimizer = make_optimizer(self.net, config.lr or 0.01, config.backbone_lr, config.weight_decay)
        else:
            if self.total_steps > self.solver.max_iter and not config.scale_schedule:
                raise TrainError(
                    f"--epochs {config.epochs}: {self.total_steps} steps; --schedule {config.schedule} ends after "
                    f"{self.solver.max_iter} (or give --scale-schedule)"
                )
            self.optimizer = self.solver.make_optimizer(self.net, config.lr or self.solver.base_lr)
        self.average = WeightAverage(self.net, config.ema)
        self.epoch, self.step = 0, 0  # the next to do
        self.history: list[dict] = []
        self.loss_sum = 0.0  # of the epoch so far

    @classmethod
    def start(cls, config: ClassifyConfig) -> Classify:
        refuse_old_run(Path(config.out))
        folders = config.folders()
        labels = folders[0].labels
        if len(labels) < 2:
            raise TrainError(f"{config.data}/train: one class, {labels[0]!r}; expected two or more")
        torch.manual_seed(config.seed)
        net = SqueezeNet(config.version, len(labels), config.dropout)
        draw_weights(net)
        if config.init:
            print(initialise(net, config.init))
        run = cls(config, net, center_crop_spec(labels, (config.size, config.size)), folders)
        begin_run(run.out, config)
        return run

    @classmethod
    def resume(cls, out: str | Path) -> Classify:
        """From last.pt, so that the run ends as if it had not been stopped: on a CPU, with the same weights, bit for
        bit. (On CUDA neither the order of sums nor the dropout is reproduced.) Raises TrainError if the number of
        training pictures has changed."""
        saved = load_checkpoint(Path(out) / "last.pt", (CLASSIFIER_FORMAT,))
        config = from_dict(saved["config"] | {"out": str(out)}, ClassifyConfig)
        spec = ClassifierSpec.from_json(saved["spec"])
        folders = config.folders(spec.labels)
        if len(folders[0].paths) != saved["pictures"]:
            raise TrainError(
                f"{config.data}/train: {len(folders[0].paths)} pictures; the run began with {saved['pictures']}"
            )
        run = cls(config, SqueezeNet(config.version, spec.num_classes, config.dropout), spec, folders)
        run.net.load_state_dict(saved["model"])
        run.optimizer.load_state_dict(saved["optimizer"])
        run.average.values = {name: value.to(run.device) for name, value in saved["ema"].items()}
        run.average.updates = saved["ema_updates"]
        run.epoch, run.step, run.history, run.loss_sum = (
            saved[name] for name in ("epoch", "step", "history", "loss_sum")
        )
        torch.set_rng_state(saved["rng"])
        return run

    def run(self) -> None:
        """Trains to the end, or until Ctrl-C, after which `resume` goes on."""
        with stop_on_interrupt() as stop:
            while self.epoch < self.config.epochs:
                self._train_epoch(stop)
                if stop.asked:
                    self._save("last.pt")
                    print(f"stopped at epoch {self.epoch + 1}, step {self.step}; go on with --resume {self.out}")
                    raise SystemExit(130)
                self._finish_epoch()

    def _train_epoch(self, stop: StopRequest) -> None:
        """The rest of the current epoch, or as much of it as there is before a stop."""
        config = self.config
        data = ClassifyData(self.folder, self.spec, config.augment, config.seed, self.epoch)
        order = picture_order(len(data), config.seed, self.epoch)[self.step * config.batch :]
        self.net.train()
        bar = tqdm(
            ordered_batches(data, order, config.batch, config.workers),
            desc=f"epoch {self.epoch + 1}/{config.epochs}",
            unit="step",
            initial=self.step,
            total=self.steps,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        with bar:
            for images, class_ids in bar:
                self.loss_sum += self._train_step(images.to(self.device), class_ids.to(self.device))
                self.step += 1
                bar.set_postfix(loss=f"{self.loss_sum / self.step:.3f}", refresh=False)
                if stop.asked:
                    return
                if self.step % config.save_steps == 0:
                    self._save("last.pt")

    def _train_step(self, images: torch.Tensor, class_ids: torch.Tensor) -> float:
        done = self.epoch * self.steps + self.step
        factor = self.lr_factor(done)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        logits = self.net(images.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(logits, class_ids, label_smoothing=self.config.label_smoothing)
        if not torch.isfinite(loss):
            raise TrainError(
                f"epoch {self.epoch + 1}, step {self.step}: the loss is not finite ({loss.item()}); lower --lr"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        self.optimizer.step()
        self.average.update(self.net)
        return loss.item()

    def lr_factor(self, step: int) -> float:
        """Learning rate of a step of the run, in [0, total_steps), as a share of the highest."""
        if self.solver is None:
            return lr_factor(step, self.total_steps, self.config.warmup)
        if self.config.scale_schedule:
            step = step * self.solver.max_iter // self.total_steps
        return self.solver.lr_factor(step)

    def _finish_epoch(self) -> None:
        averaged = copy.deepcopy(self.net)
        averaged.load_state_dict(self.average.values)
        found = measure(averaged, self.val_folder, self.spec, self.config.batch, self.config.workers)
        best_before = max((row["val_top1"] for row in self.history), default=-1.0)
        row = {"epoch": self.epoch + 1, "loss": self.loss_sum / self.step}
        self.history.append(row | {"val_loss": found.loss, "val_top1": found.top1, "val_top5": found.top5})
        print(f"epoch {self.epoch + 1}: {found}", flush=True)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        if found.top1 > best_before:
            self._save("best.pt")
        write_results(self.out, self.history)
        # Last: a run killed before this line does the end of the epoch again, one killed after it has all files.
        self._save("last.pt")

    def _save(self, name: str) -> None:
        state = {
            "config": dataclasses.asdict(self.config),
            "pictures": len(self.folder.paths),
            "optimizer": self.optimizer.state_dict(),
            "ema_updates": self.average.updates,
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "loss_sum": self.loss_sum,
            "rng": torch.get_rng_state(),
        }
        save_classifier(self.out / name, self.net, self.config.version, self.spec, self.average.values, state)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    todo = parser.add_mutually_exclusive_group()
    todo.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; its own options apply")
    todo.add_argument("--eval", metavar="CHECKPOINT", help="no training: top-1 and top-5 on the --val folder")
    add_options(parser, ClassifyConfig)


def run(args: argparse.Namespace) -> None:
    if args.resume:
        Classify.resume(args.resume).run()
        return
    config = from_options(args, ClassifyConfig)
    if not config.data:
        raise TrainError("classify needs --data, a folder with train/CLASS/*.jpg and val/CLASS/*.jpg")
    if args.eval:
        net, _, spec = classifier_from_checkpoint(args.eval)
        folder = read_image_folder(Path(config.data) / config.val, spec.labels)
        net.to(find_device(config.device), memory_format=torch.channels_last)
        print(measure(net, folder, spec, config.batch, config.workers, progress=True))
    else:
        Classify.start(config).run()
