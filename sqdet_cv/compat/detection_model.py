"""A drop-in for `cv2.dnn.DetectionModel`, which cannot read a network of this kind."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..boxes.ops import clip_boxes
from ..boxes.postprocess import finish, suppress
from ..detector import Detector
from ..dnn.backends import BACKENDS, backend_of
from ..dnn.preprocess import images_to_blob
from ..errors import SqdetError
from ..spec.detector_spec import ModelSpec
from ..util.images import check_image


class SqueezeDetModel:
    """Runs one of our models behind the interface of `cv2.dnn.DetectionModel`: same names, order and defaults of the
    arguments, same types of the results (measured on OpenCV 4.10 and 4.14; its source is modules/dnn/src/model.cpp).

    The pre-processing is the model's own from the start, so nothing has to be set. What is set works as in
    `cv2.dnn.DetectionModel`; a warning says, once, if that is not what the model was trained with.

    Differences: the frame is an (H, W, 3) uint8 array; the setters return this object itself; a frame more than twice
    the network's size is averaged, not sampled; with `crop` boxes lie where the objects are (cv2 stretches them as if
    nothing had been cropped); at most 1000 candidates go into suppression; the order of the results (here by
    class, within a class by confidence); any number of threads may call `detect`.

    Args:
        model: as for `Detector`; None: the model that came with the package.
        config: "", or the file beside it: `NAME.json`, or the `NAME.prototxt` of a `NAME.caffemodel`.

    Attributes:
        spec: the model's `ModelSpec`; `spec.labels[class_id]` is the name of a class.

    Raises:
        ModelFileError: a file is missing, damaged, or contradicts its spec.
        SqdetError: `config` is another file.

    >>> model = SqueezeDetModel("mine.onnx")                           # doctest: +SKIP
    >>> class_ids, confidences, boxes = model.detect(frame, 0.3, 0.4)  # doctest: +SKIP
    """

    def __init__(self, model: str | Path | None = None, config: str | Path = "") -> None:
        if config and (model is None or Path(config) not in map(Path(model).with_suffix, (".json", ".prototxt"))):
            raise SqdetError(f"config is {str(config)!r}, expected none: a model's other files lie beside it")
        self._detector = Detector(model, backend="opencv")
        self.spec = self._detector.spec
        self._backend_id, self._target_id = cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_CPU
        self._across_classes = False
        self._warned = False
        mean = self.spec.mean_bgr[::-1] if self.spec.rgb else self.spec.mean_bgr
        self._input = _Input(self.spec.scale, mean, self.spec.rgb, crop=False)

    # -- the pre-processing -------------------------------------------------------------------------------------

    def setInputParams(
        self,
        scale: float = 1.0,
        size: Sequence[int] = (0, 0),
        mean: float | Sequence[float] = (0.0, 0.0, 0.0),
        swapRB: bool = False,
        crop: bool = False,
    ) -> None:
        """Sets all at once; what is not given gets the default here, as in cv2: mean 0, not the model's.

        Args:
            scale: multiplied after the mean is subtracted; a number or three equal ones.
            size: (width, height), the network's; (0, 0) stands for it.
            mean: subtracted from the channels in their order after `swapRB`.
            swapRB: whether the network gets R first.
            crop: False: the frame is stretched to `size`; True: it covers `size`, and the middle of it is used.

        Raises:
            SqdetError: the network takes another size, or a value is not a number, or not as many as are expected.
        """
        if tuple(size) != (0, 0):
            self.setInputSize(size)
        # at once: a thread that detects meanwhile must not get some of them
        self._input = _Input(_scale(scale), _scalar(mean, "mean"), bool(swapRB), bool(crop))

    def setInputSize(self, size: Sequence[int] | int, height: int | None = None) -> SqueezeDetModel:
        """Takes (width, height), or width and height: those of the network, which has one size.

        Raises:
            SqdetError: another size.
        """
        wanted = (size, height) if height is not None else tuple(np.atleast_1d(size).tolist())
        if wanted != self.spec.input_wh:
            text, taken = ("x".join(map(str, size_wh)) for size_wh in (wanted, self.spec.input_wh))
            raise SqdetError(
                f"the input size is {text}, but this network takes {taken} only; "
                f"export one that takes it: python -m export onnx CHECKPOINT --size {text}"
            )
        return self

    def setInputScale(self, scale: float | Sequence[float]) -> SqueezeDetModel:
        """See `setInputParams`."""
        self._input = self._input._replace(scale=_scale(scale))
        return self

    def setInputMean(self, mean: float | Sequence[float]) -> SqueezeDetModel:
        """See `setInputParams`."""
        self._input = self._input._replace(mean=_scalar(mean, "mean"))
        return self

    def setInputSwapRB(self, swapRB: bool) -> SqueezeDetModel:
        """See `setInputParams`."""
        self._input = self._input._replace(swap_rb=bool(swapRB))
        return self

    def setInputCrop(self, crop: bool) -> SqueezeDetModel:
        """See `setInputParams`."""
        self._input = self._input._replace(crop=bool(crop))
        return self

    # -- where and how it computes ------------------------------------------------------------------------------

    def setPreferableBackend(self, backendId: int) -> SqueezeDetModel:
        """Takes a DNN_BACKEND_... constant; set the target too. The next `detect` applies and checks both.

        Raises:
            BackendError: this OpenCV does not have the backend, with any target.
        """
        usable = {backend.backend_id for backend in BACKENDS if backend.available()} | {cv2.dnn.DNN_BACKEND_DEFAULT}
        if backendId not in usable:
            missing = [backend for backend in BACKENDS if backend.backend_id == backendId]
            target_id = missing[0].target_id if missing else self._target_id
            backend_of(backendId, target_id)  # raises, and says what it needs
        self._backend_id = backendId
        return self

    def setPreferableTarget(self, targetId: int) -> SqueezeDetModel:
        """Takes a DNN_TARGET_... constant. The next `detect` applies and checks the pair."""
        self._target_id = targetId
        return self

    def enableWinograd(self, useWinograd: bool) -> SqueezeDetModel:
        """Whether OpenCV may use Winograd's method for 3x3 convolutions."""
        self._detector.enable_winograd(useWinograd)
        return self

    def setNmsAcrossClasses(self, value: bool) -> SqueezeDetModel:
        """Whether a box of one class suppresses boxes of others too; at first it does not."""
        self._across_classes = bool(value)
        return self

    def getNmsAcrossClasses(self) -> bool:
        """What `setNmsAcrossClasses` set."""
        return self._across_classes

    # -- detection ----------------------------------------------------------------------------------------------

    def predict(self, frame: np.ndarray) -> tuple[np.ndarray, ...]:
        """The network's raw tensors for one frame, each with a first axis of length 1, in the order of
        `sqdet_cv.detector.HEADS`. Raises as `detect`.
        """
        return self._forward(frame, self._input)

    def detect(
        self, frame: np.ndarray, confThreshold: float = 0.5, nmsThreshold: float = 0.0
    ) -> tuple[np.ndarray | tuple, np.ndarray | tuple, np.ndarray | tuple]:
        """Detects in one frame.

        Args:
            frame: (H, W, 3) uint8, B, G, R.
            confThreshold: the least confidence of a detection.
            nmsThreshold: of two boxes of a class (`setNmsAcrossClasses`: of any) whose IoU is above it only the
                better stays; 0: all stay.

        Returns:
            classIds (n,) int32, confidences (n,) float32, boxes (n, 4) int32: x, y, width, height in pixels of the
            frame, each within it and at least 1 wide and high. By class, then best first; across classes best
            first. Nothing found: three empty tuples.

        Raises:
            SqdetError: the frame is not such an array.
            BackendError: the backend and target that were set are no pair, are missing, or leave the work to the CPU.
        """
        as_set, across_classes = self._input, self._across_classes  # as it was when the call began
        tensors = [tensor[0] for tensor in self._forward(frame, as_set)]
        # cv2 keeps a confidence equal to the threshold, `candidates` only what is above
        least = np.nextafter(np.float32(confThreshold), np.float32(-np.inf))
        boxes_xyxy, class_ids, scores = self._detector.candidates(tensors, least)
        if nmsThreshold and across_classes:
            boxes_xyxy = clip_boxes(boxes_xyxy, self.spec.input_wh)  # as `finish` does
            keep = suppress(boxes_xyxy, np.zeros_like(class_ids), scores, nmsThreshold)
            boxes_xyxy, class_ids, scores = boxes_xyxy[keep], class_ids[keep], scores[keep]
        within_classes = nmsThreshold and not across_classes
        seen = _seen(frame.shape[1::-1], self.spec.input_wh, as_set.crop)
        # no IoU is above 1
        found = finish(boxes_xyxy, class_ids, scores, self.spec, seen.size_wh, nmsThreshold if within_classes else 1.0)
        if not len(found):
            return (), (), ()
        if not across_classes:
            found = found[np.argsort(found.class_ids, kind="stable")]
        boxes_xywh = _to_whole_pixels(found.boxes_xyxy + np.tile(seen.offset_xy, 2), frame.shape[1::-1])
        return found.class_ids.astype(np.int32), found.scores, boxes_xywh

    def _forward(self, frame: np.ndarray, as_set: _Input) -> tuple[np.ndarray, ...]:
        check_image(frame)
        self._apply_backend()
        mean_bgr = as_set.mean[::-1] if as_set.swap_rb else as_set.mean
        spec = dataclasses.replace(self.spec, scale=as_set.scale, mean_bgr=mean_bgr, rgb=as_set.swap_rb)
        self._warn_if_contradicted(spec)
        return tuple(self._detector.forward(images_to_blob([frame], spec, crop=as_set.crop)))

    def _apply_backend(self) -> None:
        in_use = self._detector.backend
        if (self._backend_id, self._target_id) != (in_use.backend_id, in_use.target_id):
            wanted = backend_of(self._backend_id, self._target_id)
            if wanted is not in_use:
                self._detector.set_backend(wanted.name)

    def _warn_if_contradicted(self, spec: ModelSpec) -> None:
        same = np.allclose([spec.scale, *spec.mean_bgr], [self.spec.scale, *self.spec.mean_bgr], rtol=1e-3)
        if not self._warned and not (same and spec.rgb == self.spec.rgb):
            self._warned = True
            warnings.warn(
                f"the model was trained with {_described(self.spec)}, but gets {_described(spec)}: "
                "expect wrong detections; without setInput... calls it gets what it was trained with",
                stacklevel=4,
            )


class _Input(NamedTuple):
    """The pre-processing as it was set; the mean in the order of the channels after the swap."""

    scale: float
    mean: tuple[float, float, float]
    swap_rb: bool
    crop: bool


class _Seen(NamedTuple):
    """The part of a frame that the network sees, in pixels of the frame."""

    offset_xy: tuple[float, float]
    size_wh: tuple[float, float]


def _seen(frame_wh: tuple[int, int], input_wh: tuple[int, int], crop: bool) -> _Seen:
    if not crop:
        return _Seen((0.0, 0.0), frame_wh)
    # cv2.dnn.blobFromImage: enlarges or shrinks until the frame covers the input, then takes the middle
    factor = float(max(np.float32(of_input) / np.float32(of_frame) for of_frame, of_input in zip(frame_wh, input_wh)))
    covering_wh = [round(length * factor) for length in frame_wh]
    frame_pixels = [of_frame / covering for of_frame, covering in zip(frame_wh, covering_wh)]
    offset = [int((covering - of_input) / 2) for covering, of_input in zip(covering_wh, input_wh)]
    (x, y), (width, height) = offset, input_wh
    return _Seen((x * frame_pixels[0], y * frame_pixels[1]), (width * frame_pixels[0], height * frame_pixels[1]))


def _to_whole_pixels(boxes_xyxy: np.ndarray, frame_wh: tuple[int, int]) -> np.ndarray:
    """(n, 4) corners to (n, 4) int32 x, y, width, height, by the rule of DetectionModel for a DetectionOutput layer:
    corners are cut to whole pixels, both of which belong to the box."""
    corners = boxes_xyxy.astype(np.int32)  # towards 0, as the int conversion of C++
    frame = np.asarray(frame_wh, np.int32)
    wh = corners[:, 2:] - corners[:, :2] + 1
    xy = np.clip(corners[:, :2], 0, frame - 1)
    return np.concatenate([xy, np.clip(wh, 1, frame - xy)], axis=1)


def _scale(value: float | Sequence[float]) -> float:
    scale, *others = _scalar(value, "scale")
    if scale == 0 or any(other not in (0, scale) for other in others):
        raise SqdetError(f"scale is {value!r}, expected one number other than 0 for all channels")
    return scale


def _scalar(value: float | Sequence[float], name: str) -> tuple[float, float, float]:
    """Three channels of a cv::Scalar: a number fills the first, what is missing is 0, a fourth is ignored."""
    try:
        numbers = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or not 1 <= len(numbers) <= 4 or not np.isfinite(numbers).all():
        raise SqdetError(f"{name} is {value!r}, expected a number or up to four")
    return tuple(np.concatenate([numbers, np.zeros(3)])[:3].tolist())


def _described(spec: ModelSpec) -> str:
    mean = ", ".join(f"{value:g}" for value in (spec.mean_bgr[::-1] if spec.rgb else spec.mean_bgr))
    return f"scale {spec.scale:.4g}, mean ({mean}), swapRB {spec.rgb}"
