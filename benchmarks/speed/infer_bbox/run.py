"""sqdet_cv.InferBbox against the C++ class it replaces, on the same tensors, in one run.

    apt-get install --no-install-recommends libopencv-contrib-dev g++        (Debian, Ubuntu)
    python benchmarks/speed/infer_bbox/run.py [--calls 1000] [--threshold T] [TENSORS.npz ...]

Compiles main.cpp, then the two take turns, so that a slow moment of the machine hits both alike: in turns of 20 calls
(warm caches) and of a single call (cold ones: the other program has run in between). A call is construction and
`filter`. Printed are the medians and their ratio. Ends with an error if the results differ.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from sqdet_cv.compat.infer_bbox import InferBbox

HERE = Path(__file__).parent
TENSORS = sorted((HERE.parent.parent / "tests" / "data" / "infer_bbox").glob("*.npz"))
HEADER = Path("/usr/include/opencv4/opencv2/core_detect.hpp")
NAMES = ("delta_bbox", "class_scores", "conf_scores")
WARM_UP = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tensors", nargs="*", type=Path, default=TENSORS, help="npz as in tests/data/infer_bbox")
    parser.add_argument("--calls", type=int, default=1000, help="timed calls of each, a file and length of turn")
    parser.add_argument("--threshold", type=float, help="instead of the file's")
    args = parser.parse_args()
    if not HEADER.exists() or not shutil.which("g++"):
        raise SystemExit(f"no g++ or no {HEADER}: apt-get install --no-install-recommends libopencv-contrib-dev g++")
    print(f"OpenCV {cv2.__version__}, NumPy {np.__version__}; C++: {_cpp_opencv_version()}, g++ -O2")
    with tempfile.TemporaryDirectory() as folder:
        program = _compile(Path(folder))
        for path in args.tensors:
            with np.load(path) as file:
                tensors = [file[name] for name in NAMES]
                threshold = float(file["threshold"]) if args.threshold is None else args.threshold
            print(f"{path.name}, threshold {threshold:g}")
            for turn in (20, 1):
                ours, theirs = _time_in_turns(program, tensors, threshold, args.calls, turn)
                ratio = f"{theirs / ours:.1f} times faster"
                print(f"  turns of {turn:2}: C++ {theirs / 1000:.3f} ms, Python {ours / 1000:.3f} ms, {ratio}")


def _compile(folder: Path) -> Path:
    program = folder / "main"
    libraries = ["-lopencv_dnn_objdetect", "-lopencv_core"]
    source = str(HERE / "main.cpp")
    subprocess.run(["g++", "-O2", f"-I{HEADER.parent.parent}", source, "-o", str(program), *libraries], check=True)
    return program


def _cpp_opencv_version() -> str:
    found = subprocess.run(["dpkg-query", "-W", "libopencv-contrib-dev"], capture_output=True, text=True)
    return " ".join(found.stdout.split()) or "package version unknown"


def _time_in_turns(
    program: Path, tensors: list[np.ndarray], threshold: float, calls: int, turn: int
) -> tuple[float, float]:
    """Median microseconds of a call of the Python and of the C++ class."""
    raw = program.with_name("tensors.bin")
    raw.write_bytes(b"".join(tensor.tobytes() for tensor in tensors))
    ours, theirs = [], []
    command = [str(program), str(raw), repr(threshold)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cpp:
        while len(ours) < WARM_UP + calls:
            cpp.stdin.write("\n" * turn)
            cpp.stdin.flush()
            for _ in range(turn):
                taken, *objects = cpp.stdout.readline().split()
                theirs.append(float(taken))
            for _ in range(turn):
                start = time.perf_counter()
                infer = InferBbox(*tensors)
                infer.filter(threshold)
                ours.append(1e6 * (time.perf_counter() - start))
        cpp.stdin.close()
    _check_equal(infer, objects)
    return statistics.median(ours[WARM_UP:]), statistics.median(theirs[WARM_UP:])


def _check_equal(infer: InferBbox, cpp_objects: list[str]) -> None:
    """The C++ program writes an object as xmin,xmax,ymin,ymax,class_idx,class_prob."""
    expected = [tuple(float(value) for value in text.split(",")) for text in cpp_objects]
    if [(*o[:5], o.class_prob) for o in infer.detections] != expected:
        raise SystemExit(f"the results differ: C++ {expected}, Python {infer.detections}")


if __name__ == "__main__":
    main()
