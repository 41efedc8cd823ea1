"""The loop of every training run: epochs and steps, checkpoints, Ctrl-C, and when to stop."""

from __future__ import annotations

import copy
import dataclasses
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from tqdm import tqdm

from sqdet_cv.util.interrupt import CtrlC

from ..common import distributed
from ..common.device import fast_bfloat16
from ..common.errors import NotFiniteError, TrainError
from .bad_batch import save_bad_batch
from .clock import Clock
from .config import LoopConfig
from .curves import plot_history
from .memory import keep_freed_memory
from .optim import ModelEma, make_optimizer, train_mode
from .run_folder import RunResult, write_results
from .schedules import LRScheduler
from .tensorboard import EventLog


class Trainer(ABC):
    """One run: a net and its state, from the first step to the end of the last epoch.

    Args:
        steps: the number of steps of each epoch.
        minutes: of a run that lasts so long, instead of those epochs: when they are over, `_add_epoch` adds one.

    Attributes:
        monitor: the column of results.csv in which the best epoch has the largest number.
        resumed_by: the folder that --resume takes to go on.
        is_main_process: whether this process evaluates, prints and writes.
    """

    monitor: str

    def __init__(
        self, config: LoopConfig, net: nn.Module, device: torch.device, steps: list[int], minutes: float | None = None
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.clock = Clock(minutes) if minutes else None
        self.amp = fast_bfloat16(device) if config.amp is None else config.amp
        self.config, self.out, self.device, self.steps = config, Path(config.out), device, list(steps)
        self.is_main_process = distributed.rank() == 0
        distributed.broadcast_weights(net)
        # channels_last is 1.6 times faster than the default on these nets' convolutions on a CPU
        self.net = distributed.synchronised_norms(net.to(device, memory_format=torch.channels_last), device)
        self.optimizer = make_optimizer(
            self.net, config.peak_lr, config.backbone_lr, config.weight_decay, config.optimizer
        )
        self.scheduler = LRScheduler(self.optimizer, config, self.steps)
        self.ema = ModelEma(self.net, config.ema)
        if not self.is_main_process:
            torch.manual_seed(config.seed + distributed.rank())  # otherwise all would draw the same dropout
        self.amp_dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
        # bfloat16 has the range of float32, so nothing has to be scaled
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.amp and device.type == "cuda")
        self.epoch, self.step = 0, 0  # the next ones
        self.history: list[dict] = []
        self.sums: dict[str, float] = {}  # loss parts of the epoch so far
        self.resumed_by = self.out
        self.log = EventLog(self.out / "tensorboard" if config.tensorboard and self.is_main_process else None)

    @abstractmethod
    def _batches(self) -> Iterable[Any]:
        """This process's share of the rest of the epoch, from `step` on. A batch has `to(device)`."""

    @abstractmethod
    def compute_losses(self, batch: Any) -> dict[str, torch.Tensor]:
        """The parts of the loss of `net`, whose sum is minimised."""

    @abstractmethod
    def _validate(self, averaged: nn.Module) -> dict[str, float]:
        """Columns of results.csv, `monitor` among them, for the net with averaged weights."""

    @abstractmethod
    def _write_checkpoint(self, path: Path, state: dict) -> None:
        """Writes the net and its averaged weights with `state`, from which `restore` goes on."""

    @abstractmethod
    def _image_files(self) -> list[str]:
        """The files of this process's batch in the current step."""

    def _inspect(self) -> None:  # noqa: B027  (by default there is nothing to inspect)
        """Called in the main process at the end of each epoch, before the epoch counts as done."""

    def _draw(self) -> None:  # noqa: B027
        """Called in the main process when the run has ended."""

    def _add_epoch(self) -> None:
        """Appends the steps of one more epoch, for a run that lasts a given time."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        if self.clock:
            return f"epoch {self.epoch + 1}, {100 * self.clock.progress:.0f} % of {self.clock.total_seconds / 60:g} min"
        return f"epoch {self.epoch + 1}/{len(self.steps)}"

    @property
    def is_over(self) -> bool:
        """Whether all of its epochs are done, or its time has passed and what it came to is measured."""
        if self.clock:
            return self.clock.is_over and bool(self.history) and self.history[-1]["epoch"] == self.epoch
        return self.epoch == len(self.steps)

    @property
    def steps_done(self) -> int:
        return sum(self.steps[: self.epoch]) + self.step

    @property
    def has_stalled(self) -> bool:
        """Whether the last `patience` epochs were no better than one before."""
        figures = [row[self.monitor] for row in self.history]
        return 0 < self.config.patience <= len(figures) - 1 - figures.index(max(figures)) if figures else False

    def restore(self, saved: dict) -> None:
        """Goes to the place where a run of the same config and net saved this checkpoint. It then ends as if it had not
        been stopped: on a CPU with the same weights, bit for bit.

        Raises:
            TrainError: the run was started with another number of processes.
        """
        states = saved["rng"] if isinstance(saved["rng"], list) else [saved["rng"]]
        if len(states) != distributed.count():
            raise TrainError(
                f"{self.out}: the run was started with {len(states)} processes; here are {distributed.count()}"
            )
        self.net.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema.values = {name: value.to(self.device) for name, value in saved["ema"].items()}
        self.ema.updates = saved["ema_updates"]
        self.epoch, self.step, self.history, self.sums = (saved[name] for name in ("epoch", "step", "history", "sums"))
        if self.clock:
            self.clock.earlier_seconds = saved["seconds"]
            while len(self.steps) < self.epoch:
                self._add_epoch()
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        torch.set_rng_state(states[distributed.rank()])
        if self.device.type == "cuda" and "cuda_rng" in saved:
            torch.cuda.set_rng_state(saved["cuda_rng"][distributed.rank()], self.device)

    def run(self) -> RunResult:
        """Trains to the end, or until Ctrl-C (SystemExit 130), after which `resume` goes on."""
        if self.is_over:
            self.say(f"{self.out}: all of its {self.epoch} epochs are done")
        if self.amp and self.config.amp is None:
            self.say("bfloat16, which this processor is fast in; --no-amp for float32")
        keep_freed_memory()
        if self.clock:
            self.clock.start()
        with CtrlC(second_raises=False) as stop, self.log:
            while not self.is_over and not self.has_stalled:
                if self.epoch == len(self.steps):
                    self._add_epoch()
                if not self._train_epoch(stop):
                    self._save("last.pt")
                    place = f"epoch {self.epoch + 1}, step {self.step}"
                    self.say(f"stopped at {place}; go on with --resume {self.resumed_by}")
                    raise SystemExit(stop.exit_code)
                self._finish_epoch()
            if self.has_stalled:
                self.say(f"stopped after epoch {self.epoch}: none of the last {self.config.patience} was better")
            if self.is_main_process:
                self._draw()
        return RunResult(self.out, self.history, self.out / "best.pt")

    def _train_epoch(self, stop: CtrlC) -> bool:
        """The rest of the current epoch. False: Ctrl-C was pressed before its end."""
        train_mode(self.net)
        progress = tqdm(
            self._batches(),
            desc=self.title,
            unit="step",
            initial=self.step,
            total=self.steps[self.epoch],
            mininterval=0.5 if sys.stderr.isatty() else 30,
            disable=not self.is_main_process,
        )
        images, start = 0, time.monotonic()
        with progress:
            for batch in progress:
                losses = self._train_step(batch)
                self.step += 1
                self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
                self.log.step(self.steps_done, losses, self.scheduler.lr)
                images += self.config.batch * distributed.count()
                shown = {name: f"{total / self.step:.3f}" for name, total in self.sums.items()}
                progress.set_postfix(shown | {"images/s": f"{images / (time.monotonic() - start):.0f}"}, refresh=False)
                if distributed.any_rank(stop.pressed, self.device):
                    return False
                if self.clock and self.clock.is_over:
                    return True
                if self.step % self.config.save_steps == 0:
                    self._save("last.pt")
        return True

    def _train_step(self, batch: Any) -> dict[str, float]:
        """One step: data, loss, backward, clip, step. Returns the parts of the loss, means over the processes."""
        batch = batch.to(self.device)
        self.scheduler.set_lr(self.steps_done, self.clock and self.clock.progress)

        with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp):
            losses = self.compute_losses(batch)
        loss = sum(losses.values())
        if distributed.any_rank(not torch.isfinite(loss), self.device):
            self._stop_at_bad_batch(batch, losses, "the loss")

        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        distributed.all_reduce_gradients(self.net)

        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        # With float16 an infinite gradient is no error: the scaler skips the step, and scales less from then on.
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            self._stop_at_bad_batch(batch, losses, "the gradient")

        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update(self.net)
        means = distributed.total(torch.stack(list(losses.values()))) / distributed.count()
        return dict(zip(losses, means.tolist()))

    def _stop_at_bad_batch(self, batch: Any, losses: dict[str, torch.Tensor], what: str) -> NoReturn:
        values = {name: value.item() for name, value in losses.items()}
        place = {"epoch": self.epoch + 1, "step": self.step, "rank": distributed.rank()}
        path = self.out / ("bad_batch.pt" if self.is_main_process else f"bad_batch_{distributed.rank()}.pt")
        save_bad_batch(path, batch, self._image_files(), values, place, self.net)
        text = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        raise NotFiniteError(
            f"epoch {self.epoch + 1}, step {self.step}: {what} is not finite ({text}); lower --lr. The batch: {path}"
        )

    def _finish_epoch(self) -> None:
        is_last = self.clock.is_over if self.clock else self.epoch + 1 == len(self.steps)
        if (self.epoch + 1) % self.config.val_every and not is_last:
            self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
            self._save("last.pt")
            return
        row: dict[str, float] = {}
        if self.is_main_process:
            averaged = copy.deepcopy(self.net)
            averaged.load_state_dict(self.ema.values)
            means = {name: total / self.step for name, total in self.sums.items()}
            self._inspect()
            row = {"epoch": self.epoch + 1} | means | self._validate(averaged) | {"lr": self.scheduler.lr}
        row = distributed.broadcast(row)
        best_before = max((old[self.monitor] for old in self.history), default=-1.0)
        self.history.append(row)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        if row[self.monitor] > best_before:
            self._save("best.pt")
        if self.is_main_process:
            write_results(self.out, self.history)
            plot_history(self.history, self.monitor, self.out / "curves.png")
            self.log.epoch(self.steps_done, row)
        # Last: a run killed before this line repeats the end of the epoch, one killed after it has all files.
        self._save("last.pt")

    def _save(self, name: str) -> None:
        states = distributed.gather(torch.get_rng_state())
        state = {
            "config": dataclasses.asdict(self.config),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema_updates": self.ema.updates,
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "sums": self.sums,
            "rng": states,
        }
        if self.clock:
            state["seconds"] = self.clock.seconds
        if self.device.type == "cuda":
            state["cuda_rng"] = distributed.gather(torch.cuda.get_rng_state(self.device))
        if self.is_main_process:
            self._write_checkpoint(self.out / name, state)

    def say(self, text: str) -> None:
        """Prints, once for all processes."""
        if self.is_main_process:
            print(text, flush=True)
