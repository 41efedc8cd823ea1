from __future__ import annotations

import pytest
import torch
from torch import nn

from train.common.errors import TrainError
from train.engine.schedules import SOLVERS, find_solver

# by hand from Caffe's formulas: step 0.03 * 0.5^floor(i / 100000), poly 0.04 * (1 - i / 170000)
RATES = [
    pytest.param("squeezenet2017", 0, 0.03, id="step: first"),
    pytest.param("squeezenet2017", 99_999, 0.03, id="step: last before the first fall"),
    pytest.param("squeezenet2017", 100_000, 0.015, id="step: first after it"),
    pytest.param("squeezenet2017", 250_000, 0.0075, id="step: two falls"),
    pytest.param("squeezenet2017", 1_499_999, 1.8310546875e-6, id="step: last, fourteen falls"),
    pytest.param("squeezedet2017", 0, 1e-6, id="never falls: first"),
    pytest.param("squeezedet2017", 99_999, 1e-6, id="never falls: last"),
    pytest.param("deepscale", 0, 0.04, id="poly: first"),
    pytest.param("deepscale", 42_500, 0.03, id="poly: a quarter"),
    pytest.param("deepscale", 85_000, 0.02, id="poly: half"),
    pytest.param("deepscale", 169_999, 0.04 / 170_000, id="poly: last"),
]


@pytest.mark.parametrize(("name", "iteration", "rate"), RATES)
def test_rates_are_caffes(name: str, iteration: int, rate: float):
    solver = SOLVERS[name]
    assert iteration < solver.max_iter
    assert solver.base_lr * solver.lr_factor(iteration) == pytest.approx(rate, rel=1e-9)


def test_a_step_is_caffes():
    """Two steps at one rate, against Caffe's V = momentum * V + lr * (gradient + decay * W), W = W - V, written out;
    biases decay too."""
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(-3.0)
    optimizer = SOLVERS["squeezenet2017"].make_optimizer(layer, 0.1)
    weight, bias, velocity_w, velocity_b = 2.0, -3.0, 0.0, 0.0
    for gradient in (1.0, -0.5):
        layer.weight.grad, layer.bias.grad = torch.full((1, 1), gradient), torch.full((1,), 2 * gradient)
        optimizer.step()
        velocity_w = 0.9 * velocity_w + 0.1 * (gradient + 2e-4 * weight)
        velocity_b = 0.9 * velocity_b + 0.1 * (2 * gradient + 2e-4 * bias)
        weight, bias = weight - velocity_w, bias - velocity_b
    assert layer.weight.item() == pytest.approx(weight, rel=1e-6)
    assert layer.bias.item() == pytest.approx(bias, rel=1e-6)


def test_the_cosine_has_no_solver_file_and_other_names_are_refused():
    assert find_solver("cosine") is None
    assert find_solver("deepscale") is SOLVERS["deepscale"]
    with pytest.raises(
        TrainError, match="--schedule adam: there are cosine, step, squeezenet2017, squeezedet2017, deepscale"
    ):
        find_solver("adam")
