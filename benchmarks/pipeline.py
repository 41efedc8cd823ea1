"""What each step of a detection costs: pre-processing, forward pass, post-processing, in one run.

    python benchmarks/pipeline.py [--model M.onnx] [--rounds 40] [PICTURE ...]

The rounds go over all pictures; the steps of a picture are timed one after the other, so that a slow moment of the
machine hits them alike. Printed are medians and the share of pre + post in the forward pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2

from sqdet_cv import Detector
from sqdet_cv.postprocess import finish, select_convdet
from sqdet_cv.preprocess import images_to_blob

PICTURES = sorted((Path(__file__).parent.parent / "samples" / "pictures").glob("*.jpg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path, default=PICTURES)
    parser.add_argument("--model", help="exported .onnx with the convdet head (default: the embedded model)")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()

    detector = Detector(args.model)
    images = [cv2.imread(str(path)) for path in args.pictures]
    steps = {"pre": [], "forward": [], "post": []}
    for i in range(10 + args.rounds):  # the first ten only warm up
        for image in images:
            t0 = time.perf_counter()
            blob = images_to_blob([image], detector.spec)
            t1 = time.perf_counter()
            outputs = detector.forward(blob)
            t2 = time.perf_counter()
            candidates = select_convdet(*(o[0] for o in outputs), detector.spec, detector.score_threshold)
            finish(*candidates, detector.spec, image.shape[1::-1], detector.nms_threshold)
            t3 = time.perf_counter()
            if i >= 10:
                for times, ms in zip(steps.values(), (t1 - t0, t2 - t1, t3 - t2)):
                    times.append(1000 * ms)
    medians = {name: statistics.median(times) for name, times in steps.items()}
    width, height = detector.spec.input_wh
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads, {width} x {height} px, {len(images)} pictures")
    print(", ".join(f"{name} {ms:.2f} ms" for name, ms in medians.items()))
    print(f"(pre + post) / forward = {100 * (medians['pre'] + medians['post']) / medians['forward']:.1f} %")


if __name__ == "__main__":
    main()
