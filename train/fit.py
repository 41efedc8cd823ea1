"""`python -m train fit`: the training loop."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from sqdet_cv.spec import ModelSpec

from .anchors import find_anchors
from .checkpoint import load_checkpoint, save_checkpoint
from .config import add_options, from_dict, from_options, option, require_at_least
from .data.augment import AugmentConfig
from .data.loader import Batch, DetectionData, epoch_order, make_loader
from .data.sample import VocSample
from .data.source import open_dataset
from .detectors import TorchDetector
from .device import find_device
from .errors import TrainError
from .evaluation import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from .labels import HELP as LABELS_HELP
from .labels import parse_labels
from .losses import LOSSES, GsocConfig, Loss, OursConfig, PaperConfig
from .models.squeezedet import NETS, NetConfig, SqueezeDet
from .norms import settle_norms
from .optim import WeightAverage, freeze, lr_factor, make_optimizer
from .run_folder import StopRequest, begin_run, refuse_old_run, stop_on_interrupt, write_results
from .weights import initialise

SETTLE_STEPS = 16  # batches that the moments of BatchNorm are taken from, when --init is an exported file


@dataclass(frozen=True)
class FitConfig:
    """A whole run; saved in its checkpoints and in config.json of its folder."""

    out: str = option("runs/fit", "run folder; must not hold a run already")
    data: str = option("", "data set; its format is found out (VOC, COCO, YOLO, plain folder)")
    lists: str = option("train", "comma-separated lists to train on")
    val: str = option("val", "list to choose the best epoch by")
    annotations: str = option("", "folder of XML files that replace those of the devkit (python -m train label)")
    labels: str = option("", LABELS_HELP)
    net: str = option("sqdet", f"one of {', '.join(NETS)}")
    init: str = option("", "start from an ImageNet archive (.npz), a checkpoint (.pt) or an exported .onnx")
    sizes: str = option("320:20", "input sizes and epochs, SIZE:EPOCHS[,SIZE:EPOCHS...]; the model's own is the last")
    shapes: int = option(9, "anchor shapes per cell, found by k-means on the boxes")
    batch: int = option(16, "photos a step")
    lr: float = option(0.01, "peak learning rate of the head")
    backbone_lr: float = option(0.3, "learning rate of the backbone, as a share of the head's")
    frozen: str = option("conv1,fire2,fire3", "backbone layers that do not learn, comma-separated")
    weight_decay: float = option(5e-4, "on weights, not on biases and norms")
    warmup: int = option(300, "steps of linear warm-up")
    clip: float = option(5.0, "largest norm of the gradient")
    ema: float = option(0.999, "decay of the weight average")
    balance: float = option(0.1, "rare classes are sampled as if they were in this share of the photos; 0: off")
    seed: int = option(0, "of everything random")
    workers: int = option(1, "processes that load photos; 0: none")
    save_steps: int = option(200, "steps between checkpoints within an epoch")
    device: str = option("auto", "cpu, cuda, or auto")
    loss: str = option("ours", f"one of {', '.join(LOSSES)}; its own options are --NAME.*")
    ours: OursConfig = field(default_factory=OursConfig)
    gsoc: GsocConfig = field(default_factory=GsocConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        least = {"shapes": 1, "batch": 1, "save_steps": 1, "workers": 0, "seed": 0, "warmup": 0}
        require_at_least(self, least)
        find_device(self.device)
        if self.loss not in LOSSES:
            raise TrainError(f"--loss {self.loss}: there are {', '.join(LOSSES)}")
        for name, (_, config_class, _) in LOSSES.items():
            if name != self.loss and getattr(self, name) != config_class():
                raise TrainError(f"--{name}.*: has no effect with --loss {self.loss}")

    @classmethod
    def from_saved(cls, values: dict) -> FitConfig:
        """From a checkpoint. Those of runs begun when there was one loss hold the options of `ours` under `loss`."""
        if isinstance(values["loss"], dict):
            values = values | {"loss": "ours", "ours": values["loss"]}
        return from_dict(values, cls)

    def make_loss(self, spec: ModelSpec) -> Loss:
        """The loss that was chosen, for the geometry of one input size."""
        return LOSSES[self.loss][0](getattr(self, self.loss), spec)


class Fit:
    """One run: a net, its data and its state, from `start` or `resume` to the last epoch."""

    def __init__(self, config: FitConfig, net: SqueezeDet, spec: ModelSpec, samples: list[VocSample]) -> None:
        self.config, self.out = config, Path(config.out)
        self.device = find_device(config.device)
        self.samples = samples
        self.val_samples = open_dataset(config.data, [config.val], spec.labels)
        # channels_last is 1.6 times faster than the default on this net's convolutions on a CPU
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self.spec = spec
        freeze(self.net, [name for name in config.frozen.split(",") if name])
        self.optimizer = make_optimizer(self.net, config.lr, config.backbone_lr, config.weight_decay)
        self.average = WeightAverage(self.net, config.ema)
        self.epoch_sizes = parse_sizes(config.sizes)
        self.orders = [
            epoch_order(self.samples, config.balance, config.seed, epoch) for epoch in range(len(self.epoch_sizes))
        ]
        self.steps = [-(-len(order) // config.batch) for order in self.orders]
        self.epoch, self.step = 0, 0  # the next to do
        self.history: list[dict] = []
        self.sums: dict[str, float] = {}  # loss parts of the epoch so far
        self.resumed_by = self.out  # the folder to name to --resume

    @classmethod
    def start(cls, config: FitConfig) -> Fit:
        refuse_old_run(Path(config.out))
        if config.net not in NETS:
            raise TrainError(f"--net {config.net}: there are {', '.join(NETS)}")
        torch.manual_seed(config.seed)
        labels = parse_labels(config.labels)
        samples = load_samples(config, labels)
        size = parse_sizes(config.sizes)[-1]
        net = SqueezeDet(NETS[config.net][0], config.shapes, len(labels))
        spec = ModelSpec(
            labels,
            (size, size),
            net.grid_hw((size, size)),
            tuple(map(tuple, find_anchors(samples, size, config.shapes, config.seed).round(2).tolist())),
            grid_inset=net.grid_inset,
        )
        if config.init:
            print(initialise(net, config.init))
        fit = cls(config, net, spec, samples)
        if Path(config.init).suffix == ".onnx":  # the norms are folded away in it
            data = DetectionData(samples, spec, config.augment, config.seed, epoch=0)
            batches = make_loader(data, fit.orders[0][: SETTLE_STEPS * config.batch], config.batch, config.workers)
            settle_norms(fit.net, (batch.images.to(fit.device) for batch in batches))
            fit.average = WeightAverage(fit.net, config.ema)
        begin_run(fit.out, config)
        return fit

    @classmethod
    def resume(cls, out: str | Path) -> Fit:
        saved = load_checkpoint(Path(out) / "last.pt")
        config = FitConfig.from_saved(saved["config"] | {"out": str(out)})
        spec = ModelSpec.from_json(saved["spec"])
        net = SqueezeDet(NetConfig(**saved["net"]), spec.num_shapes, spec.num_classes)
        fit = cls(config, net, spec, load_samples(config, spec.labels))
        fit.restore(saved)
        return fit

    def restore(self, saved: dict) -> None:
        """Goes to where the run of the same config and net was when it saved this checkpoint."""
        self.net.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average.values = {name: value.to(self.device) for name, value in saved["ema"].items()}
        self.average.updates = saved["ema_updates"]
        self.epoch, self.step, self.history, self.sums = saved["epoch"], saved["step"], saved["history"], saved["sums"]
        torch.set_rng_state(saved["rng"])

    def run(self) -> None:
        """Trains to the end, or until Ctrl-C, after which `resume` goes on."""
        with stop_on_interrupt() as stop:
            while self.epoch < len(self.epoch_sizes):
                if not self._train_epoch(stop):
                    self._save("last.pt")
                    print(f"stopped at epoch {self.epoch + 1}, step {self.step}; go on with --resume {self.resumed_by}")
                    raise SystemExit(130)
                self._finish_epoch()

    def _train_epoch(self, stop: StopRequest) -> bool:
        """The rest of the current epoch; False if asked to stop before its end."""
        config, size = self.config, self.epoch_sizes[self.epoch]
        spec = self.spec.resized((size, size), self.net.grid_hw((size, size)))
        loss = config.make_loss(spec).to(self.device)
        data = DetectionData(self.samples, spec, config.augment, config.seed, self.epoch)
        loader = make_loader(data, self.orders[self.epoch][self.step * config.batch :], config.batch, config.workers)
        self.net.train()
        bar = tqdm(
            loader,
            desc=f"epoch {self.epoch + 1}/{len(self.epoch_sizes)} at {size} px",
            unit="step",
            initial=self.step,
            total=self.steps[self.epoch],
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        with bar:
            for batch in bar:
                parts = self._train_step(batch.to(self.device), loss)
                for name, value in parts.items():
                    self.sums[name] = self.sums.get(name, 0.0) + value
                self.step += 1
                bar.set_postfix({name: f"{total / self.step:.3f}" for name, total in self.sums.items()}, refresh=False)
                if stop.asked:
                    return False
                if self.step % config.save_steps == 0:
                    self._save("last.pt")
        return True

    def _train_step(self, batch: Batch, loss: Loss) -> dict[str, float]:
        done = sum(self.steps[: self.epoch]) + self.step
        factor = lr_factor(done, sum(self.steps), self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        images = batch.images.contiguous(memory_format=torch.channels_last)
        parts = loss(self.net.split(self.net(images)), batch)
        total = sum(parts.values())
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {value.item():.3g}" for name, value in parts.items())
            raise TrainError(f"epoch {self.epoch + 1}, step {self.step}: the loss is not finite ({values}); lower --lr")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        self.optimizer.step()
        self.average.update(self.net)
        return {name: value.item() for name, value in parts.items()}

    def _finish_epoch(self) -> None:
        averaged = copy.deepcopy(self.net)
        averaged.load_state_dict(self.average.values)
        detector = TorchDetector(averaged, self.spec, EVAL_SCORE_THRESHOLD)
        val_map = mean_ap(evaluate(detector, self.val_samples, self.spec.labels))
        means = {name: total / self.step for name, total in self.sums.items()}
        best_before = max((row["val_map"] for row in self.history), default=-1.0)
        self.history.append(
            {"epoch": self.epoch + 1, "size": self.epoch_sizes[self.epoch]} | means | {"val_map": val_map}
        )
        print(f"epoch {self.epoch + 1}: val mAP {100 * val_map:.1f}", flush=True)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        if val_map > best_before:
            self._save("best.pt")
        write_results(self.out, self.history)
        # Last: a run killed before this line does the end of the epoch again, one killed after it has all files.
        self._save("last.pt")

    def _save(self, name: str) -> None:
        state = {
            "config": dataclasses.asdict(self.config),
            "optimizer": self.optimizer.state_dict(),
            "ema_updates": self.average.updates,
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "sums": self.sums,
            "rng": torch.get_rng_state(),
        }
        save_checkpoint(self.out / name, self.net, self.spec, self.average.values, state)


def load_samples(config: FitConfig, labels: tuple[str, ...]) -> list[VocSample]:
    """The photos to train on."""
    return open_dataset(config.data, config.lists.split(","), labels, config.annotations or None)


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder; its own options apply")
    add_options(parser, FitConfig)


def run(args: argparse.Namespace) -> None:
    if not args.resume and not args.data:
        raise TrainError("fit needs --data, a data set")
    fit = Fit.resume(args.resume) if args.resume else Fit.start(from_options(args, FitConfig))
    fit.run()
