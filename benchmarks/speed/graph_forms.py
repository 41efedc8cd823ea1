"""Which form of the ONNX graph cv2.dnn runs fastest, in one OpenCV or in several side by side.

    python -m benchmarks.speed.graph_forms write runs/mine/best.pt --out DIR [--size 416]    (needs torch and onnx)
    python -m benchmarks.speed.graph_forms write squeezedet --out DIR --size 416             (a net of ours, untrained)
    python -m benchmarks.speed.graph_forms time DIR [--python P ...] [--rounds 40] [--threads N]

`time` needs numpy and cv2 only. It starts a process for each Python it is given and lets them run each form in turns,
so that a slow moment of the machine hits all forms and versions alike. Printed are the median and the lowest time of a
forward pass, its median CPU time (of all threads; other programs disturb it less), and for both the median over the
rounds of the ratio to the base form in the same round; Ctrl-C prints what there is. A form that leaves softmax, sigmoid
or the order of rows to the caller is timed with that work done in NumPy. A form that computes anything else than the
base form is an error.
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
    """A form in this OpenCV."""

    net: cv2.dnn.Net
    outputs: list[str]
    spec: ModelSpec

    def __call__(self, blob: np.ndarray) -> dict[str, np.ndarray]:
        """deltas (1, A, 4), class_scores (1, A, C) and confidence (1, A) of a (1, 3, height, width) blob."""
        self.net.setInput(blob)
        return finish(dict(zip(self.outputs, self.net.forward(self.outputs))), self.spec)


def finish(outputs: dict[str, np.ndarray], spec: ModelSpec) -> dict[str, np.ndarray]:
    """What a form left undone: the grid to rows per anchor, softmax, sigmoid. Changes nothing that is there."""
    if "grid" in outputs:
        k, c = spec.anchors_per_cell, spec.num_classes
        rows = outputs["grid"].transpose(0, 2, 3, 1)
        classes, confidence, deltas = np.split(rows, [k * c, k * c + k], axis=3)
        outputs = {
            "class_logits": classes.reshape(1, -1, c),
            "confidence_logits": confidence.reshape(1, -1),
            "deltas": deltas.reshape(1, -1, 4),
        }
    if "class_logits" in outputs:
        raised = np.exp(outputs["class_logits"] - outputs["class_logits"].max(axis=2, keepdims=True))
        outputs = {
            "deltas": outputs["deltas"],
            "class_scores": raised / raised.sum(axis=2, keepdims=True),
            "confidence": 1 / (1 + np.exp(-outputs["confidence_logits"])),
        }
    return outputs


def load_runners(folder: Path) -> dict[str, Runner]:
    """Every .onnx file of the folder, and the base form with each of OpenCV's own settings that this version has."""
    files = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    if BASE not in files:
        raise SystemExit(f"{folder}: no {BASE}.onnx; `write --out {folder}` makes it")
    spec = ModelSpec.load(folder / "spec.json")
    nets = {BASE: read_onnx(files[BASE].read_bytes(), str(files[BASE])), **_settings(files.pop(BASE))}
    nets |= {name: read_onnx(path.read_bytes(), str(path)) for name, path in files.items()}
    return {name: Runner(net, list(net.getUnconnectedOutLayersNames()), spec) for name, net in nets.items()}


def _settings(path: Path) -> dict[str, cv2.dnn.Net]:
    nets = {f"{BASE}, {name}": cv2.dnn.readNetFromONNX(str(path)) for name in ("no Winograd", "no fusion")}
    without_winograd, without_fusion = nets.values()
    without_winograd.enableWinograd(False)
    without_fusion.enableFusion(False)
    if hasattr(cv2.dnn, "ENGINE_CLASSIC"):  # 5.0; 5.1 has the new engine only
        nets[f"{BASE}, classic"] = cv2.dnn.readNetFromONNX(str(path), cv2.dnn.ENGINE_CLASSIC)
    return {name: net for name, net in nets.items() if not net.empty()}  # 5.1 loses a net with enableFusion(False)


def largest_difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Over the three tensors; infinite where shapes differ, NaN where one is."""
    if any(found[name].shape != expected[name].shape for name in expected):
        return np.inf
    # Python's max would pass over a NaN that is not the first
    return float(np.max([np.abs(found[name] - expected[name]).max() for name in expected]))


def sample_blob(spec: ModelSpec) -> np.ndarray:
    """Noise of the strength of an image minus its mean."""
    width, height = spec.input_wh
    return np.random.default_rng(0).normal(0, 50, (1, 3, height, width)).astype(np.float32)


def write(args: argparse.Namespace) -> None:
    # imported here: `time` must run where there is neither torch nor onnx
    from ..forms import load_net, write_forms

    net, spec = load_net(args.net, args.size)
    write_forms(net, spec, args.out)
    print(f"{args.out}: {len(list(args.out.glob('*.onnx')))} forms, {spec.input_wh[0]} x {spec.input_wh[1]} px")


def serve(args: argparse.Namespace) -> None:
    """A worker of `time`: says what it is, then answers each name of a form on stdin with [milliseconds, of CPU]."""
    if args.threads:
        cv2.setNumThreads(args.threads)
    runners = load_runners(args.folder)
    spec = runners[BASE].spec
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
        command = [python, "-m", "benchmarks.speed.graph_forms", "serve", str(folder.resolve())]
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
        print(f"{'form':<20}{'median ms':>10}{'lowest':>8}{'ratio':>7}{'CPU ms':>9}{'ratio':>7}")
        base_clock, base_cpu = zip(*self.times[BASE])
        for form, rounds in self.times.items():
            clock, cpu = zip(*rounds)
            by_clock = f"{statistics.median(clock):>10.2f}{min(clock):>8.2f}{_ratio(clock, base_clock):>7.3f}"
            print(f"{form:<20}{by_clock}{statistics.median(cpu):>9.2f}{_ratio(cpu, base_cpu):>7.3f}")


def _ratio(times: Sequence[float], base_times: Sequence[float]) -> float:
    return statistics.median(one / base for one, base in zip(times, base_times))


def time_forms(args: argparse.Namespace) -> None:
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
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write", help="write the forms of a net as ONNX files")
    writing.add_argument("net", help="a checkpoint, or the name of a net, which then has random weights")
    writing.add_argument("--out", type=Path, required=True, help="folder for the files")
    writing.add_argument("--size", type=int, help="side of the input in pixels (default: the checkpoint's, or 416)")
    writing.set_defaults(run=write)
    timing = commands.add_parser("time", help="time the forms of a folder")
    timing.add_argument("--python", nargs="+", default=[sys.executable], help="one per OpenCV (default: this one)")
    timing.add_argument("--rounds", type=int, default=40)
    timing.set_defaults(run=time_forms)
    serving = commands.add_parser("serve", help="what `time` starts")
    serving.set_defaults(run=serve)
    for command in (timing, serving):
        command.add_argument("folder", type=Path)
        command.add_argument("--threads", type=int, help="default: OpenCV's choice")
    args = parser.parse_args(argv)
    args.run(args)


if __name__ == "__main__":
    main()
