from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from train.common.errors import TrainError
from train.models import NETS, NetConfig, SqueezeDet, SqueezeNet, build_net
from train.models.fire import Fire
from train.models.squeezenet import SqueezeNetFeatures


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


COUNTS = {
    "SqueezeNet 1.1": (lambda: SqueezeNet("1.1"), 1_235_496),
    "SqueezeNet 1.0": (lambda: SqueezeNet("1.0"), 1_248_424),
    "paper's SqueezeDet": (lambda: build_net("squeezedet", 9, 20), 3_139_809),
    "paper's SqueezeDet+": (lambda: build_net("squeezedet+", 9, 20), 7_726_817),
    "2017 SqueezeDet": (lambda: build_net("squeezedet-2017", 9, 20), 3_712_585),
}


@pytest.mark.parametrize(("build", "expected"), COUNTS.values(), ids=COUNTS)
def test_parameter_counts_are_the_published_ones(build, expected: int):
    assert _count(build()) == expected


def test_squeezedet_plus_is_the_papers_code():
    """Input, squeeze and expand channels as in nets/squeezeDetPlus.py; for KITTI (C=3) the model sizes of the paper."""
    fires = [(96, 96, 64), (128, 96, 64), (128, 192, 128), (256, 192, 128), (256, 288, 192), (384, 288, 192)]
    fires += [(384, 384, 256)] + [(512, 384, 256)] * 3
    expected = 3 * 7**2 * 96 + 96 + 3**2 * 512 * 9 * (3 + 1 + 4) + 9 * (3 + 1 + 4)
    for channels, squeeze, expand in fires:
        expected += (channels + 1) * squeeze + (squeeze + 1) * expand + (9 * squeeze + 1) * expand
    assert _count(build_net("squeezedet+", 9, 3)) == expected == 7_021_640
    assert 4 * expected / 2**20 == pytest.approx(26.8, abs=0.05)
    assert 4 * _count(build_net("squeezedet", 9, 3)) / 2**20 == pytest.approx(7.9, abs=0.05)


GRIDS = {
    "1.1 at 416": ("squeezedet", (416, 416), (25, 25)),
    "1.1 at 320": ("squeezedet", (320, 320), (19, 19)),
    "1.1 wide": ("squeezedet", (320, 256), (15, 19)),
    "SqueezeDet+ at 416": ("squeezedet+", (416, 416), (25, 25)),
    "2017 net at 416": ("squeezedet-2017", (416, 416), (23, 23)),
    "ours at 320": ("sqdet", (320, 320), (19, 19)),
    "ours at 64": ("sqdet", (64, 64), (3, 3)),
}


@pytest.mark.parametrize(("name", "input_wh", "grid_hw"), GRIDS.values(), ids=GRIDS)
def test_grid_of_an_input_size(name: str, input_wh: tuple[int, int], grid_hw: tuple[int, int]):
    net = build_net(name, 1, 1)
    assert net.grid_hw(input_wh) == grid_hw
    assert net.training, "asking leaves the mode as it was"


# pixels that the rule is off: a 7x7 conv1 looks 1.5 px further right and down than the anchors lie
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "inset", "off"),
    [("sqdet", 0, -0.5), ("squeezedet", 0, -0.5), ("squeezedet+", 0, 1.5), ("squeezedet-2017", 1, 1.5)],
)
def test_anchors_lie_where_the_cells_look(name: str, inset: int, off: float):
    """The centre of the pixels that a cell depends on is the centre of its anchors.

    All weights are made positive and pools averages, so that the gradient reaches the whole field.
    """
    net = build_net(name, 1, 1, dropout=0.0).double().eval()
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.01)
    for pool in ("pool1", "pool2", "pool3"):
        setattr(net.features, pool, nn.AvgPool2d(3, stride=2, ceil_mode=True, count_include_pad=False))
    rows, columns = net.grid_hw((304, 272))
    spec = ModelSpec.single(("a",), (304, 272), (rows, columns), ((9, 9),), grid_inset=net.grid_inset)
    assert net.grid_inset == inset
    image = torch.ones((1, 3, 272, 304), dtype=torch.float64, requires_grad=True)
    row, column = rows // 2, columns // 2
    net(image)[0, :, row, column].sum().backward()
    field = image.grad[0].sum(dim=0).numpy()
    cx, cy = spec.anchors_cxcywh.reshape(rows, columns, 4)[row, column, :2]
    assert np.average(np.arange(304) + 0.5, weights=field.sum(axis=0)) == pytest.approx(cx + off, abs=0.3)
    assert np.average(np.arange(272) + 0.5, weights=field.sum(axis=1)) == pytest.approx(cy + off, abs=0.3)


@pytest.mark.parametrize("name", [name for name, (config, *_) in NETS.items() if isinstance(config, NetConfig)])
def test_every_net_of_one_grid_runs_on_any_size_and_class_count(name: str):
    net = build_net(name, 3, 2).eval()
    for input_wh in ((96, 64), (131, 77)):
        rows, columns = net.grid_hw(input_wh)
        output = net(torch.zeros(2, 3, input_wh[1], input_wh[0]))
        assert output.shape == (2, 3 * (2 + 1 + 4), rows, columns)


def test_fully_convolutional():
    """Sixteen pixels further on, the net says one cell further on the same (inside, away from the padding)."""
    torch.manual_seed(0)
    net = build_net("sqdet", 2, 3).eval()
    image = torch.randn(1, 3, 272, 288)
    with torch.no_grad():
        left, right = net(image[..., :272]), net(image[..., 16:])
    torch.testing.assert_close(left[..., 5:-5, 6:-5], right[..., 5:-5, 5:-6], rtol=1e-4, atol=1e-4)


def test_split_order_is_an_explicit_loop():
    """Channels: K*C class scores shape by shape, K confidences, K*4 deltas; rows in the order of the spec's anchors."""
    k, c, rows, columns = 3, 4, 2, 5
    net = build_net("sqdet", k, c)
    output = torch.arange(2.0 * k * (c + 5) * rows * columns).reshape(2, k * (c + 5), rows, columns)
    raw = net.split(output)
    for n, row, column, shape in np.ndindex(2, rows, columns, k):
        anchor = (row * columns + column) * k + shape
        cell = output[n, :, row, column]
        assert raw.class_logits[n, anchor].tolist() == [cell[shape * c + i] for i in range(c)]
        assert raw.confidence_logits[n, anchor] == cell[k * c + shape]
        assert raw.deltas[n, anchor].tolist() == [cell[k * c + k + shape * 4 + i] for i in range(4)]


def test_batched_is_one_by_one():
    torch.manual_seed(0)
    net = build_net("sqdet", 2, 3).eval()
    images = torch.randn(3, 3, 64, 80)
    with torch.no_grad():
        torch.testing.assert_close(net(images), torch.cat([net(image[None]) for image in images]), rtol=1e-4, atol=1e-5)


def test_an_untrained_net_says_no_object_with_one_percent():
    torch.manual_seed(0)
    net = build_net("sqdet", 9, 20).eval()
    with torch.no_grad():
        confidence = net.split(net(torch.randn(1, 3, 64, 64) * 50)).confidence_logits.sigmoid()
    assert confidence.median().item() == pytest.approx(0.01, abs=0.005)


def test_a_fire_module_is_its_three_convolutions():
    torch.manual_seed(0)
    fire, x = Fire(5, 3, 4, 6).eval(), torch.randn(2, 5, 7, 8)
    squeezed = torch.relu(nn.functional.conv2d(x, fire.squeeze[0].weight, fire.squeeze[0].bias))
    one = torch.relu(nn.functional.conv2d(squeezed, fire.expand_1x1[0].weight, fire.expand_1x1[0].bias))
    three = torch.relu(nn.functional.conv2d(squeezed, fire.expand_3x3[0].weight, fire.expand_3x3[0].bias, padding=1))
    torch.testing.assert_close(fire(x), torch.cat([one, three], dim=1))
    assert fire.out_channels == fire(x).shape[1] == 10


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 0.0), (0.01, -0.01)])
def test_leaky_slope_reaches_the_backbone(slope: float, expected: float):
    features = SqueezeNetFeatures("1.0", slope)
    assert features.relu_conv1(torch.tensor(-1.0)).item() == pytest.approx(expected)
    assert features.fire9.expand_3x3[-1](torch.tensor(-1.0)).item() == pytest.approx(expected)


def test_the_classifier_gives_one_row_of_logits_a_picture():
    assert SqueezeNet("1.0", num_classes=7).eval()(torch.zeros(2, 3, 65, 65)).shape == (2, 7)


def test_dropout_is_before_convdet_and_off_in_evaluation():
    net = SqueezeDet(NetConfig(dropout=0.5), 2, len(VOC_LABELS))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(net(image), net(image))
        net.eval()
        assert torch.equal(net(image), net(image))


def test_an_input_too_small_is_said():
    net = build_net("squeezedet-2017", 1, 1)
    with pytest.raises(TrainError, match="an input of 48 x 64 px is too small for this net"):
        net.grid_hw((48, 64))
    assert net.training


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no net called 'yolo'; there are sqdet"):
        build_net("yolo", 9, 20)
    with pytest.raises(ValueError, match="SqueezeNet version '1.2', expected one of 1.0, 1.1"):
        build_net("sqdet", 9, 20, backbone="1.2")
