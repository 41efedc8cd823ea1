"""`python -m train models`: what each net of the registry costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from torch import nn

from ..common.options import require_at_least
from ..common.tables import markdown_table
from ..models import NETS, SqueezeNet, build_net
from ..models.profile import count_macs, count_parameters

CLASSIFIERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    f"squeezenet-{version}": (lambda version=version: SqueezeNet(version), f"SqueezeNet v{version}, arXiv 1602.07360")
    for version in ("1.0", "1.1")
}
CLASSIFIER_INPUT_WH = (227, 227)


def table(anchors_per_cell: int, num_classes: int) -> str:
    """Markdown: a row for each detector, with that many anchor shapes and classes, and for each classifier."""
    nets = [
        (name, build_net(name, anchors_per_cell, num_classes), input_wh, source)
        for name, (_, source, input_wh) in NETS.items()
    ]
    nets += [(name, build(), CLASSIFIER_INPUT_WH, source) for name, (build, source) in CLASSIFIERS.items()]
    rows = []
    for name, net, input_wh, source in nets:
        parameters, gmac = count_parameters(net), count_macs(net, input_wh) / 1e9
        size = f"{input_wh[0]} x {input_wh[1]}"
        rows.append([name, size, f"{parameters:,}", f"{gmac:.2f}", f"{4 * parameters / 1e6:.2f} MB", source])
    return markdown_table(["net", "input", "parameters", "GMAC", "float32", "source"], rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchors-per-cell", "--shapes", type=int, default=9, metavar="K", help="anchors per cell (default: 9)"
    )
    parser.add_argument("--classes", type=int, default=20, help="object classes (default: 20)")


def run(args: argparse.Namespace) -> None:
    require_at_least(args, {"anchors_per_cell": 1, "classes": 1})
    print(table(args.anchors_per_cell, args.classes))
