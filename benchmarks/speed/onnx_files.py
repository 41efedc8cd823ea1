"""How long cv2.dnn takes for each ONNX file of a folder, in one OpenCV or in several side by side.

    python -m benchmarks.speed.onnx_files DIR [--python P ...] [--rounds 40] [--threads N]

DIR holds base.onnx with base.json, as `python -m export onnx` writes them, and other forms of the same net. numpy and
cv2 are enough. A process is started for each Python, and they run each file in turns, so that a slow moment of the
machine hits all files and versions alike. Printed are the median and the lowest time of a forward pass, its median
CPU time (of all threads; other programs disturb it less), and for both the median over the rounds of the ratio to
base.onnx in the same round; Ctrl-C prints what there is. A file that computes anything else than base.onnx is an
error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.errors import one_line_errors
from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.spec.detector_spec import ModelSpec

TOLERANCE = 1e-4
BASE = "base"


@dataclass
class Runner:
    """A file in this OpenCV."""

    net: cv2.dnn.Net
    outputs: list[str]

    def __call__(self, blob: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name for a (1, 3, height, width) float32 blob."""
        self.net.setInput(blob)
        return dict(zip(self.outputs, self.net.forward(self.outputs)))


def load_runners(folder: Path) -> dict[str, Runner]:
    """Every .onnx file of the folder, and base.onnx with each of OpenCV's own settings that this version has."""
    files = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    if BASE not in files:
        raise SystemExit(f"{folder}: no {BASE}.onnx; `python -m export onnx ... --out {folder / BASE}.onnx` makes it")
    nets = {BASE: read_onnx(files[BASE].read_bytes(), str(files[BASE])), **_settings(files.pop(BASE))}
    nets |= {name: read_onnx(path.read_bytes(), str(path)) for name, path in files.items()}
    return {name: Runner(net, list(net.getUnconnectedOutLayersNames())) for name, net in nets.items()}


def _settings(path: Path) -> dict[str, cv2.dnn.Net]:
    nets = {f"{BASE}, {name}": cv2.dnn.readNetFromONNX(str(path)) for name in ("no Winograd", "no fusion")}
    without_winograd, without_fusion = nets.values()
    without_winograd.enableWinograd(False)
    without_fusion.enableFusion(False)
    if hasattr(cv2.dnn, "ENGINE_CLASSIC"):  # 5.0; 5.1 has the new engine only
        nets[f"{BASE}, classic"] = cv2.dnn.readNetFromONNX(str(path), cv2.dnn.ENGINE_CLASSIC)
    return {name: net for name, net in nets.items() if not net.empty()}  # 5.1 loses a net with enableFusion(False)


def largest_difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Over all outputs; infinite where names or shapes differ, NaN where a value is."""
    if found.keys() != expected.keys() or any(found[name].shape != expected[name].shape for name in expected):
        return np.inf
    # Python's max would pass over a NaN that is not the first
    return float(np.max([np.abs(found[name] - expected[name]).max() for name in expected]))


def sample_blob(spec: ModelSpec) -> np.ndarray:
    """Noise of the strength of an image minus its mean."""
    width, height = spec.input_wh
    return np.random.default_rng(0).normal(0, 50, (1, 3, height, width)).astype(np.float32)


def serve(args: argparse.Namespace) -> None:
    """A worker: says what it is, then answers each name of a file on stdin with [milliseconds, of CPU]."""
    if args.threads:
        cv2.setNumThreads(args.threads)
    runners = load_runners(args.folder)
    spec = ModelSpec.load(args.folder / f"{BASE}.json")
    blob = sample_blob(spec)
    expected = runners[BASE](blob)
    for name, runner in runners.items():
        difference = largest_difference(runner(blob), expected)
        if not difference <= TOLERANCE:  # written so that NaN fails too
            raise SystemExit(f"{args.folder}: {name} differs from {BASE} by {difference:.2g}; allowed {TOLERANCE:g}")
    title = "OpenCV {}, {} threads, {} x {} px".format(cv2.__version__, cv2.getNumThreads(), *spec.input_wh)
    print(json.dumps({"title": title, "forms": list(runners)}), flush=True)
    for line in sys.stdin:
        runner = runners[line.rstrip("\n")]
        runner(blob)  # fetches its weights into the cache
        print(json.dumps([min(both) for both in zip(_timed(runner, blob), _timed(runner, blob))]), flush=True)


def _timed(runner: Runner, blob: np.ndarray) -> tuple[float, float]:
    """Milliseconds by the clock, and of CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    runner(blob)
    return 1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - cpu)


class Worker:
    """`serve` in another Python; `times` collects what it says of each form."""

    def __init__(self, python: str, folder: Path, threads: int | None) -> None:
        command = [python, "-m", "benchmarks.speed.onnx_files", str(folder.resolve()), "--serve"]
        command += ["--threads", str(threads)] if threads else []
        # a session of its own: Ctrl-C is for us
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes)
        about = json.loads(self._read())
        self.title: str = about["title"]
        self.times: dict[str, list[tuple[float, float]]] = {form: [] for form in about["forms"]}

    def run(self, form: str) -> None:
        self._process.stdin.write(f"{form}\n")
        self._process.stdin.flush()
        self.times[form].append(tuple(json.loads(self._read())))

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args[0]} ended; its message is above")
        return line

    def close(self) -> None:
        self._process.communicate()  # ends its input; reads what it may just be saying

    def report(self) -> None:
        print(f"\n{self.title}, {len(self.times[BASE])} rounds")
        print(f"{'file':<20}{'median ms':>10}{'lowest':>8}{'ratio':>7}{'CPU ms':>9}{'ratio':>7}")
        base_clock, base_cpu = zip(*self.times[BASE])
        for form, rounds in self.times.items():
            clock, cpu = zip(*rounds)
            by_clock = f"{statistics.median(clock):>10.2f}{min(clock):>8.2f}{_ratio(clock, base_clock):>7.3f}"
            print(f"{form:<20}{by_clock}{statistics.median(cpu):>9.2f}{_ratio(cpu, base_cpu):>7.3f}")


def _ratio(times: Sequence[float], base_times: Sequence[float]) -> float:
    return statistics.median(one / base for one, base in zip(times, base_times))


def time_files(args: argparse.Namespace) -> None:
    with ExitStack() as stack:
        workers = []
        for python in args.python:
            workers.append(Worker(python, args.folder, args.threads))
            stack.callback(workers[-1].close)
        forms = list(dict.fromkeys(form for worker in workers for form in worker.times))
        try:
            for _ in range(args.rounds):
                for form in forms:
                    for worker in workers:
                        if form in worker.times:
                            worker.run(form)
        except KeyboardInterrupt:
            print("stopped early", file=sys.stderr)
    for worker in workers:
        worker.report()


@one_line_errors()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="one per OpenCV (default: this one)")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, help="default: OpenCV's choice")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    (serve if args.serve else time_files)(args)


if __name__ == "__main__":
    main()
