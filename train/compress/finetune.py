"""What `DetectionTrainer` does, for a net that is masked or shared."""

from __future__ import annotations

from pathlib import Path

import torch

from sqdet_cv.spec.detector_spec import ModelSpec

from ..checkpoints.native import load_checkpoint
from ..models import AnyNet
from ..models.profile import zero_share
from ..trainers.detection import DetectionTrainer, load_samples
from ..trainers.detection_config import FitConfig
from .prune import cubic_sparsity, prune


class FinetuneTrainer(DetectionTrainer):
    """One stage of a compression: a training run in a folder of its own, which the compression's --resume resumes."""

    def __init__(self, config: FitConfig, net: AnyNet, spec: ModelSpec) -> None:
        super().__init__(config, net, spec, load_samples(config, spec.labels))
        self.resumed_by = self.out.parent

    def result(self) -> AnyNet:
        """Trains, from where an earlier call was stopped, and gives back the net with its averaged weights."""
        last = Path(self.out) / "last.pt"
        if last.exists():
            self.restore(load_checkpoint(last))
        else:
            torch.manual_seed(self.config.seed)
        self.run()
        self.net.load_state_dict(self.ema.values)
        return self.net.cpu()

    def _save(self, name: str) -> None:
        # The best epoch of a gradual pruning is its first, so none is kept but the last.
        if name == "last.pt":
            super()._save(name)


class GradualPruningTrainer(FinetuneTrainer):
    """Retrains a net with masks while its sparsity rises from what it is.

    Args:
        sparsity: as of `prune`.
        ramp: over which share of the steps it rises, in (0, 1]; in the rest the net recovers.
        every: steps from one pruning to the next.
    """

    def __init__(
        self,
        config: FitConfig,
        net: AnyNet,
        spec: ModelSpec,
        *,
        sparsity: float,
        ramp: float,
        every: int,
    ) -> None:
        super().__init__(config, net, spec)
        self.sparsity, self.every = sparsity, every
        self.first_sparsity = zero_share(net)
        self.ramp_steps = max(round(ramp * sum(self.steps)), 1)

    def _train_step(self, *args: object) -> dict[str, float]:
        done = self.steps_done
        if done % self.every == 0 and done < self.ramp_steps:
            sparsity = cubic_sparsity(done + self.every, self.ramp_steps, self.first_sparsity, self.sparsity)
            prune(self.net, sparsity)
        return super()._train_step(*args)
