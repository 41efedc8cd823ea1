from __future__ import annotations

import pytest
import torch

from train.common.errors import TrainError
from train.engine.config import LoopConfig
from train.engine.schedules import LRScheduler, parse_epochs


def rates(config: LoopConfig, steps: list[int]) -> list[tuple[float, ...]]:
    """What the two groups of an optimizer have in each step of a run."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [p], "base_lr": lr} for p, lr in zip(parameters, (0.1, 0.03))]
    scheduler = LRScheduler(torch.optim.SGD(groups, lr=0.1), config, steps)
    found = []
    for step in range(sum(steps)):
        scheduler.set_lr(step)
        found.append(tuple(group["lr"] for group in scheduler.optimizer.param_groups))
        assert scheduler.lr == max(found[-1])
    return found


def test_steps_fall_after_their_epochs_in_all_groups():
    config = LoopConfig(schedule="step", lr_epochs="1,3", lr_gamma=0.5, warmup=2)
    found = rates(config, [3, 2, 2, 1])
    factors = [0.5, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert found == [pytest.approx((0.1 * factor, 0.03 * factor)) for factor in factors]


def test_the_cosine_spans_all_epochs():
    found = rates(LoopConfig(warmup=0), [2, 2])
    factors = [1, (1 + 2**-0.5) / 2, 0.5, (1 - 2**-0.5) / 2]
    assert found == [pytest.approx((0.1 * factor, 0.03 * factor)) for factor in factors]


@pytest.mark.parametrize("text", ["a", "2,1", "0", "3,3", "1,"])
def test_bad_epochs_are_quoted(text: str):
    with pytest.raises(TrainError, match=f"--lr-epochs {text}: expected"):
        parse_epochs(text)


def test_other_schedules_are_refused():
    with pytest.raises(TrainError, match="--schedule deepscale: there are cosine, step"):
        LoopConfig(schedule="deepscale")
