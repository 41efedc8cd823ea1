"""Does CUDA find what the CPU finds, and how fast? For a machine whose OpenCV has CUDA.

    python benchmarks/speed/cuda_check.py [--model M.onnx] [--rounds 50] [PICTURE ...]

Compares the raw tensors of both heads' scores (confidence x class score) on every image, and times the forward pass
of one image, the backends taking turns. Exit codes: 0 equal, 1 not equal or CUDA refused, 2 this OpenCV has no CUDA.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.turns import take_turns
from sqdet_cv import BackendError, Detector, SqdetError
from sqdet_cv.dnn.backends import choose_backend
from sqdet_cv.dnn.preprocess import images_to_blob

PICTURES = sorted((Path(__file__).parents[2] / "samples" / "pictures").glob("*.jpg"))

# Largest difference of a score from the CPU's. A float16 has 11 bits: 5e-4 of the value is lost at every rounding.
LIMITS = {"cuda": 1e-3, "cuda-fp16": 1e-2}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path, default=PICTURES)
    parser.add_argument("--model", type=Path, help="exported .onnx (default: the embedded model)")
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args(argv)
    try:
        choose_backend("cuda")
    except BackendError as error:
        print(f"cuda_check: {error}", file=sys.stderr)
        return 2
    try:
        return check(args.model, args.pictures, args.rounds)
    except SqdetError as error:
        print(f"cuda_check: {error}", file=sys.stderr)
        return 1


def check(model: Path | None, pictures: list[Path], rounds: int) -> int:
    """Prints a line a backend; 0 if every one that started stays below its limit."""
    cpu = Detector(model, backend="opencv")
    detectors = {"opencv": cpu, "cuda": Detector(model, backend="cuda")}
    try:
        detectors["cuda-fp16"] = Detector(model, backend="cuda-fp16")
    except BackendError as error:  # a GPU or an OpenCV without float16 is no failure of "cuda"
        print(error)
    blobs = [images_to_blob([cv2.imread(str(path))], cpu.spec) for path in pictures]

    turns = take_turns({name: partial(one.forward, blobs[0]) for name, one in detectors.items()}, rounds)

    print(f"OpenCV {cv2.__version__}, input {cpu.spec.input_wh}, {len(blobs)} images, medians of {rounds} forwards")
    differs = False
    for name, detector in detectors.items():
        difference = max(np.abs(scores(detector, blob) - scores(cpu, blob)).max() for blob in blobs)
        differs |= difference > LIMITS.get(name, 0.0)
        print(f"{name:<10} {turns[name].ms:7.2f} ms, scores differ by at most {difference:.1e}")
    return int(differs)


def scores(detector: Detector, blob: np.ndarray) -> np.ndarray:
    """(1, A, C), every score of every anchor."""
    tensors = detector.forward(blob)
    if len(tensors) == 2:  # the `decoded` head: boxes, scores
        return tensors[1]
    _, class_scores, confidence = tensors
    return class_scores * confidence[..., None]


if __name__ == "__main__":
    sys.exit(main())
