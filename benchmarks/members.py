"""Which member of the family gives most mAP per millisecond: each trained alike for a short while, and timed.

    python -m benchmarks.members --data DIR --init IMAGENET.npz --out OUT [--epochs 2] [--only NAME,NAME...]
        [--rounds 60]

Each of MEMBERS begins with the ImageNet weights of SqueezeNet v1.1 and is trained on the list `train`: the same photos
in the same order with the same random views, learning rates and loss; conv1 to fire3 do not learn. What it has in the
end goes to OUT/members.json as it comes: the parts of the loss on the list `val`, which say more of nets trained so
shortly than the mAP beside them. The same command goes on with what is there, one member at a time. At last all take
turns in cv2.dnn, with random weights, which cost the same time. The table goes to OUT/members.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from benchmarks.errors import one_line_errors
from benchmarks.turns import forward_pass, settings, take_turns
from export.graph import trace
from export.onnx_model import INPUT, detector_model
from sqdet_cv.files import write_text_atomically
from sqdet_cv.spec import ModelSpec
from train.compress.structured import multiply_adds
from train.data.sample import VocSample
from train.errors import TrainError
from train.fit import Fit, FitConfig, load_samples, new_spec
from train.labels import parse_labels
from train.models.fire import ConvAct, Fire
from train.models.squeezedet import NETS, NetConfig, SqueezeDet
from train.weights import initialise

SQDET = NETS["sqdet"][0]
SIDE_CHANNELS = 64  # of fire5 that reach the head by the side way


class BypassedFire(Fire):
    """What goes in is added to what comes out (simple bypass, arXiv 1602.07360, section 6)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class WithBypass(SqueezeDet):
    """A SqueezeDet with a bypass around each Fire that does not change the number of channels."""

    def __init__(self, config: NetConfig, num_shapes: int, num_classes: int) -> None:
        super().__init__(config, num_shapes, num_classes)
        for part in (self.features, self.head):
            for fire in part.children():
                if isinstance(fire, Fire) and fire.squeeze[0].in_channels == fire.out_channels:
                    fire.__class__ = BypassedFire  # the same weights under the same names


class WithPools(SqueezeDet):
    """A SqueezeDet that pools after other layers than its version does."""

    pool_after: tuple[str, str, str]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layers = dict(self.features.named_children())
        pools = [layers.pop(f"pool{1 + i}") for i in range(len(self.pool_after))]
        for name, layer in layers.items():
            x = layer(x)
            if name in self.pool_after:
                x = pools.pop(0)(x)
        return self.convdet(self.dropout(self.head(x)))


class PoolsEarlier(WithPools):
    pool_after = ("relu_conv1", "fire2", "fire4")


class PoolsLater(WithPools):
    pool_after = ("relu_conv1", "fire4", "fire6")


class WithSideWay(SqueezeDet):
    """A SqueezeDet whose head sees fire5 too, at twice the resolution of its grid, by a convolution of stride 2."""

    def __init__(self, config: NetConfig, num_shapes: int, num_classes: int) -> None:
        super().__init__(config, num_shapes, num_classes)
        channels = self.features.fire5.out_channels
        self.side = ConvAct(channels, SIDE_CHANNELS, 3, norm=True, leaky_slope=config.leaky_slope)
        self.side[0].stride, self.side[0].padding = (2, 2), (0, 0)
        wide = Fire(self.features.out_channels + SIDE_CHANNELS, *config.head_fires[0], norm=config.head_norm)
        nn.init.kaiming_normal_(self.side[0].weight, nonlinearity="relu")
        self.head.fire10 = wide
        self._initialise_head()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name, layer in self.features.named_children():
            x = layer(x)
            if name == "fire5":
                side = self.side(x)
        return self.convdet(self.dropout(self.head(torch.cat([x, side], dim=1))))


@dataclass(frozen=True)
class Member:
    """A shape, and the input size it is trained and timed at."""

    meaning: str
    config: NetConfig = SQDET
    net: Callable[[NetConfig, int, int], SqueezeDet] = SqueezeDet
    size: int = 256


MEMBERS = {
    "sqdet": Member("two Fires 96-160-160, ConvDet 1x1"),
    "bypass": Member("a bypass around fire3, 5, 7, 9 and 11", net=WithBypass),
    "pools earlier": Member("after conv1, fire2, fire4 (v1.1: conv1, fire3, fire5)", net=PoolsEarlier),
    "pools later": Member("after conv1, fire4, fire6", net=PoolsLater),
    "side way": Member("the head sees fire5 too (64 channels, 3x3 of stride 2)", net=WithSideWay),
    "ConvDet 3x3": Member("instead of 1x1", replace(SQDET, convdet_kernel=3, convdet_padding=1)),
    "one Fire": Member("96-160-160 once", replace(SQDET, head_fires=SQDET.head_fires[:1])),
    "three Fires": Member("96-160-160 three times", replace(SQDET, head_fires=SQDET.head_fires[:1] * 3)),
    "wide Fires": Member("the paper's, 96-384-384", replace(SQDET, head_fires=NetConfig().head_fires)),
    "320 px": Member("sqdet at 320 px", size=320),
}


def options(args: argparse.Namespace, name: str) -> FitConfig:
    return FitConfig(
        out=str(Path(args.out) / name.replace(" ", "-")),
        data=args.data,
        init=args.init,
        sizes=f"{MEMBERS[name].size}:{args.epochs}",
        ema=0.99,  # 0.999 would still hold much of the first steps after so few
        watch=0,
    )


def build(name: str, config: FitConfig, first: ModelSpec) -> tuple[SqueezeDet, ModelSpec]:
    """The net with random weights, drawn alike for all members, and its geometry; the anchors are those of `first`."""
    torch.manual_seed(config.seed)
    member = MEMBERS[name]
    net = member.net(member.config, first.num_shapes, first.num_classes)
    size = (member.size,) * 2
    return net, first.resized(size, net.grid_hw(size))


def trained(name: str, config: FitConfig, first: ModelSpec, samples: list[VocSample]) -> dict:
    """A whole run; its last epoch as a row."""
    net, spec = build(name, config, first)
    initialise(net, config.init)
    begun = time.monotonic()
    fit = Fit(config, net, spec, samples)
    fit.out.mkdir(parents=True, exist_ok=True)
    fit.run()
    return fit.history[-1] | {"minutes": (time.monotonic() - begun) / 60}


def table(rows: dict[str, dict]) -> str:
    """Markdown; times are ratios to the first row's."""
    lines = ["| member | | parameters | MMAC | time | box | confidence+ | confidence- | class | sum | val mAP |"]
    lines.append("|---" * 11 + "|")
    for name, row in rows.items():
        parts = [row[f"val_{part}"] for part in ("box", "conf_pos", "conf_neg", "class")]
        losses = " | ".join(f"{value:.3f}" for value in (*parts, sum(parts)))
        lines.append(
            f"| {name} | {MEMBERS[name].meaning} | {row['parameters'] / 1e6:.2f} M | {row['macs'] / 1e6:.0f} "
            f"| {row['time']:.2f} | {losses} | {100 * row['val_map']:.1f} |"
        )
    return "\n".join(lines) + "\n"


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--init", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--only", default="", metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(MEMBERS)
    if unknown := [name for name in names if name not in MEMBERS]:
        raise TrainError(f"--only {unknown[0]}: there are {', '.join(MEMBERS)}")
    path = Path(args.out) / "members.json"
    rows: dict[str, dict] = json.loads(path.read_text()) if path.is_file() else {}
    base, labels = options(args, "sqdet"), parse_labels("")
    samples = load_samples(base, labels)
    first = new_spec(base, SqueezeDet(SQDET, base.shapes, len(labels)), labels, samples)
    for name in names:
        if name not in rows:
            rows[name] = trained(name, options(args, name), first, samples)
            write_text_atomically(path, json.dumps(rows, indent=1) + "\n")
    found = {name: rows[name] for name in names}
    runs = {}
    for name, row in found.items():
        net, spec = build(name, options(args, name), first)
        row |= {"parameters": sum(one.numel() for one in net.parameters()), "macs": multiply_adds(net, spec.input_wh)}
        model = detector_model(trace(net.eval(), INPUT), spec, "convdet").SerializeToString()
        runs[name] = forward_pass(model, spec, name)
    times = take_turns(runs, args.rounds)
    for name, row in found.items():
        row["time"] = times[name].ratio
    text = table(found)
    print(f"{settings()}; {names[0]} takes {times[names[0]].ms:.1f} ms\n{text}")
    write_text_atomically(Path(args.out) / "members.md", text)


if __name__ == "__main__":
    main()
