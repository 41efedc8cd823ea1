"""Forward time of a float model and its int8 twin, taking turns in one run.

    python benchmarks/speed/int8.py float.onnx int8.onnx [--rounds 60] [--threads 2]

Each round times both on the same sample image, so that a slow moment of the machine hits them alike. Printed are
each file's size, the kinds of layers that OpenCV made of its convolutions (Convolution and Conv2 compute in float,
ConvolutionInt8 and Conv2Int8 in integers), the median and the lowest time, and the median ratio of a round.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from pathlib import Path

import cv2

from benchmarks.lib.turns import take_turns
from sqdet_cv import Detector, SqdetError
from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.dnn.preprocess import images_to_blob

PICTURES = Path(__file__).parents[2] / "samples" / "pictures"


def convolution_kinds(path: Path) -> str:
    """As in `31 Conv2Int8, 1 Conv2`."""
    net = read_onnx(path.read_bytes(), str(path))
    kinds = Counter(net.getLayer(name).type for name in net.getLayerNames())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if kind.startswith("Conv"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("float_model", type=Path)
    parser.add_argument("int8_model", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, help="default: OpenCV's choice")
    args = parser.parse_args()
    if args.threads:
        cv2.setNumThreads(args.threads)

    image = cv2.imread(str(PICTURES / "cat.jpg"))
    paths = {"float": args.float_model, "int8": args.int8_model}
    try:
        detectors = {name: Detector(path) for name, path in paths.items()}
    except SqdetError as error:
        raise SystemExit(f"error: {error}") from None
    blobs = {name: images_to_blob([image], detector.spec) for name, detector in detectors.items()}
    turns = take_turns({name: partial(one.forward, blobs[name]) for name, one in detectors.items()}, args.rounds)
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads, {args.rounds} rounds")
    for name, path in paths.items():
        width, height = detectors[name].spec.input_wh
        print(
            f"{name:>5}: median {turns[name].ms:.2f} ms, {turns[name].cpu_ms:.2f} ms of CPU; "
            f"{width} x {height} px, {path.stat().st_size} bytes, {convolution_kinds(path)}"
        )
    print(f"int8 / float = {turns['int8'].ratio:.2f}")


if __name__ == "__main__":
    main()
