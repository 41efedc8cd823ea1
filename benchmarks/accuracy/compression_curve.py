"""What a detector's size costs in mAP: sparsity and bits of its shared weights, each point retrained and measured.

    python -m benchmarks.accuracy.compression_curve CHECKPOINT --data DIR --out OUT [--annotations DIR] [--splits train]
        [--val val] [--sparsities 0,0.2,0.4,0.6,0.8] [--bits 8,6,5,4] [--epochs 1] [--lr 0.003]

CHECKPOINT is one of `python -m train fit`. From one sparsity to the next the net is pruned while it is retrained
(`python -m train compress`, --epochs of --splits each), so the later have been trained longer; 0 is the
checkpoint itself. Each of these nets then shares its weights (k-means, the shared values are not retrained), is packed
as `python -m export packed` does it, and measured: bytes of the file, mAP on --val. What is measured goes to
OUT/curve.json as it comes; the same command goes on with what is there, also within a retraining. The table goes to
OUT/curve.md, the image to OUT/curve.png.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

from benchmarks.lib.errors import one_line_errors
from export.graph.trace import trace
from export.onnx.model import INPUT, detector_model
from export.packed.writer import pack
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import atomic_path, write_text_atomically
from train.checkpoints.native import net_from_checkpoint
from train.compress.config import MAX_BITS, CompressConfig
from train.compress.pipeline import Compress
from train.compress.sensitivity import numbers, read_scan
from train.compress.weight_sharing import share_counts, share_weights
from train.data.formats.open_dataset import load_dataset
from train.detectors.pytorch import TorchDetector
from train.evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap
from train.models import AnyNet
from train.models.fuse import convolutions, fuse_batchnorm
from train.models.profile import zero_share

BIAS_BITS = 6


def pruned_nets(args: argparse.Namespace, sparsities: list[float]) -> dict[float, Path]:
    """By sparsity the checkpoint of the retrained net, which is trained now where it is missing."""
    last, found = Path(args.checkpoint), {}
    for sparsity in sparsities:
        if sparsity:
            run = Path(args.out) / f"pruned-{sparsity}"
            config = CompressConfig(
                out=str(run),
                data=args.data,
                splits=args.splits,
                val=args.val,
                annotations=args.annotations,
                sparsity=sparsity,
                epochs=args.epochs,
                frozen=args.frozen,
                lr=args.lr,
                bits=0,
            )
            if not (run / "folded.pt").exists():
                Compress.start(config, str(last)).run()
            elif not (run / "compressed.pt").exists():
                Compress.resume(str(run)).run()
            last = run / "compressed.pt"
        found[sparsity] = last
    return found


def onnx_bytes(net: AnyNet, spec: ModelSpec) -> bytes:
    return detector_model(trace(net, INPUT), spec, "convdet").SerializeToString()


def shared(net: AnyNet, bits: int) -> AnyNet:
    """A copy whose layers have 2^bits values each, beside zero."""
    net = copy.deepcopy(net)
    share_weights(net, share_counts(net, dict.fromkeys(convolutions(net), bits), BIAS_BITS))
    return fuse_batchnorm(net)


def table(found: dict) -> str:
    """Markdown: a row a sparsity, a column a number of bits."""
    bits = found["bits"]
    lines = [
        "| pruned | float32 | " + " | ".join(f"{count} bits" for count in bits) + " |",
        "|---" * (len(bits) + 2) + "|",
    ]
    for sparsity in found["sparsities"]:
        points = [found["points"][f"{sparsity}-{count}"] for count in bits]
        cells = [
            f"{100 * point['map']:.1f}: {point['bytes'] / 1000:.0f} kB, {found['bytes'] / point['bytes']:.1f}x"
            for point in points
        ]
        lines.append(
            f"| {100 * points[0]['zeros']:.0f} % | {100 * found['float'][str(sparsity)]:.1f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines) + "\n"


def plot(path: Path, found: dict) -> None:
    """mAP by the bytes of the packed file, a line a sparsity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for sparsity in found["sparsities"]:
        points = [found["points"][f"{sparsity}-{count}"] for count in found["bits"]]
        kilobytes, maps = [point["bytes"] / 1000 for point in points], [100 * point["map"] for point in points]
        axes.plot(kilobytes, maps, "o-", label=f"{100 * sparsity:g} %")
        for count, x, y in zip(found["bits"], kilobytes, maps):
            axes.annotate(str(count), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    whole = 100 * found["float"][str(found["sparsities"][0])]
    axes.axhline(whole, color="k", linewidth=0.8, linestyle="--")
    axes.annotate(
        f"float32, {found['bytes'] / 1e6:.2f} MB: {whole:.1f}",
        (0, whole),
        xycoords=("axes fraction", "data"),
        xytext=(4, 4),
        textcoords="offset points",
        fontsize=8,
    )
    axes.axvline(found["bytes"] / 12000, color="grey", linewidth=0.8, linestyle=":")
    axes.annotate(
        "12 times smaller",
        (found["bytes"] / 12000, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        color="grey",
        fontsize=8,
    )
    axes.set_xlabel("packed file in kB; at the points: bits of the shared weights")
    axes.set_ylabel(f"mAP on {found['photos']} images")
    axes.grid(alpha=0.3)
    axes.legend(title="pruned", loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=True)
    parser.add_argument("--annotations", default="")
    parser.add_argument("--splits", default="train")
    parser.add_argument("--val", default="val")
    parser.add_argument("--out", required=True)
    parser.add_argument("--sparsities", default="0,0.2,0.4,0.6,0.8")
    parser.add_argument("--bits", default="8,6,5,4")
    parser.add_argument(
        "--epochs", type=int, default=1, help="of retraining from one sparsity to the next (default: 1)"
    )
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--frozen", default="", help="backbone layers that do not learn")
    args = parser.parse_args()
    sparsities = numbers(args.sparsities, float, 0, 0.999, "sparsities")
    bits = numbers(args.bits, int, 1, MAX_BITS, "bits")[::-1]
    path = Path(args.out) / "curve.json"
    net, spec = net_from_checkpoint(args.checkpoint)
    samples = load_dataset(args.data, args.val.split(","), spec.labels)
    asked = {name: getattr(args, name) for name in ("checkpoint", "data", "splits", "val", "epochs", "lr", "frozen")}
    asked |= {"sparsities": sparsities, "bits": bits, "photos": len(samples)}
    found = {"bytes": len(onnx_bytes(fuse_batchnorm(net), spec)), "float": {}, "points": {}} | read_scan(path, asked)

    def measure(net: AnyNet) -> float:
        return mean_ap(evaluate(TorchDetector(net, spec, EVAL_SCORE_THRESHOLD), samples, spec.labels))

    for sparsity, checkpoint in pruned_nets(args, sparsities).items():
        net = fuse_batchnorm(net_from_checkpoint(checkpoint)[0])
        if str(sparsity) not in found["float"]:
            found["float"][str(sparsity)] = measure(net)
        for count in bits:
            if f"{sparsity}-{count}" in found["points"]:
                continue
            small = shared(net, count)
            point = {"map": measure(small), "bytes": len(pack(onnx_bytes(small, spec), spec.to_json()))}
            found["points"][f"{sparsity}-{count}"] = point | {"zeros": zero_share(small)}
            write_text_atomically(path, json.dumps(found, indent=1) + "\n")
            print(
                f"{100 * sparsity:g} % pruned, {count} bits: {point['bytes']:,} bytes, mAP {100 * point['map']:.1f}",
                flush=True,
            )
    text = table(found)
    print(text)
    write_text_atomically(path.with_suffix(".md"), text)
    plot(path.with_suffix(".png"), found)


if __name__ == "__main__":
    main()
