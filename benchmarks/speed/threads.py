"""Many threads that detect: one Detector for all, whose forward passes take turns, against one for each.

    python -m benchmarks.speed.threads [--model M.onnx] [--rounds 20]

In each round every number of threads has its turn with both, over the sample images. Printed are images a second, the
ratio of "one each" to "one for all" in the same round (medians), the same of CPU time an image, and what the Detectors
take of memory. On a busy machine more threads get a larger share of the cores, which favours "one each": there only the
CPU time tells how much work it saves.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

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
    print("| threads | one for all, images/s | one each, images/s | ratio | CPU ratio |\n|---|---|---|---|---|")
    for threads in THREADS:
        pairs = []
        for _ in range(args.rounds + 1):
            pairs.append((run(images, [shared] * threads), run(images, own[:threads])))
        del pairs[0]  # warms up
        together, each = (statistics.median(runs[k].images_per_s for runs in pairs) for k in (0, 1))
        ratio = statistics.median(b.images_per_s / a.images_per_s for a, b in pairs)
        cpu = statistics.median(b.cpu_s / a.cpu_s for a, b in pairs)
        print(f"| {threads} | {together:.1f} | {each:.1f} | {ratio:.2f} | {cpu:.2f} |", flush=True)


class Run(NamedTuple):
    """Images a second by the clock, and seconds of CPU of all threads for all images."""

    images_per_s: float
    cpu_s: float


def run(images: Sequence[np.ndarray], detectors: Sequence[Detector]) -> Run:
    """All images once, with a thread for each of `detectors`."""
    parts = [images[i :: len(detectors)] for i in range(len(detectors))]
    start, cpu_start = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(len(detectors)) as pool:
        list(pool.map(lambda pair: [pair[0](image) for image in pair[1]], zip(detectors, parts)))
    return Run(len(images) / (time.perf_counter() - start), time.process_time() - cpu_start)


def resident_mib() -> float:
    """Memory of this process, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
