"""What each step of a detection costs: pre-processing, forward pass, post-processing, in one run.

    python -m benchmarks.speed.pipeline [--model M.onnx] [--rounds 40] [PICTURE ...]

The rounds go over all images; the steps of an image are timed one after the other, so that a slow moment of the
machine hits them alike. Printed are medians and the share of pre + post in the forward pass.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import cv2

from benchmarks.lib.steps import PICTURES, Steps, Stopwatch
from sqdet_cv import Detector

WARM_UP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path, default=PICTURES)
    parser.add_argument("--model", help="exported .onnx (default: the embedded model)")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()

    detector = Detector(args.model)
    stopwatch = Stopwatch(detector)
    images = [cv2.imread(str(path)) for path in args.pictures]
    times = [stopwatch(image) for _ in range(WARM_UP + args.rounds) for image in images][WARM_UP * len(images) :]
    medians = Steps(*(statistics.median(step) for step in zip(*times)))
    width, height = detector.spec.input_wh
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads, {width} x {height} px, {len(images)} images")
    print(", ".join(f"{name} {ms:.2f} ms" for name, ms in medians._asdict().items()))
    print(f"(pre + post) / forward = {100 * (medians.pre + medians.post) / medians.forward:.1f} %")


if __name__ == "__main__":
    main()
