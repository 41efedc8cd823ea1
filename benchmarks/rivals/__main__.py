"""Ours beside other small detectors, all in cv2.dnn: mAP, time, parameters and bytes.

    python -m benchmarks.rivals --rivals FOLDER --data VOC --splits val --out runs/rivals [--ours mine.onnx]
    python -m benchmarks.rivals --only speed --out runs/rivals5           (numpy and cv2 are enough: ours in OpenCV 5)
    python -m benchmarks.rivals ... --out runs/rivals --join runs/rivals5/rivals.json

FOLDER holds Darknet detectors of PASCAL's 20 classes, NAME.cfg with NAME.weights (OpenCV 4.x only). All models see the
same images, are scored by the same code, and are timed in turns: each round gives every model its turn, which detects
once untimed, so that its weights are in the cache, and then in each image. Ratios are to `--reference` in the same
round and image. Written are OUT/rivals.json, rivals.md (a table) and rivals.png (a plot). OUT/accuracy.json keeps
every mAP by the digests of model and labels: only what changed is measured again. After a change of the code that
measures, delete it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np

from export.errors import ExportError
from sqdet_cv import Detector, SqdetError
from sqdet_cv.media.sources import read_image
from sqdet_cv.spec.detector_spec import VOC_LABELS
from sqdet_cv.util.atomic_files import write_bytes_atomically, write_text_atomically
from train.common.errors import TrainError
from train.common.plotting import require_matplotlib
from train.detectors.darknet import DarknetDetector

from ..lib.steps import PICTURES, Steps, Stopwatch
from .models import Model, check_models, find_ours, find_rivals
from .plot import plot_rivals
from .results import Accuracy, Row, Speed, join, load_rows, save_rows, table

ANIMALS = ("cat", "cow", "dog", "horse", "sheep")
WARM_UP = 5  # rounds
SPEED_SCORE = 0.3  # while timed
REFERENCE = "yolo-fastest"
BUSY = 0.5  # processes that want a core before the run: more, and the times are no measurement


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--rivals", type=Path, metavar="FOLDER", help="Darknet detectors (default: ours alone)")
    parser.add_argument(
        "--ours",
        nargs="+",
        default=[],
        metavar="[NAME=]PATH",
        help=".onnx, .sqdet or checkpoint, which is exported first (always there: the embedded model)",
    )
    parser.add_argument("--only", choices=("map", "speed"), help="measure only that")
    parser.add_argument("--data", help="data set, as of `python -m train eval`; for mAP")
    parser.add_argument("--splits", "--lists", default="val", help="its splits, comma-separated (default: val)")
    parser.add_argument("--pictures", nargs="+", type=Path, default=PICTURES, help="to time on (default: samples)")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, help="default: OpenCV's choice")
    parser.add_argument("--reference", help=f"model that ratios of time are to (default: {REFERENCE} if it is there)")
    parser.add_argument(
        "--join", nargs="+", type=Path, default=[], metavar="FILE", help="rivals.json of other runs, to add to this one"
    )
    args = parser.parse_args(argv)
    for name, value in (("--rounds", args.rounds), ("--threads", args.threads)):
        if value is not None and value < 1:
            raise TrainError(f"{name} {value}: expected 1 or more")
    if args.only != "speed" and args.data is None:
        raise TrainError("mAP needs --data; time alone: --only speed")
    return args


def open_model(model: Model) -> Detector | DarknetDetector:
    """With the same score threshold for all, and the IoU that is usual for each."""
    opened = model.files[0]
    if opened.suffix == ".cfg":
        return DarknetDetector(opened, VOC_LABELS, SPEED_SCORE)
    return Detector(opened, score_threshold=SPEED_SCORE, backend="opencv")


def time_all(
    detectors: dict[str, Detector | DarknetDetector], images: Sequence[np.ndarray], rounds: int, reference: str | None
) -> dict[str, Speed]:
    """Times all detectors in turns. reference: name of one of them, or None."""
    load = os.getloadavg()[0]
    stopwatches = {name: Stopwatch(detector) for name, detector in detectors.items()}
    times: dict[str, list[Steps]] = {name: [] for name in stopwatches}
    names = list(stopwatches)
    for number in range(WARM_UP + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            stopwatches[name](images[0])
            steps = [stopwatches[name](image) for image in images]
            if number >= WARM_UP:
                times[name] += steps
    speeds = {}
    for name, taken in times.items():
        ratio = None
        if reference is not None:
            ratio = statistics.median(one.total / other.total for one, other in zip(taken, times[reference]))
        speeds[name] = Speed(
            opencv=cv2.__version__,
            threads=cv2.getNumThreads(),
            rounds=rounds,
            pictures=len(images),
            load=load,
            **{step: statistics.median(values) for step, values in zip(Steps._fields, zip(*taken))},
            total=statistics.median(steps.total for steps in taken),
            reference=reference,
            ratio=ratio,
        )
    return speeds


class Scale:
    """Measures mAP on one set of images, each model once.

    Args:
        cache: JSON file with what was measured before, by digest of the model and of the images' labels.
    """

    def __init__(self, data: str, splits: str, cache: Path) -> None:
        # imported here: timing must run where there is neither torch nor pycocotools
        from train.data.formats.open_dataset import load_dataset
        from train.evaluation.coco import check_pycocotools

        check_pycocotools()
        self.samples = load_dataset(data, splits.split(","), VOC_LABELS)
        self.photos = f"{len(self.samples)} images of {Path(data).name} {splits}"
        self.photos_digest = _labels_digest(self.samples)
        self._cache = cache
        try:
            self._known = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
        except ValueError as error:
            raise TrainError(f"{cache}: damaged: {error}; delete it to measure again") from None

    def measure(self, model: Model) -> Accuracy:
        key = f"{model.digest}-{self.photos_digest}"
        if key not in self._known:
            self._known[key] = asdict(self._measure(model))
            write_text_atomically(self._cache, json.dumps(self._known, indent=1, allow_nan=False) + "\n")
        return replace(Accuracy(**self._known[key]), photos=self.photos)

    def _measure(self, model: Model) -> Accuracy:
        from train.detectors.open_detector import open_detector
        from train.evaluation.evaluate import EVAL_SCORE_THRESHOLD, detect_all, evaluate_fully, mean_ap

        print(f"{model.name}: mAP on {self.photos}", file=sys.stderr)
        detector = open_detector(model.files[0], VOC_LABELS, EVAL_SCORE_THRESHOLD)
        evaluation = evaluate_fully(detect_all(detector, self.samples, progress=True), self.samples, VOC_LABELS)
        shares = (mean_ap(evaluation.classes), mean_ap(evaluation.classes, ANIMALS), evaluation.coco.ap["all"])
        return Accuracy(self.photos, self.photos_digest, *(None if math.isnan(share) else share for share in shares))


def _labels_digest(samples: Sequence) -> str:
    contents = hashlib.sha256()
    for sample in samples:
        contents.update(sample.image_path.name.encode())
        for values in (sample.boxes_xyxy, sample.class_ids, sample.ignore, sample.labelled):
            contents.update(np.ascontiguousarray(values).tobytes())
    return contents.hexdigest()[:16]


def find_reference(asked: str | None, models: Sequence[Model]) -> str | None:
    names = [model.name for model in models]
    if asked is not None and asked not in names:
        raise TrainError(f"--reference {asked}: no such model; there are {', '.join(names)}")
    return asked or (REFERENCE if REFERENCE in names else None)


def run(args: argparse.Namespace) -> list[Row]:
    """Everything that can be wrong is looked at before anything is measured."""
    others = [load_rows(path) for path in args.join]
    if args.only != "speed" or any(row.accuracy for other in others for row in other):
        require_matplotlib()
    rivals = find_rivals(args.rivals) if args.rivals else []
    check_models(rivals)
    models = [*find_ours(args.ours, args.out), *rivals]
    check_models(models)
    reference = find_reference(args.reference, models)
    images = [read_image(path) for path in args.pictures]
    if args.threads:
        cv2.setNumThreads(args.threads)
    detectors = {model.name: open_model(model) for model in models}
    scale = None if args.only == "speed" else Scale(args.data, args.splits, args.out / "accuracy.json")
    rows = [
        Row(model.name, model.ours, model.digest, detectors[model.name].spec.input_wh, model.parameters, model.bytes)
        for model in models
    ]
    if args.only != "map":
        place = f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads"
        print(f"{place}: {len(models)} models in turns, {args.rounds} rounds", file=sys.stderr)
        speeds = time_all(detectors, images, args.rounds, reference)
        rows = [replace(row, speeds=(speeds[row.name],)) for row in rows]
        if (load := next(iter(speeds.values())).load) > BUSY:
            print(f"the machine was busy before (load {load:.1f}): these times are only a trial", file=sys.stderr)
    if scale:
        rows = [replace(row, accuracy=scale.measure(model)) for row, model in zip(rows, models)]
    for other in others:
        rows = join(rows, other)
    return rows


def main(argv: list[str] | None = None) -> int:
    try:
        args = parse_arguments(argv)
        rows = run(args)
    except (TrainError, ExportError, SqdetError) as error:
        print(f"rivals: {error}", file=sys.stderr)
        return 2
    save_rows(args.out / "rivals.json", rows)
    write_text_atomically(args.out / "rivals.md", table(rows))
    if png := plot_rivals(rows):
        write_bytes_atomically(args.out / "rivals.png", png)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
