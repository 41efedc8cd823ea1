"""The 2017 class `cv::dnn_objdetect::InferBbox` (opencv_contrib), which has no Python binding: same input, same result.

Its rules differ from `postprocess`'s, and are kept because results must not change: the grid is transposed, a delta is
(dx, dy, dh, dw), an anchor gives its best class only, 64 anchors are looked at, and a suppressed box still suppresses.
Source of each rule: modules/dnn_objdetect/src/core_detect.cpp; the compiled class's output is in tests/data/infer_bbox.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import SqdetError
from ..spec.detector_spec import VOC_LABELS, ModelSpec

VOC_2017_SPEC = ModelSpec.single(
    labels=VOC_LABELS,
    input_wh=(416, 416),
    grid_hw=(23, 23),
    anchors_wh=(
        *((377, 371), (64, 118), (129, 326)),
        *((172, 126), (34, 46), (353, 204)),
        *((89, 214), (249, 361), (209, 239)),
    ),
    grid_transposed=True,
    delta_order="xyhw",
    size_delta_cap=math.inf,
)
"""What the C++ class has hard-wired: 20 VOC classes, 416 x 416 pixels, 23 x 23 cells of 9 anchor shapes."""

TOP_DETECTIONS = 64
NMS_IOU = 0.1
EPSILON = 1e-7  # added to the union, in square pixels


class InferredObject(NamedTuple):
    """One detection, with the fields of the C++ struct `cv::dnn_objdetect::object`, in its order.

    Coordinates are whole pixels of the network input, from 0 to its width - 1 or height - 1, both ends inside the box;
    `class_prob` is confidence x class score.
    """

    xmin: int
    xmax: int
    ymin: int
    ymax: int
    class_idx: int
    label_name: str
    class_prob: float


class InferBbox:
    """Turns the three tensors of a SqueezeDet into objects, as the C++ class of that name does.

    With `rows`, `columns`, K shapes and C classes of the spec (2017: 23, 23, 9, 20):

    Args:
        delta_bbox: (rows, columns, K * 4) float32, four deltas a shape in the spec's `delta_order`; no NaN.
        class_scores: (rows * columns * K, C) float32, finite; usually a softmax over C.
        conf_scores: (rows, columns, K) float32, finite; usually a sigmoid.
        spec: labels and geometry. Its preprocessing (mean, scale, channel order) is not looked at.

    Attributes:
        detections: list of `InferredObject`; `filter` appends to it.

    Raises:
        SqdetError: a tensor of another type, shape or dtype, or with NaN; the message names it.

    The tensors are not copied where that can be avoided: leave them as they are until after `filter`.

    >>> conf_scores = np.zeros((23, 23, 9), np.float32)
    >>> class_scores = np.zeros((4761, 20), np.float32)
    >>> conf_scores[0, 22, 4], class_scores[(0 * 23 + 22) * 9 + 4, 1] = 0.875, 1
    >>> infer = InferBbox(np.zeros((23, 23, 36), np.float32), class_scores, conf_scores)
    >>> infer.filter(0.5)
    >>> infer.detections
    [InferredObject(xmin=0, xmax=34, ymin=375, ymax=415, class_idx=1, label_name='bicycle', class_prob=0.875)]
    """

    def __init__(
        self,
        delta_bbox: np.ndarray,
        class_scores: np.ndarray,
        conf_scores: np.ndarray,
        *,
        spec: ModelSpec = VOC_2017_SPEC,
    ) -> None:
        rows, columns = spec.grid.hw
        _check(delta_bbox, "delta_bbox", (rows, columns, spec.grid.anchors_per_cell * 4))
        _check(class_scores, "class_scores", (spec.num_anchors, spec.num_classes))
        _check(conf_scores, "conf_scores", (rows, columns, spec.grid.anchors_per_cell))
        if np.isnan(delta_bbox).any():
            raise SqdetError("delta_bbox contains NaN; expected numbers")
        for name, scores in (("class_scores", class_scores), ("conf_scores", conf_scores)):
            if not np.isfinite(scores).all():
                raise SqdetError(f"{name} contains NaN or infinity; expected finite numbers")
        self.spec = spec
        self.detections: list[InferredObject] = []
        self._deltas = delta_bbox.reshape(-1, 4)
        self._class_scores = class_scores
        self._confidence = conf_scores.reshape(-1).astype(np.float64)

    def filter(self, thresh: float = 0.8) -> None:
        """Appends the objects whose probability is above `thresh`: class ascending, then probability descending.

        A second call appends again, as in C++. Raises SqdetError if `thresh` is not a number.
        """
        if not isinstance(thresh, int | float | np.number) or math.isnan(thresh):
            raise SqdetError(f"thresh is {thresh!r}, expected a number")
        scores = self._best_scores()
        anchor_ids, has_ties = _top_anchors(scores, thresh)
        # float64 holds the product of two float32 exactly, so this is the maximum that _best_scores saw.
        products = self._class_scores.take(anchor_ids, axis=0) * self._confidence[anchor_ids, None]
        class_ids = products.argmax(axis=1)
        scores = scores[anchor_ids]
        boxes = _decode(self._deltas.take(anchor_ids, axis=0), anchor_ids, self.spec)

        ranks = _ranks_with_ties(class_ids, scores) if has_ties else np.arange(len(scores))
        keep = np.flatnonzero(~_suppressed(boxes, class_ids, ranks) & (scores > thresh))
        keep = keep[np.argsort(class_ids[keep], kind="stable")]
        x1, y1, x2, y2 = boxes[:, keep].astype(np.int64).tolist()  # truncated only now, after the suppression
        class_ids = class_ids[keep].tolist()
        labels = [self.spec.labels[i] for i in class_ids]
        self.detections += map(InferredObject, x1, x2, y1, y2, class_ids, labels, scores[keep].tolist())

    def _best_scores(self) -> np.ndarray:
        """(A,) float64: each anchor's confidence x class score, of the class for which that is largest."""
        by_class = cv2.transpose(self._class_scores)  # a maximum down long columns is 10 times one along short rows
        best = by_class.max(axis=0)
        if self._confidence.min() < 0:  # no sigmoid; the lowest class score gives the largest product
            best = np.where(self._confidence < 0, by_class.min(axis=0), best)
        return self._confidence * best


def _check(tensor: object, name: str, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, np.ndarray):
        raise SqdetError(f"{name} is {type(tensor).__name__}, expected a float32 array of shape {shape}")
    if tensor.shape != shape or tensor.dtype != np.float32:
        raise SqdetError(f"{name} is {tensor.dtype} of shape {tensor.shape}, expected float32 of shape {shape}")


def _top_anchors(scores: np.ndarray, thresh: float) -> tuple[np.ndarray, bool]:
    """The anchors that decide the result, best first, at most 64, and whether two scores above `thresh` are equal.

    An anchor at or below the threshold suppresses only anchors that are no better, so without ties it can be left out.
    """
    above = scores > thresh
    if np.count_nonzero(above) > TOP_DETECTIONS:
        above = scores >= np.partition(scores, -TOP_DETECTIONS)[-TOP_DETECTIONS]  # ties at the end: more than 64
    anchor_ids = np.flatnonzero(above)
    anchor_ids = anchor_ids[np.argsort(-scores[anchor_ids])]
    ordered = scores[anchor_ids]
    if (ordered[1:] == ordered[:-1]).any():
        return _std_sort_order(scores, TOP_DETECTIONS), True
    return anchor_ids, False


@functools.lru_cache(maxsize=8)
def _anchors(spec: ModelSpec) -> np.ndarray:
    """`spec.anchors_cxcywh` as (4, A) float64: with float32 a corner ends up in the next pixel now and then."""
    rows, columns, shape_ids = np.unravel_index(
        np.arange(spec.num_anchors), (*spec.grid.hw, spec.grid.anchors_per_cell)
    )
    cells = np.stack([rows, columns] if spec.grid.transposed else [columns, rows])
    size_wh = np.reshape(spec.input_wh, (2, 1))
    # Multiplied before it is divided, as in C++.
    centres = (cells + 1 + spec.grid.inset) * size_wh / (cells.max(axis=1, keepdims=True) + 2 + 2 * spec.grid.inset)
    return np.concatenate([centres, np.asarray(spec.grid.anchors_wh, np.float64)[shape_ids].T])


def _decode(deltas: np.ndarray, anchor_ids: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """(n, 4) deltas of n anchors to boxes (4, n), float64: x1, y1, x2, y2, clipped to [0, size - 1].

    With an infinite delta a corner can be NaN; it goes to the border that C++'s min and max take it to.
    """
    anchors = _anchors(spec).take(anchor_ids, axis=1)
    deltas = deltas.T.astype(np.float64)
    sizes = deltas[2:] if spec.delta_order == "xywh" else deltas[:1:-1]
    width, height = spec.input_wh
    last_xy = np.array([[width - 1.0], [height - 1.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        centres = anchors[:2] + anchors[2:] * deltas[:2]
        half_wh = anchors[2:] * np.exp(np.minimum(sizes, spec.size_delta_cap)) / 2
        lower = np.fmin(np.fmax(centres - half_wh, 0), last_xy)
        upper = np.fmax(np.fmin(centres + half_wh, last_xy), 0)
    return np.concatenate([lower, upper])


def _suppressed(boxes: np.ndarray, class_ids: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """(n,) bool: a box of the same class and lower rank, itself suppressed or not, overlaps by IoU > 0.1."""
    pairs = (class_ids[:, None] == class_ids) & (ranks[:, None] < ranks)
    better, worse = np.divmod(np.flatnonzero(pairs), len(pairs))  # np.nonzero of two dimensions is 10 times slower
    areas = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    a, b = boxes.take(better, axis=1), boxes.take(worse, axis=1)
    overlap_wh = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    intersections = overlap_wh[0] * overlap_wh[1]
    iou = intersections / (areas[better] + areas[worse] - intersections + EPSILON)
    suppressed = np.zeros(len(class_ids), bool)
    suppressed[worse[iou > NMS_IOU]] = True
    return suppressed


# -- equal scores ---------------------------------------------------------------------------------------------------
# The C++ class orders anchors by std::sort, which leaves equal scores in an order of its own, and a box then suppresses
# those behind it. A saturated network gives equal scores, so the order of libstdc++ (GCC) is followed here.


def _ranks_with_ties(class_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,) int: each box's place within its class, after the class's boxes were sorted once more as in C++."""
    ranks = np.empty(len(scores), np.int64)
    for class_id in np.unique(class_ids):
        members = np.flatnonzero(class_ids == class_id)
        ranks[members[_std_sort_order(scores[members], len(members))]] = np.arange(len(members))
    return ranks


def _std_sort_order(scores: np.ndarray, count: int) -> np.ndarray:
    """The first `count` indices (all, if fewer) of the scores as std::sort of libstdc++ puts them, highest first.

    It is an introsort: halves are partitioned down to 16 elements, then insertion sort, which is stable, does the rest.
    Halves that start behind `count` are not needed. Not followed: the heap sort that takes over after
    2 log2(n) partitions in a row were lopsided, which only scores made for the purpose bring about.
    """
    keys, order = scores.copy(), np.arange(len(scores))
    needed = len(keys)
    halves = [(0, len(keys), 2 * (len(keys).bit_length() - 1))]
    while halves:
        first, last, depth = halves.pop()
        while last - first > 16 and depth > 0:
            cut = _partition(keys, order, first, last)
            depth -= 1
            if cut < count:
                halves.append((cut, last, depth))
            else:
                needed = min(needed, cut)
            last = cut
    return order[:needed][np.argsort(-keys[:needed], kind="stable")][:count]


def _partition(keys: np.ndarray, order: np.ndarray, first: int, last: int) -> int:
    """One step of the introsort: moves keys[first:last] and their indices in place, and returns where it cut them.

    The pivot is the median of three and is parked in front. Two pointers then walk towards each other; where the left
    one stands on a key that is not above the pivot and the right one on a key that is not below, the two are swapped.
    """
    _swap(keys, order, first, _median_of_three(keys, first + 1, first + (last - first) // 2, last - 1))
    pivot, walked = keys[first], keys[first + 1 : last]
    left_stops = np.flatnonzero(walked <= pivot) + first + 1
    right_stops = np.flatnonzero(walked >= pivot)[::-1] + first + 1
    pairs = min(len(left_stops), len(right_stops))
    swaps = np.count_nonzero(left_stops[:pairs] < right_stops[:pairs])
    _swap(keys, order, left_stops[:swaps], right_stops[:swaps])
    # The left pointer ends at its next stop, or earlier at what it has swapped to the right last.
    return int(min([*left_stops[swaps : swaps + 1], *right_stops[:swaps][-1:]]))


def _median_of_three(keys: np.ndarray, a: int, b: int, c: int) -> int:
    """That of the three positions whose key is the median; which of equal ones is libstdc++'s choice."""
    if keys[a] > keys[b]:
        return b if keys[b] > keys[c] else c if keys[a] > keys[c] else a
    return a if keys[a] > keys[c] else c if keys[b] > keys[c] else b


def _swap(keys: np.ndarray, order: np.ndarray, these: int | np.ndarray, those: int | np.ndarray) -> None:
    for array in (keys, order):
        array[these], array[those] = array[those].copy(), array[these].copy()
