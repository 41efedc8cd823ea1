"""How small a model packs, against the entropy of its weights and a canonical Huffman coder, and how fast it unpacks.

    python -m benchmarks.size.packed MODEL.onnx [--rounds 15]
    python -m benchmarks.size.packed --synthetic [--rounds 15]    the paper's net (3.1 M parameters), pruned and shared

A line for each shared tensor above 10,000 items: its entropy (of items, or of gaps and stored items if that is less),
and how much longer than that are the stream with its code tables and record, and the same indices and gaps by a
canonical Huffman coder with a table of one byte a symbol and the same record. Codebooks are left out of all three.
Then the file, and the times of unpacking: wall and CPU.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import time
from pathlib import Path

import numpy as np

from export.packed.onnx_tensors import find_tensors
from export.packed.writer import encode, pack
from sqdet_cv.dnn.packed import TENSOR_FORMAT, unpack

SHOWN_ITEMS = 10_000
ZEROS, CLUSTERS = 0.67, 256  # of the synthetic net: as in Deep Compression's SqueezeNet


def entropy_bytes(symbols: np.ndarray) -> float:
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-(counts * np.log2(counts / len(symbols))).sum() / 8)


def canonical_huffman_bytes(symbols: np.ndarray) -> float:
    """Optimal prefix codes; a table of one byte a symbol."""
    counts = np.unique(symbols, return_counts=True)[1].tolist()
    heapq.heapify(counts)
    table, bits = len(counts), 0
    while len(counts) > 1:  # a merge lengthens the codes of all below it by a bit
        merged = heapq.heappop(counts) + heapq.heappop(counts)
        heapq.heappush(counts, merged)
        bits += merged
    return table + bits / 8


def tensor_line(name: str, data: bytes, item_bytes: int) -> str | None:
    """The line of a tensor; None where its items are not shared."""
    items = np.frombuffer(data, f"<u{item_bytes}")
    tensor, stream = encode(data, item_bytes)
    if not tensor.codebook:
        return None
    positions = np.flatnonzero(items)
    gaps = np.diff(positions, prepend=-1) - 1
    entropy = min(entropy_bytes(items), entropy_bytes(items[positions]) + entropy_bytes(gaps))
    huffman = min(
        canonical_huffman_bytes(items), canonical_huffman_bytes(items[positions]) + canonical_huffman_bytes(gaps)
    )
    ours = len(stream) - tensor.codebook * item_bytes
    coded = "sparse" if tensor.stored < tensor.items else "dense"
    zeros = 100 * (1 - len(positions) / len(items))
    over, huffman_over = (100 * ((size + TENSOR_FORMAT.size) / entropy - 1) for size in (ours, huffman))
    return (
        f"{name:>10} {len(items):9d} {zeros:6.1f} {tensor.codebook:8d} {coded:>7} {entropy:9.0f} {over:7.2f} "
        f"{huffman_over:9.2f}"
    )


def synthetic_model() -> bytes:
    """The paper's SqueezeDet with random weights, each layer pruned and rounded to clusters of its own."""
    import torch  # needed here alone

    from export.graph.trace import trace
    from export.onnx.model import INPUT, detector_model
    from sqdet_cv import ModelSpec
    from train.models import build_net

    torch.manual_seed(0)
    net = build_net("squeezedet", 9, 20).eval()
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            values = parameter.detach().numpy()
            values[:] = rng.normal(0, values.std(), values.shape)
            step = 6 * values.std() / (CLUSTERS - 2)
            rounded = (np.clip(np.round(values / step), -CLUSTERS // 2 + 1, CLUSTERS // 2 - 1) + 0.25) * step
            values[:] = np.where(np.abs(values) < np.quantile(np.abs(values), ZEROS), 0, rounded)
    spec = ModelSpec.single(tuple(f"c{i}" for i in range(20)), (416, 416), net.grid_hw((416, 416)), ((64.0, 64.0),) * 9)
    return detector_model(trace(net, INPUT), spec, "convdet").SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--synthetic", action="store_true", help="make a net instead")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if (args.model is None) == (not args.synthetic):
        parser.error("give either a model or --synthetic")
    onnx = synthetic_model() if args.synthetic else args.model.read_bytes()

    print(
        f"{'tensor':>10} {'items':>9} {'zero %':>6} {'codebook':>8} {'coded':>7} {'entropy':>9} {'over %':>7} huffman %"
    )
    for number, hole in enumerate(find_tensors(onnx)):
        if (hole.stop - hole.start) // hole.item_bytes > SHOWN_ITEMS:
            line = tensor_line(str(number + 1), onnx[hole.start : hole.stop], hole.item_bytes)
            print(line or f"{number + 1:10d}  not shared")
    packed = pack(onnx)
    print(f"{len(onnx)} bytes pack into {len(packed)}: {len(onnx) / len(packed):.1f} times smaller")
    wall, cpu = [], []
    for _ in range(2 + args.rounds):
        times = time.perf_counter(), time.process_time()
        unpacked, _ = unpack(packed, "packed")
        wall.append(1000 * (time.perf_counter() - times[0]))
        cpu.append(1000 * (time.process_time() - times[1]))
    assert unpacked == onnx
    for name, values in (("wall", wall[2:]), ("CPU", cpu[2:])):
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"unpacks in {median:.1f} ms {name} time (median; {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
