"""What it saves a training step on the CPU that freed memory is kept (train/allocator.py), and --amp (bfloat16).

    python -m benchmarks.train_step [MODEL] [--batch 16] [--steps 10] [--rounds 3]

Forward and backward pass of the released detector, or of MODEL, with BatchNorm again in its Fires and conv1 to fire3
frozen, on noise. Processes of each way take turns; their first two steps do not count.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.errors import one_line_errors
from train.allocator import keep_freed_memory
from train.checkpoint import net_from_checkpoint
from train.fold import with_norms
from train.optim import freeze, train_mode

RELEASED = Path(__file__).parent.parent / "sqdet_cv" / "models" / "sqdet_voc.sqdet"
WARM_UP = 2
WAYS = {"given back": (False, False), "kept": (True, False), "kept, --amp": (True, True)}  # kept, bfloat16


def measure(model: str, batch: int, steps: int, amp: bool) -> tuple[float, float]:
    """Seconds, and thousands of pages touched for the first time, of a step in this process."""
    net, spec = net_from_checkpoint(model)
    width, height = spec.input_wh
    torch.manual_seed(0)
    images = torch.randn(batch, 3, height, width).contiguous(memory_format=torch.channels_last)
    net = with_norms(net, [images]).to(memory_format=torch.channels_last)
    freeze(net, "conv1,fire2,fire3")
    train_mode(net)
    for i in range(WARM_UP + steps):
        if i == WARM_UP:
            begun, touched = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        net.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            raw = net(images)
        raw.float().square().mean().backward()
    seconds = (time.perf_counter() - begun) / steps
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - touched) / steps / 1000


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=str(RELEASED))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # of the processes that it starts
    args = parser.parse_args()
    if args.way:
        keep, amp = WAYS[args.way]
        if keep:
            keep_freed_memory()
        print(*measure(args.model, args.batch, args.steps, amp))
        return
    net_from_checkpoint(args.model)  # for its errors
    settings = [args.model, f"--batch={args.batch}", f"--steps={args.steps}"]
    command = [sys.executable, "-m", "benchmarks.train_step", *settings]
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
        for way, rows in found.items():
            ran = subprocess.run([*command, f"--way={way}"], stdout=subprocess.PIPE, text=True, check=True)
            rows.append([float(value) for value in ran.stdout.split()])
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; medians of {args.rounds} processes each")
    print("| memory, numbers | s a step | thousand pages touched | time |\n|---|---|---|---|")
    first = np.array(found["given back"])[:, 0]
    for way, rows in found.items():
        seconds, pages = np.median(rows, axis=0)
        print(f"| {way} | {seconds:.3f} | {pages:.1f} | {np.median(np.array(rows)[:, 0] / first):.2f} |")


if __name__ == "__main__":
    main()
