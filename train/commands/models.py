"""`python -m train models`: what each net of the registry costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn

from ..common.errors import TrainError
from ..models import NETS, SqueezeNet, build_net

CLASSIFIERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    f"squeezenet-{version}": (lambda version=version: SqueezeNet(version), f"SqueezeNet v{version}, arXiv 1602.07360")
    for version in ("1.0", "1.1")
}
CLASSIFIER_INPUT_WH = (227, 227)


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@torch.no_grad()
def count_macs(net: nn.Module, input_wh: tuple[int, int]) -> int:
    """Multiply-accumulates of all convolutions for one image. Biases, norms and activations are not counted."""
    macs = 0

    def add(conv: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output[0, 0].numel() * conv.weight.numel()

    hooks = [module.register_forward_hook(add) for module in net.modules() if isinstance(module, nn.Conv2d)]
    was_training = net.training
    net.eval()
    net(torch.zeros(1, 3, input_wh[1], input_wh[0]))
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    return macs


def table(shapes: int, classes: int) -> str:
    """Markdown: a row for each detector, with that many anchor shapes and classes, and for each classifier."""
    lines = ["| net | input | parameters | GMAC | float32 | source |", "|---|---|---|---|---|---|"]
    rows = [(name, build_net(name, shapes, classes), input_wh, source) for name, (_, source, input_wh) in NETS.items()]
    rows += [(name, build(), CLASSIFIER_INPUT_WH, source) for name, (build, source) in CLASSIFIERS.items()]
    for name, net, input_wh, source in rows:
        parameters, gmac = count_parameters(net), count_macs(net, input_wh) / 1e9
        lines.append(
            f"| {name} | {input_wh[0]} x {input_wh[1]} | {parameters:,} | {gmac:.2f} "
            f"| {4 * parameters / 1e6:.2f} MB | {source} |"
        )
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shapes", type=int, default=9, help="anchor shapes per cell (default: 9)")
    parser.add_argument("--classes", type=int, default=20, help="object classes (default: 20)")


def run(args: argparse.Namespace) -> None:
    for name in ("shapes", "classes"):
        if getattr(args, name) < 1:
            raise TrainError(f"--{name} {getattr(args, name)}: expected 1 or more")
    print(table(args.shapes, args.classes))
