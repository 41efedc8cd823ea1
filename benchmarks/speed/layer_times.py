"""Where a forward pass spends its time: milliseconds per kind of layer, in the OpenCV of this Python.

    python -m benchmarks.speed.layer_times MODEL.onnx [--rounds 30] [--threads N]

A kind is the layer's type and its role in the net, so the squeeze convolutions of all Fires count as one. Printed are
the medians over the rounds. Layers fused into another count as nothing. 5.x gives names and types only in its log,
which is read; the log is asked for after the pass and costs it nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sqdet_cv.dnn.model_file import load_model

WARM_UP = 5
ROLES = ("conv1", "squeeze", "expand_1x1", "expand_3x3", "convdet")
LOG_LINE = re.compile(r"\d+\s+(\S+) \((\w+)\)\s+([\d.]+)\s+[\d.]+%")


def layer_times(net: cv2.dnn.Net) -> Iterator[tuple[str, str, float]]:
    """(name, type, milliseconds) of each layer of the last forward pass."""
    if hasattr(net, "printPerfProfile"):
        for name, kind, ms in LOG_LINE.findall(_profile_log(net)):
            yield name, kind, float(ms)
        return
    ticks = np.ravel(net.getPerfProfile()[1])
    for name, taken in zip(net.getLayerNames(), ticks):
        yield name, net.getLayer(net.getLayerId(name)).type, 1000 * taken / cv2.getTickFrequency()


def _profile_log(net: cv2.dnn.Net) -> str:
    """What 5.x prints to file descriptor 1; Python's own overload of getPerfProfile has no names."""
    log = cv2.utils.logging
    saved, level = os.dup(1), log.getLogLevel()
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 1)
        try:
            log.setLogLevel(log.LOG_LEVEL_INFO)
            net.printPerfProfile()
        finally:
            log.setLogLevel(level)
            os.dup2(saved, 1)
            os.close(saved)
        file.seek(0)
        return file.read()


def kind_of(name: str, layer_type: str) -> str:
    """("onnx_node!features.fire3.squeeze", "Conv2") -> "Conv2 squeeze"; ("features.pool1", "MaxPool") -> "MaxPool"."""
    role = next((part for part in name.split("!")[-1].split(".") if part in ROLES), "")
    return f"{layer_type} {role}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="exported .onnx with its .json beside it")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, help="default: OpenCV's choice")
    args = parser.parse_args()

    if args.threads:
        cv2.setNumThreads(args.threads)
    net, spec = load_model(args.model)
    if hasattr(net, "setProfilingMode"):
        net.setProfilingMode(cv2.dnn.DNN_PROFILE_DETAILED)
    outputs = list(net.getUnconnectedOutLayersNames())
    width, height = spec.input_wh
    blob = np.random.default_rng(0).normal(0, 50, (1, 3, height, width)).astype(np.float32)
    rounds: dict[str, list[float]] = defaultdict(list)
    for i in range(WARM_UP + args.rounds):
        net.setInput(blob)
        net.forward(outputs)
        total: dict[str, float] = defaultdict(float)
        for name, layer_type, ms in layer_times(net):
            total[kind_of(name, layer_type)] += ms
        if i >= WARM_UP:
            for kind, ms in total.items():
                rounds[kind].append(ms)
    medians = {kind: statistics.median(ms) for kind, ms in rounds.items()}
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads, {width} x {height} px, {args.model}")
    for kind, ms in sorted(medians.items(), key=lambda item: -item[1]):
        if ms >= 0.005:
            print(f"{ms:8.2f} ms  {kind}")
    print(f"{sum(medians.values()):8.2f} ms  all")


if __name__ == "__main__":
    main()
