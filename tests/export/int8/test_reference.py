"""The exact int8 arithmetic against PyTorch's own fake quantisation of the net's modules."""

import copy

import torch
from torch import Tensor, nn

from export.check import sample_pictures
from export.graph.trace import trace
from export.int8.calibrate import collect_ranges, input_range
from export.int8.quantize import Quantiser, choose_quantisers
from export.int8.reference import Int8Net
from export.onnx.model import INPUT
from sqdet_cv.dnn.preprocess import images_to_blob
from tests.released import PHOTOS
from tests.write_int8_model import TinyDetector, tiny_detector
from train.data.cache import read_image


def fake_quantised(net: TinyDetector, photos: Tensor, image: Quantiser) -> TinyDetector:
    """A copy whose weights and activations are rounded by torch.fake_quantize_*; knows nothing of layer lists.

    Scales come from running the images through the copy's own modules. The two expansions of a Fire share theirs.
    """
    net = copy.deepcopy(net)
    activations = [module for module in net.modules() if isinstance(module, nn.ReLU | nn.LeakyReLU)]
    ends = {}  # activation -> its smallest and largest value
    watching = [
        activation.register_forward_hook(lambda me, args, out: ends.update({me: (out.min().item(), out.max().item())}))
        for activation in activations
    ]
    net(photos)
    for hook in watching:
        hook.remove()
    for fire in (net.layers.fire2, net.layers.fire3):
        pair = fire.expand_1x1[-1], fire.expand_3x3[-1]
        ends |= dict.fromkeys(pair, (min(ends[one][0] for one in pair), max(ends[one][1] for one in pair)))

    def round_activation(me: nn.Module, args: tuple, out: Tensor) -> Tensor:
        low, high = min(ends[me][0], 0.0), ends[me][1]
        step = (high - low) / 255
        return torch.fake_quantize_per_tensor_affine(out, step, round(-low / step), 0, 255)

    def round_input(me: nn.Module, args: tuple) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(args[0], float(image.scale), int(image.zero_point), 0, 255)

    net.register_forward_pre_hook(round_input)
    for activation in activations:
        activation.register_forward_hook(round_activation)
    for conv in (module for module in net.modules() if isinstance(module, nn.Conv2d)):
        steps = conv.weight.detach().abs().amax(dim=(1, 2, 3)) / 127
        zeros = torch.zeros(len(steps), dtype=torch.int32)
        conv.weight.data = torch.fake_quantize_per_channel_affine(conv.weight.detach(), steps, zeros, 0, -127, 127)
    return net


@torch.no_grad()
def test_same_as_fake_quantisation_by_pytorch():
    net, spec = tiny_detector()
    layers = trace(net, INPUT)
    ranges = collect_ranges(layers, spec, PHOTOS[:3])
    int8_net = Int8Net(net, layers, choose_quantisers(layers, ranges))
    photos = torch.from_numpy(images_to_blob([read_image(path) for path in PHOTOS[:3]], spec))
    reference = fake_quantised(net, photos, Quantiser.of_range(input_range(spec)))

    x = torch.from_numpy(images_to_blob(sample_pictures(2), spec))
    exact, expected, float_grid = int8_net(x), reference(x), net(x)
    cost = (exact - float_grid).abs().mean()
    assert cost > 1e-3 * float_grid.std()  # or there would be nothing to see
    # the reference sums in float32 and does not round biases, so that some of its values fall on the next step
    assert (exact - expected).abs().mean() < 0.05 * cost
