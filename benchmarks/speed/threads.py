"""Many threads that detect: one Detector for all, whose forward passes take turns, against one for each.

    python -m benchmarks.speed.threads [--model M.onnx] [--rounds 20]

In each round every number of threads has its turn with both, over the sample images. Printed are images a second, the
ratio of "one each" to "one for all" in the same round (medians), and what the Detectors take of memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.steps import PICTURES
from sqdet_cv import Detector

THREADS = (1, 2, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="exported .onnx (default: the embedded model)")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()

    images = [cv2.imread(str(path)) for path in PICTURES]
    images = (images * max(THREADS))[: 8 * max(THREADS)]
    shared = Detector(args.model)
    shared(images[0])
    before = resident_mib()
    own = [Detector(args.model) for _ in range(max(THREADS))]
    for detector in own:
        detector(images[0])
    grown = (resident_mib() - before) / len(own)
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads of its own; {grown:.0f} MiB a Detector")
    print("| threads | one for all, images/s | one each, images/s | ratio |\n|---|---|---|---|")
    for threads in THREADS:
        pairs = []
        for _ in range(args.rounds + 1):
            pairs.append((rate(images, [shared] * threads), rate(images, own[:threads])))
        together, each = (statistics.median(column) for column in zip(*pairs[1:]))  # the first warms up
        ratio = statistics.median(b / a for a, b in pairs[1:])
        print(f"| {threads} | {together:.1f} | {each:.1f} | {ratio:.2f} |", flush=True)


def rate(images: Sequence[np.ndarray], detectors: Sequence[Detector]) -> float:
    """Images a second with a thread for each of `detectors`."""
    parts = [images[i :: len(detectors)] for i in range(len(detectors))]
    start = time.perf_counter()
    with ThreadPoolExecutor(len(detectors)) as pool:
        list(pool.map(lambda pair: [pair[0](image) for image in pair[1]], zip(detectors, parts)))
    return len(images) / (time.perf_counter() - start)


def resident_mib() -> float:
    """Memory of this process, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
