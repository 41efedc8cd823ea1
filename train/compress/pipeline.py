"""Prunes a detector, retrains it, lets its layers share weights, and retrains those.

Each of these steps ends with a checkpoint that `python -m export onnx` takes: RUN/folded.pt, RUN/pruned.pt,
RUN/compressed.pt; with `structured` also RUN/sliced.pt and RUN/narrow.pt after the first. A run goes on from those that
are there, and within a step from the training run in RUN/narrow, RUN/prune or RUN/share.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec

from ..checkpoints.native import load_checkpoint, net_from_checkpoint, save_plain
from ..common.errors import TrainError
from ..common.options import from_yaml
from ..data.batch import Batch
from ..data.formats.open_dataset import load_dataset
from ..data.loader import DetectionData, epoch_order, make_loader
from ..engine.optim import freeze
from ..engine.run_folder import ARGS, create_run_folder, require_new_run
from ..models import AnyNet
from ..models.fuse import fuse_batchnorm, unfuse_batchnorm
from ..models.profile import count_macs, zero_share
from ..teachers.dense import DenseTeacher
from ..trainers.detection import CALIBRATION_STEPS, load_samples
from ..trainers.detection_config import FitConfig, trained_config
from .bit_allocation import layer_bits
from .config import CompressConfig
from .filter_pruning import check_share, choose, filter_costs, filters, fire_widths, loss_changes, narrow
from .finetune import FinetuneTrainer, GradualPruningTrainer
from .prune import add_masks, prune
from .reconstruct import input_moments, refit
from .summary import table
from .weight_sharing import share_counts, share_weights

IMPORTANCE_IMAGES = 128  # on which the importance of the filters is measured


@dataclass(frozen=True)
class CompressResult:
    """What came of a compression.

    Attributes:
        checkpoint: RUN/compressed.pt, for `python -m export`.
        zeros: fraction of the weights that are zero, in [0, 1].
        table: a Markdown row for each layer: weights, zeros, values, and the ratio that sharing gives.
    """

    checkpoint: Path
    zeros: float
    table: str


class Compress:
    """One run: its options and its folder."""

    def __init__(self, config: CompressConfig) -> None:
        self.config, self.out = config, Path(config.out)

    @classmethod
    def start(cls, config: CompressConfig, checkpoint: str) -> Compress:
        """Raises TrainError for bad input before anything is written."""
        require_new_run(Path(config.out), "folded.pt")
        net, spec = net_from_checkpoint(checkpoint)
        trained = trained_config(checkpoint)
        size = (config.size or spec.input_wh[0],) * 2
        config = dataclasses.replace(config, size=size[0])
        run = cls(config)
        spec = spec.resized(size, net.grids_hw(size))
        freeze(copy.deepcopy(net), config.frozen)  # for its errors
        folded = fuse_batchnorm(net)
        if config.bits:
            layer_bits(folded, config)  # for its errors
        check_share(folded, config.structured)
        if config.epochs or config.structured:
            load_dataset(config.data, config.splits.split(","), spec.labels, config.annotations or None)
            load_dataset(config.data, [config.val], spec.labels)
            config.fit_config(FitConfig.from_saved(trained), "prune", 1, config.lr)  # for its errors
            if config.teacher:
                DenseTeacher(config.teacher, spec.labels)  # for its errors
        create_run_folder(run.out, config)
        save_plain(run.out / "folded.pt", folded, spec, trained)
        return run

    @classmethod
    def resume(cls, out: str) -> Compress:
        path = Path(out) / ARGS
        if not path.is_file() or not (Path(out) / "folded.pt").is_file():
            raise TrainError(f"{out}: no run of `python -m train compress` to go on with")
        return cls(dataclasses.replace(from_yaml(path, CompressConfig), out=str(out)))

    def run(self) -> CompressResult:
        """All that is still to do, or until Ctrl-C (SystemExit 130)."""
        if self.config.structured:
            self._step("folded.pt", self._sliced, "sliced.pt")
            self._step("sliced.pt", self._narrowed, "narrow.pt")
        self._step("narrow.pt" if self.config.structured else "folded.pt", self._pruned, "pruned.pt")
        self._step("pruned.pt", self._shared, "compressed.pt")
        net, _ = net_from_checkpoint(self.out / "compressed.pt")
        return CompressResult(self.out / "compressed.pt", zero_share(net), table(net))

    def _step(self, source: str, change: Callable[[AnyNet, ModelSpec, FitConfig], AnyNet], result: str) -> None:
        """From the checkpoint `source` to the checkpoint `result`, unless that is there."""
        if (self.out / result).exists():
            return
        net, spec = net_from_checkpoint(self.out / source)
        trained = load_checkpoint(self.out / source)["config"]
        save_plain(self.out / result, fuse_batchnorm(change(net, spec, FitConfig.from_saved(trained))), spec, trained)

    def _sliced(self, net: AnyNet, spec: ModelSpec, trained: FitConfig) -> AnyNet:
        config, size = self.config, spec.input_wh
        fit_config = config.fit_config(trained, "narrow", 1, config.lr)
        batches = first_batches(fit_config, spec, IMPORTANCE_IMAGES)
        importance = loss_changes(net, batches, fit_config.make_loss(spec))
        kept = choose(importance, filter_costs(net, size), filters(net), config.structured)
        small = narrow(net, kept)
        refit(small, net, kept, input_moments(net, (batch.images for batch in batches)))
        widths = ", ".join(f"{path} {'-'.join(map(str, width))}" for path, width in fire_widths(small).items())
        work = count_macs(small, size) / count_macs(net, size)
        print(f"{100 * work:.0f} % of the multiply-adds are left; squeeze-expand1x1-expand3x3 of {widths}")
        return small

    def _narrowed(self, net: AnyNet, spec: ModelSpec, trained: FitConfig) -> AnyNet:
        config = self.config
        if config.narrow_epochs:
            fit_config = config.fit_config(trained, "narrow", config.narrow_epochs, config.lr)
            return FinetuneTrainer(fit_config, ready_to_train(net, fit_config, spec), spec).result()
        return net

    def _pruned(self, net: AnyNet, spec: ModelSpec, trained: FitConfig) -> AnyNet:
        config = self.config
        if config.pruning_epochs:
            fit_config = config.fit_config(trained, "prune", config.pruning_epochs, config.lr)
            net = ready_to_train(net, fit_config, spec)
            add_masks(net)
            stage = GradualPruningTrainer(
                fit_config,
                net,
                spec,
                sparsity=config.sparsity,
                ramp=config.ramp,
                every=config.every,
            )
            return stage.result()
        add_masks(net)
        prune(net, config.sparsity)
        return net

    def _shared(self, net: AnyNet, spec: ModelSpec, trained: FitConfig) -> AnyNet:
        config = self.config
        if not config.bits:
            return net
        share_weights(net, share_counts(net, layer_bits(net, config), config.bias_bits))
        if config.centroid_epochs:
            fit_config = config.fit_config(trained, "share", config.centroid_epochs, config.centroid_lr)
            return FinetuneTrainer(fit_config, net, spec).result()
        return net


def ready_to_train(net: AnyNet, config: FitConfig, spec: ModelSpec) -> AnyNet:
    """The folded net with BatchNorm again."""
    return unfuse_batchnorm(
        net, (batch.images for batch in first_batches(config, spec, CALIBRATION_STEPS * config.batch))
    )


def first_batches(config: FitConfig, spec: ModelSpec, images: int) -> list[Batch]:
    """The first batches of a training run, at the input size of `spec`."""
    samples = load_samples(config, spec.labels)
    order = epoch_order(samples, config.balance, config.seed, 0)[:images]
    data = DetectionData(samples, spec, config.augment, config.seed, epoch=0)
    return list(make_loader(data, order, config.batch, config.workers))


def compress_detector(checkpoint: str, config: CompressConfig) -> CompressResult:
    """Compresses a detector as `python -m train compress` does.

    Raises:
        TrainError: the checkpoint, the data or an option is wrong, said before anything is written.
        SystemExit: Ctrl-C (130); `resume_compression` goes on.
    """
    return Compress.start(config, checkpoint).run()


def resume_compression(folder: str) -> CompressResult:
    """Goes on with the run in a folder."""
    return Compress.resume(folder).run()
