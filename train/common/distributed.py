"""Several processes that train one net, as `torchrun` starts them; in a single process nothing here has an effect.

Each process takes its share of every step's images, and all end the step with the same weights: those that a single
process would have with all the images (but for BatchNorm: without CUDA each process normalises by its own share).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any, TypeVar

import torch
import torch.distributed as dist

# Its functions take the process group of the moment of import as a default argument. An optimizer's first step would
# import it too: then they would keep the group, and gloo's threads, beyond `process_group` (PyTorch 2.13).
import torch.distributed.nn.functional  # noqa: F401
from torch import nn

from .device import find_device
from .errors import TrainError

T = TypeVar("T")


def join_processes(device_name: str) -> torch.device:
    """Joins the processes that torchrun has started, if any, and returns the device of this one.

    Raises:
        TrainError: there are more processes on this machine than CUDA devices.
    """
    device = find_device(device_name)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise TrainError(f"process {local} of this machine: it has {torch.cuda.device_count()} CUDA devices")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


@contextmanager
def process_group() -> Iterator[None]:
    """At the end of its block the process leaves the group that `join_processes` joined. That ends the group's threads
    too: one that still runs when Python ends can abort it."""
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """0 is the process that evaluates, prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def broadcast_weights(net: nn.Module) -> None:
    """Gives the net of every process the weights of the first process."""
    if count() > 1:
        net.load_state_dict(broadcast(net.state_dict()))


def all_reduce_gradients(net: nn.Module) -> None:
    """Replaces the gradients of each process by the mean over all: that of a step with all their images.

    All gradients go in one message, after the backward pass: they are a few MB. DistributedDataParallel sends while it
    still computes, but holds the process group as long as the run exists.
    """
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    mean = total(torch.cat([gradient.flatten() for gradient in gradients])) / count()
    for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))


def synchronised_norms(net: nn.Module, device: torch.device) -> nn.Module:
    """BatchNorm over all processes' images, which PyTorch has for CUDA only."""
    if count() > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return net


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum over the processes; no gradient goes through it."""
    value = value.detach().clone()
    if count() > 1:
        dist.all_reduce(value)
    return value


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether it is true in any process."""
    return bool(total(torch.tensor(float(flag), device=device)) > 0) if count() > 1 else flag


def broadcast(value: T) -> T:
    """The value of the first process."""
    values = [value]
    if count() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def gather(value: T) -> list[T]:
    """The values of all processes, by rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def rank_slice(order: Sequence[T], batch: int, first_step: int, rank: int, count: int) -> list[T]:
    """The items of an epoch's order that one process loads, from a step on: its part of each step's batch * count.

    All steps but the last have `batch` items for each process. In the last all processes have equally many: where the
    number of items is no multiple of count, the first items come once more.

    >>> rank_slice("abcdefg", 2, 0, rank=1, count=2)  # the steps are ab|cd and ef|ga
    ['c', 'd', 'g', 'a']
    """
    items = list(order) + list(islice(cycle(order), -len(order) % count))
    mine = []
    for start in range(first_step * batch * count, len(items), batch * count):
        step = items[start : start + batch * count]
        each = len(step) // count
        mine += step[rank * each : (rank + 1) * each]
    return mine
