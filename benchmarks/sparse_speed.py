"""That a pruned and shared model out of a packed file is not slower in cv2.dnn than the dense one it came from.

    python -m benchmarks.sparse_speed RUN [--rounds 200] [--threads N]      (needs torch and onnx)

RUN is a folder of `python -m train compress`. cv2.dnn cannot use zeros or codebooks, so the two should take the same
time; the dense model is in the turns twice, and the ratio of the two says what is noise. What could slow a net down are
denormal numbers (below 1.2e-38), so those are counted, in the weights and in what every layer makes of the sample
pictures, and with them -0.0, which a packed file would have to store.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.turns import forward_pass, settings, take_turns
from export.graph import Layer, trace
from export.onnx_model import INPUT, detector_model
from export.packed import pack
from export.run_layers import run_layers
from sqdet_cv.packed import unpack
from sqdet_cv.preprocess import images_to_blob
from sqdet_cv.spec import ModelSpec
from train.checkpoint import net_from_checkpoint

PICTURES = Path(__file__).parent.parent / "samples" / "pictures"


def odd_numbers(values: np.ndarray) -> str:
    zero = values == 0
    denormal = ~zero & (np.abs(values) < np.finfo(np.float32).tiny)
    negative = zero & np.signbit(values)
    return f"{denormal.sum()} denormal, {negative.sum()} of -0.0, {zero.sum()} of 0"


def describe(name: str, layers: list[Layer], spec: ModelSpec) -> str:
    arrays = [array.ravel() for layer in layers for array in (layer.weight, layer.bias) if array is not None]
    outputs = []
    for path in sorted(PICTURES.glob("*.jpg")):
        blob = torch.from_numpy(images_to_blob([cv2.imread(str(path))], spec))
        with torch.no_grad():
            run_layers(layers, {INPUT: blob}, lambda _, tensor: outputs.append(tensor.numpy().ravel()) or tensor)
    parts = {"weights": np.concatenate(arrays), "outputs of layers": np.concatenate(outputs)}
    return "\n".join(f"{name}: of {values.size:,} {part} {odd_numbers(values)}" for part, values in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, help="default: OpenCV's choice")
    args = parser.parse_args()
    if args.threads:
        cv2.setNumThreads(args.threads)
    # The net that was pruned: narrower than folded.pt after --structured.
    dense = next(args.run / name for name in ("narrow.pt", "folded.pt") if (args.run / name).exists())
    models = {}
    for name, path in {"dense": dense, "compressed": args.run / "compressed.pt"}.items():
        net, spec = net_from_checkpoint(path)
        layers = trace(net, INPUT)
        print(describe(name, layers, spec))
        models[name] = detector_model(layers, spec, "convdet").SerializeToString()
    packed = pack(models["compressed"], spec.to_json())
    unpacked, _ = unpack(packed, "packed")
    print(f"{len(models['dense']):,} bytes of ONNX, {len(packed):,} packed")
    runs = {"dense": models["dense"], "dense again": models["dense"], "packed": unpacked}
    found = take_turns({name: forward_pass(onnx, spec, name) for name, onnx in runs.items()}, args.rounds)
    print(f"{settings()}, {spec.input_wh[0]} x {spec.input_wh[1]} px, {args.rounds} rounds")
    for name, turns in found.items():
        print(
            f"{name:>12}: {turns.ms:.2f} ms, ratio {turns.ratio:.3f}; {turns.cpu_ms:.2f} ms of CPU time, "
            f"ratio {turns.cpu_ratio:.3f}"
        )


if __name__ == "__main__":
    main()
