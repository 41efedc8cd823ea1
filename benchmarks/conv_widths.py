"""How the time of a convolution in cv2.dnn goes with its numbers of channels: which widths are worth having.

    python -m benchmarks.conv_widths write DIR                     (needs onnx)
    python -m benchmarks.conv_widths time DIR [--rounds 130]       (in each OpenCV; needs numpy and cv2 only)

The convolutions are those of Fires at 256 px, alone in a net with their ReLU. All are timed in turns, on one thread,
by their CPU time, which other programs disturb less than the clock. Printed are the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from sqdet_cv.model_file import read_onnx

WARM_UP = 20
NARROW = (8, 12, 16, 20, 24, 28, 32)
WIDE = (48, 52, 56, 60, 64)
CASES: dict[str, list[tuple[int, int, int, int]]] = {  # inputs, outputs, kernel, side of the plane
    "outputs of a squeeze": [(128, width, 1, 31) for width in NARROW],
    "inputs of a squeeze": [(width, 32, 1, 31) for width in (96, 104, 112, 116, 120, 128)],
    "inputs of a 3x3 expand": [(width, 64, 3, 31) for width in NARROW],
    "outputs of a 3x3 expand": [(32, width, 3, 31) for width in WIDE],
    "outputs of a 1x1 expand": [(32, width, 1, 31) for width in WIDE],
}


def file_name(case: tuple[int, int, int, int]) -> str:
    return "{}_{}_{}_{}.onnx".format(*case)


def write(folder: Path, case: tuple[int, int, int, int]) -> None:
    import onnx
    from onnx import helper, numpy_helper

    inputs, outputs, kernel, side = case
    rng = np.random.default_rng(0)
    tensors = {"weight": rng.normal(0, 0.1, (outputs, inputs, kernel, kernel)), "bias": rng.normal(0, 0.1, outputs)}
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["c"], kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, inputs, side, side])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, outputs, side, side])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    onnx.save(model, folder / file_name(case))


def time_cases(folder: Path, cases: list[tuple[int, int, int, int]], rounds: int) -> list[float]:
    """Milliseconds of CPU time of each."""
    nets = []
    for case in cases:
        path = folder / file_name(case)
        nets.append(read_onnx(path.read_bytes(), str(path)))
        blob = np.random.default_rng(1).normal(0, 1, (1, case[0], case[3], case[3])).astype(np.float32)
        nets[-1].setInput(blob)
    times: list[list[float]] = [[] for _ in nets]
    for _ in range(WARM_UP + rounds):
        for net, row in zip(nets, times):
            start = time.process_time()
            net.forward()
            row.append(1000 * (time.process_time() - start))
    return [statistics.median(row[WARM_UP:]) for row in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "time"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=130)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.action == "write":
        for case in sum(CASES.values(), []):
            write(args.folder, case)
        return
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}, 1 thread, median CPU ms by width")
    for name, cases in CASES.items():
        varied = 0 if name.startswith("inputs") else 1
        times = time_cases(args.folder, cases, args.rounds)
        print(f"{name}: " + "  ".join(f"{case[varied]}: {ms:.3f}" for case, ms in zip(cases, times)))


if __name__ == "__main__":
    main()
