"""What a net lacks: its mAP if the labels put right its classes, its boxes or its confidence, one at a time.

    python -m benchmarks.accuracy.oracles CHECKPOINT --data DIR [--splits val] [--annotations DIR] [--photos N]

The idea is that of TIDE's oracles (arXiv 2008.08115, section 2.3), but what is put right is what the net says of every
anchor, before the scores are cut off and non-maximum suppression: the points of a row are what a perfect branch of the
loss would bring. The second table is how the anchor that stands best for each object names it, the third the same by
size of object. --photos takes every n-th image, so that about N remain.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.lib.errors import one_line_errors
from sqdet_cv.boxes.ops import box_iou, clip_boxes, decode
from sqdet_cv.boxes.postprocess import NMS_THRESHOLD, finish, select_decoded
from sqdet_cv.detections import Detections
from sqdet_cv.spec.detector_spec import ModelSpec
from train.checkpoints.native import net_from_checkpoint
from train.data.cache import read_image
from train.data.formats.open_dataset import load_dataset
from train.data.formats.voc import Sample
from train.detectors.pytorch import TorchDetector
from train.evaluation.evaluate import EVAL_SCORE_THRESHOLD, class_aps, mean_ap
from train.evaluation.matching import HIT_IOU

FOUND_IOU = 0.4  # from here on an anchor is about an object
SIZES = (0, 16, 32, 64, 96, 128, 192, 256)  # root of an object's area in input pixels, from here to the next


@dataclass(frozen=True, eq=False)
class Said:
    """What a net says of one image, beside what is true.

    Attributes:
        sample: the image and its objects. image_wh: its size.
        boxes_xyxy: (A, 4) float32, input pixels, clipped. class_scores: (A, C). confidence: (A,). All as decoded.
        true_boxes_xyxy: (m, 4), input pixels, the m objects that count. true_ids: (m,) their classes.
        iou: (A, m) of boxes_xyxy and true_boxes_xyxy.
    """

    sample: Sample
    image_wh: tuple[int, int]
    boxes_xyxy: np.ndarray
    class_scores: np.ndarray
    confidence: np.ndarray
    true_boxes_xyxy: np.ndarray
    true_ids: np.ndarray
    iou: np.ndarray

    @property
    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each anchor (A,): the object that it overlaps most, and the IoU; 0 and 0 in an image without objects."""
        if not len(self.true_ids):
            return np.zeros(len(self.confidence), np.int64), np.zeros(len(self.confidence), np.float32)
        return self.iou.argmax(axis=1), self.iou.max(axis=1)


def listen(detector: TorchDetector, sample: Sample) -> Said:
    image = read_image(sample.image_path)
    return compare(sample, detector.spec, image.shape[1::-1], *detector.tensors(image))


def compare(
    sample: Sample,
    spec: ModelSpec,
    image_wh: tuple[int, int],
    deltas: np.ndarray,
    class_scores: np.ndarray,
    confidence: np.ndarray,
) -> Said:
    boxes_xyxy = clip_boxes(decode(deltas, spec), spec.input_wh)
    counts = ~sample.ignore
    to_input = np.tile(np.asarray(spec.input_wh, np.float32) / np.asarray(image_wh, np.float32), 2)
    true_boxes_xyxy = sample.boxes_xyxy[counts] * to_input
    iou = box_iou(boxes_xyxy, true_boxes_xyxy)
    return Said(sample, image_wh, boxes_xyxy, class_scores, confidence, true_boxes_xyxy, sample.class_ids[counts], iou)


Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes_xyxy, class_scores, confidence


def as_it_is(said: Said) -> Outputs:
    return said.boxes_xyxy, said.class_scores, said.confidence


def right_classes(said: Said) -> Outputs:
    """Anchors that hit an object are sure of its class."""
    objects, iou = said.best
    class_scores, hits = said.class_scores.copy(), np.flatnonzero(iou >= HIT_IOU)
    class_scores[hits] = 0
    class_scores[hits, said.true_ids[objects[hits]]] = 1
    return said.boxes_xyxy, class_scores, said.confidence


def right_boxes(said: Said, from_iou: float = 0.3) -> Outputs:
    """Anchors that overlap an object by `from_iou` or more lie on it exactly."""
    objects, iou = said.best
    boxes_xyxy, near = said.boxes_xyxy.copy(), np.flatnonzero(iou >= from_iou)
    boxes_xyxy[near] = said.true_boxes_xyxy[objects[near]]
    return boxes_xyxy, said.class_scores, said.confidence


def no_background(said: Said) -> Outputs:
    """Anchors that overlap no object by 0.3 or more say nothing."""
    return said.boxes_xyxy, said.class_scores, np.where(said.best[1] < 0.3, 0, said.confidence)


def right_confidence(said: Said) -> Outputs:
    """The confidence is the IoU with the object, 0 below a hit (paper, section 3.2)."""
    iou = said.best[1]
    return said.boxes_xyxy, said.class_scores, np.where(iou < HIT_IOU, 0, iou)


ORACLES: dict[str, Callable[[Said], Outputs]] = {
    "as it is": as_it_is,
    "classes right": right_classes,
    "boxes right from IoU 0.3 on": right_boxes,
    "boxes right from IoU 0.1 on": lambda said: right_boxes(said, 0.1),
    "nothing found in the background": no_background,
    "confidence = IoU": right_confidence,
}


def detections(outputs: Outputs, spec: ModelSpec, image_wh: tuple[int, int]) -> Detections:
    boxes_xyxy, class_scores, confidence = outputs
    candidates = select_decoded(boxes_xyxy, class_scores * confidence[:, None], EVAL_SCORE_THRESHOLD)
    return finish(*candidates, spec, image_wh, NMS_THRESHOLD)


def ap_with(oracle: Callable[[Said], Outputs], all_said: Sequence[Said], spec: ModelSpec) -> float:
    """mAP in [0, 1]."""
    found = [detections(oracle(said), spec, said.image_wh) for said in all_said]
    return mean_ap(class_aps(found, [said.sample for said in all_said], spec.labels))


class Named(NamedTuple):
    """An object, its size as in SIZES, and the class that the anchor standing best for it gives it: that of the largest
    IoU x root of the confidence. None where that overlaps it by less than FOUND_IOU."""

    true_id: int
    size: float
    class_id: int | None


def name_objects(all_said: Sequence[Said]) -> list[Named]:
    named = []
    for said in all_said:
        sizes = np.sqrt(np.prod(said.true_boxes_xyxy[:, 2:] - said.true_boxes_xyxy[:, :2], axis=1))
        for index, (true_id, size) in enumerate(zip(said.true_ids, sizes)):
            anchor = (said.iou[:, index] * np.sqrt(said.confidence)).argmax()
            found = said.iou[anchor, index] >= FOUND_IOU
            named.append(Named(int(true_id), float(size), int(said.class_scores[anchor].argmax()) if found else None))
    return named


def naming(named: Sequence[Named], classes: int) -> np.ndarray:
    """(C, C) counts: the found objects of a class (row) by the class they are given (column)."""
    counts = np.zeros((classes, classes), np.int64)
    for one in named:
        if one.class_id is not None:
            counts[one.true_id, one.class_id] += 1
    return counts


def size_table(named: Sequence[Named]) -> str:
    lines = ["| size in input pixels | objects | found | of these named right |", "|---|---|---|---|"]
    for low, high in zip(SIZES, (*SIZES[1:], np.inf)):
        here = [one for one in named if low <= one.size < high]
        found = [one for one in here if one.class_id is not None]
        right = sum(one.class_id == one.true_id for one in found)
        text = f"{low} - {high}" if high < np.inf else f"{low} and more"
        lines.append(f"| {text} | {len(here)} | {percent(len(found), len(here))} | {percent(right, len(found))} |")
    return "\n".join(lines)


def naming_table(counts: np.ndarray, labels: Sequence[str]) -> str:
    lines = ["| class | objects | named right | else most often |", "|---|---|---|---|"]
    for row, label in enumerate(labels):
        wrong = counts[row].copy()
        wrong[row] = 0
        other = f"{labels[wrong.argmax()]} ({wrong.max()})" if wrong.any() else ""
        lines.append(f"| {label} | {counts[row].sum()} | {percent(counts[row, row], counts[row].sum())} | {other} |")
    lines.append(f"| all | {counts.sum()} | {percent(np.trace(counts), counts.sum())} | |")
    return "\n".join(lines)


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=True)
    parser.add_argument("--splits", default="val")
    parser.add_argument("--annotations", default=None)
    parser.add_argument("--photos", type=int, default=None, metavar="N")
    args = parser.parse_args()
    net, spec = net_from_checkpoint(args.checkpoint)
    detector = TorchDetector(net, spec)
    samples = load_dataset(args.data, args.splits.split(","), spec.labels, args.annotations)
    if args.photos:
        samples = samples[:: max(1, len(samples) // args.photos)]
    all_said = [listen(detector, sample) for sample in tqdm(samples, unit="image")]
    print(f"{args.checkpoint}, {args.splits}, {len(samples)} images, {spec.input_wh[0]} px\n\n| | mAP |\n|---|---|")
    for name, oracle in ORACLES.items():
        print(f"| {name} | {100 * ap_with(oracle, all_said, spec):.1f} |", flush=True)
    named = name_objects(all_said)
    print("\n" + naming_table(naming(named, len(spec.labels)), spec.labels))
    print("\n" + size_table(named))


if __name__ == "__main__":
    main()
