"""What structured pruning of a detector saves in cv2.dnn and what it costs in mAP.

    python -m benchmarks.structured CHECKPOINT --data DIR --out OUT [--annotations DIR] [--shares 0,0.1,0.2,0.3,0.4,0.5]
        [--retrain EPOCHS] [--rounds 60]

CHECKPOINT is one of `python -m train fit`. At each share the net is made narrower as `python -m train compress
--structured` does it ("loss, refit"), without the refit of the weights ("loss"), and by the L1 norm of the filters as a
share of the mean of their layer, whatever they cost (arXiv 1608.08710; "L1 norm"). --retrain adds a run of `compress`
with so many epochs for each share. What is measured goes to OUT/structured.json as it comes; the same command goes on
with what is there. At last the nets take turns in cv2.dnn in one process: the times of the table are ratios to the
whole net's, by the clock and in CPU time of all threads. The table goes to OUT/structured.md, the picture to
OUT/structured.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks.errors import one_line_errors
from benchmarks.turns import forward_pass, settings, take_turns
from export.graph import trace
from export.onnx_model import INPUT, detector_model
from sqdet_cv.files import atomic_path, write_text_atomically
from train.checkpoint import load_checkpoint, net_from_checkpoint
from train.compress.compress import SLICE_PHOTOS, Compress, first_batches, save_plain
from train.compress.config import CompressConfig
from train.compress.refit import input_moments, refit
from train.compress.structured import choose, filter_costs, filters, loss_changes, multiply_adds, narrow
from train.data.source import open_dataset
from train.detectors import TorchDetector
from train.evaluation import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from train.fit import FitConfig
from train.fold import convolutions, fold
from train.models.squeezedet import SqueezeDet

ONE_SHOT = {"L1": "L1 norm", "loss": "loss", "refit": "loss, refit"}


def magnitudes(net: SqueezeDet) -> dict[str, torch.Tensor]:
    """The L1 norm of each filter as a share of the mean of its layer, since layers differ in scale."""
    norms = {name: convolutions(net)[name].weight.detach().abs().sum(dim=(1, 2, 3)) for name in filters(net)}
    return {name: norm / norm.mean() for name, norm in norms.items()}


class Bench:
    """The nets of a checkpoint, and what is known of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.out = args, Path(args.out)
        net, self.spec = net_from_checkpoint(args.checkpoint)
        self.net = fold(net)
        self.trained = FitConfig.from_saved(load_checkpoint(args.checkpoint)["config"])
        self.val = open_dataset(args.data, ["val"], self.spec.labels)
        self.path = self.out / "structured.json"
        self.rows: dict[str, dict] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def config(self, share: float, folder: str, epochs: int = 0) -> CompressConfig:
        return CompressConfig(
            out=str(self.out / folder),
            data=self.args.data,
            annotations=self.args.annotations,
            structured=share,
            epochs=epochs,
            narrow_part=1.0,
            sparsity=0.0,
            bits=0,
            size=self.spec.input_wh[0],
        )

    def slice_all(self, shares: list[float]) -> None:
        """Writes OUT/KIND-SHARE.pt of each that is missing."""
        missing = [
            (kind, share) for share in shares for kind in ONE_SHOT if not (self.out / f"{kind}-{share}.pt").exists()
        ]
        if not missing:
            return
        config = self.config(shares[0], "").fit_config(self.trained, "", 1, 0.001)
        batches = first_batches(config, self.spec, SLICE_PHOTOS)
        by_loss = loss_changes(self.net, batches, config.make_loss(self.spec))
        moments = input_moments(self.net, (batch.images for batch in batches))
        costs = filter_costs(self.net, self.spec.input_wh)
        for kind, share in missing:
            basis = (magnitudes(self.net), dict.fromkeys(costs, 1)) if kind == "L1" else (by_loss, costs)
            kept = choose(*basis, filters(self.net), share)
            small = narrow(self.net, kept)
            if kind == "refit":
                refit(small, self.net, kept, moments)
            save_plain(
                self.out / f"{kind}-{share}.pt", small, self.spec, load_checkpoint(self.args.checkpoint)["config"]
            )

    def retrained(self, share: float) -> Path:
        """compressed.pt of a run of `compress`, which is begun or gone on with."""
        run = self.out / f"retrained-{share}"
        if not (run / "folded.pt").exists():
            Compress.start(self.config(share, run.name, self.args.retrain), self.args.checkpoint).run()
        elif not (run / "compressed.pt").exists():
            Compress.resume(str(run)).run()
        return run / "compressed.pt"

    def measure(self, name: str, kind: str, share: float, net: SqueezeDet) -> None:
        if name in self.rows:
            return
        detector = TorchDetector(net, self.spec, EVAL_SCORE_THRESHOLD)
        value = mean_ap(evaluate(detector, self.val, self.spec.labels))
        whole = sum(self.net_filters(self.net).values())
        self.rows[name] = {
            "kind": kind,
            "share": share,
            "gone": 1 - sum(self.net_filters(net).values()) / whole,
            "macs": multiply_adds(net, self.spec.input_wh) / multiply_adds(self.net, self.spec.input_wh),
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "map": value,
        }
        write_text_atomically(self.path, json.dumps(self.rows, indent=1) + "\n")
        print(f"{name}: mAP {100 * value:.1f}", flush=True)

    @staticmethod
    def net_filters(net: SqueezeDet) -> dict[str, int]:
        return {name: convolutions(net)[name].out_channels for name in filters(net)}


def table(rows: dict[str, dict]) -> str:
    lines = ["| filters by | share | gone | multiply-adds | parameters | time | CPU time | mAP |"]
    lines.append("|---" * 8 + "|")
    lines += [
        f"| {row['kind']} | {row['share']} | {100 * row['gone']:.0f} % | {row['macs']:.2f} | {row['parameters']:,} "
        f"| {row['time']:.2f} | {row['cpu_time']:.2f} | {100 * row['map']:.1f} |"
        for row in rows.values()
    ]
    return "\n".join(lines) + "\n"


def plot(path: Path, rows: dict[str, dict]) -> None:
    """mAP by the CPU time of a forward pass, a line a kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    whole = rows["whole"]
    for kind in dict.fromkeys(row["kind"] for row in rows.values() if row["share"]):
        line = [whole, *(row for row in rows.values() if row["kind"] == kind)]
        axes.plot([row["cpu_time"] for row in line], [100 * row["map"] for row in line], "o-", label=kind)
        for row in line[1:]:
            axes.annotate(
                f"{row['share']:g}",
                (row["cpu_time"], 100 * row["map"]),
                xytext=(4, 5),
                textcoords="offset points",
                fontsize=8,
            )
    axes.plot(whole["cpu_time"], 100 * whole["map"], "ks", label="whole", zorder=3)
    axes.set_xlabel("CPU time of a forward pass in cv2.dnn, as a share of the whole net's")
    axes.set_ylabel("mAP on the list val")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(title="filters chosen by", loc="lower right")
    axes.set_title("Structured pruning: share of the Fires' filters taken out")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=True)
    parser.add_argument("--annotations", default="")
    parser.add_argument("--out", required=True)
    parser.add_argument("--shares", default="0.1,0.2,0.3,0.4,0.5")
    parser.add_argument("--retrain", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    shares = [float(share) for share in args.shares.split(",") if float(share)]
    bench = Bench(args)
    bench.slice_all(shares)
    nets, found = {"whole": bench.net}, [("whole", "-", 0.0)]
    for kind, label in ONE_SHOT.items():
        found += [(f"{kind}-{share}", label, share) for share in shares]
    for name, _, _ in found[1:]:
        nets[name], _ = net_from_checkpoint(bench.out / f"{name}.pt")
    for share in shares if args.retrain else ():
        name = f"retrained-{share}"
        nets[name], _ = net_from_checkpoint(bench.retrained(share))
        found.append((name, f"loss, refit, {args.retrain} epochs", share))
    for name, kind, share in found:
        bench.measure(name, kind, share, nets[name])
    rows = {name: bench.rows[name] for name, _, _ in found}
    onnx = {
        name: detector_model(trace(net, INPUT), bench.spec, "convdet").SerializeToString() for name, net in nets.items()
    }
    runs = {name: forward_pass(model, bench.spec, name) for name, model in onnx.items()}
    times = take_turns(runs, args.rounds)
    for name, turns in times.items():
        rows[name] |= {"time": turns.ratio, "cpu_time": turns.cpu_ratio}
    text = table(rows)
    print(
        f"{settings()}, {bench.spec.input_wh[0]} px, {len(bench.val)} photos; the whole net takes "
        f"{times['whole'].ms:.1f} ms\n{text}"
    )
    write_text_atomically(bench.out / "structured.md", text)
    plot(bench.out / "structured.png", rows)


if __name__ == "__main__":
    main()
