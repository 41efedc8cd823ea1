"""An image in, labelled boxes out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .boxes.postprocess import NMS_THRESHOLD, SCORE_THRESHOLD, finish, select_convdet, select_decoded
from .detections import Detections
from .dnn import caffe as caffe_file
from .dnn.backends import CPU
from .dnn.model_file import fingerprint, load_model, require_same
from .dnn.preprocess import images_to_blob
from .dnn.startup import start_model
from .errors import BackendError, ModelFileError, SqdetError
from .media.find import find_sources
from .media.sources import Frame
from .util.fork_safe_lock import ForkSafeLock
from .util.images import check_image
from .util.log_level import quiet_opencv

# The heads that `python -m export` writes: output names and, per image, their shapes in anchors and classes.
HEADS = {
    "convdet": {"deltas": "A4", "class_scores": "AC", "confidence": "A"},
    "decoded": {"boxes_xyxy": "A4", "scores": "AC"},
}


class Detector:
    """Runs a model in cv2.dnn, for any number of threads: their forward passes take turns, since a network holds its
    last input, and each uses all of OpenCV's threads. One Detector for each thread can give more images a second, for
    15 to 42 MiB each (docs/benchmarks.md).

    Pickles and copies hold where the model lies, not its weights: they read its file again, and refuse another that
    took its place. In a forked process it goes on.

    Args:
        model: an exported `NAME.onnx`, a packed `NAME.sqdet`, or with OpenCV 4 a `NAME.caffemodel` with
            `NAME.prototxt` and `NAME.json`; None: the model that came with the package. An ONNX file of before 0.2
            needs `NAME.json` too.
        score_threshold: detections score above it; in [0, 1].
        nms_threshold: of two boxes of a class whose IoU is above it only the better stays; in [0, 1].
        backend: "auto" (CUDA where it works, else the CPU), "opencv" (the CPU), or another name from
            `sqdet_cv.dnn.backends`: "cuda", "cuda-fp16", "openvino", "openvino-gpu", "opencl", "opencl-fp16", "vulkan",
            "cann". `sqdet info` says which of them this OpenCV has.

    Attributes:
        spec: the model's `ModelSpec` (labels, input size, anchors ...).
        score_threshold, nms_threshold: may be set between calls, to numbers in [0, 1] (else SqdetError).
        backend: the `Backend` in use.

    Raises:
        ModelFileError: a file is missing, damaged, or contradicts its spec.
        BackendError: this OpenCV lacks the backend, or computed elsewhere when it was asked for it.

    >>> detector = Detector()                                      # doctest: +SKIP
    >>> for found in detector(cv2.imread("cat.jpg")):              # doctest: +SKIP
    ...     print(found.label, found.score, found.box_xyxy)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        score_threshold: float = SCORE_THRESHOLD,
        nms_threshold: float = NMS_THRESHOLD,
        backend: str = "auto",
    ) -> None:
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        self._name = "the embedded model" if model is None else str(model)  # for the errors
        self._path = None if model is None else Path(model).absolute()
        self._winograd = True
        self._open(model)
        self.set_backend(backend)

    def _open(self, model: str | Path | None) -> None:
        self._lock = ForkSafeLock()
        self._net, self.spec = load_model(model)
        self._fingerprint = fingerprint(self._path, self.spec)
        self._is_caffe = caffe_file.is_detector(self._net)
        self._head = "convdet" if self._is_caffe else self._find_head()
        self.backend = CPU  # until `set_backend` has started another

    def __getstate__(self) -> dict[str, Any]:
        own = ("_path", "_name", "_winograd", "_score_threshold", "_nms_threshold", "_fingerprint")
        return {name: getattr(self, name) for name in own} | {"backend": self.backend.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        backend = state.pop("backend")
        self.__dict__.update(state)
        self._open(self._path)
        require_same(self._name, self._fingerprint, state["_fingerprint"])
        self.set_backend(backend)
        # after the first forward pass, as in the original: set before it, OpenCV's last digits differ
        if not self._winograd:
            self.enable_winograd(False)

    @property
    def score_threshold(self) -> float:
        return self._score_threshold

    @score_threshold.setter
    def score_threshold(self, value: float) -> None:
        self._score_threshold = _fraction(value, "score_threshold")

    @property
    def nms_threshold(self) -> float:
        return self._nms_threshold

    @nms_threshold.setter
    def nms_threshold(self, value: float) -> None:
        self._nms_threshold = _fraction(value, "nms_threshold")

    def __call__(self, image_bgr: np.ndarray) -> Detections:
        """Detects in one image.

        Args:
            image_bgr: (H, W, 3) uint8, as cv2.imread gives it; any size of at least one pixel.

        Returns:
            `Detections` in pixels of this image, best first.

        Raises:
            SqdetError: the image is not such an array.
        """
        return self.detect_batch([image_bgr])[0]

    def detect_batch(self, images_bgr: Sequence[np.ndarray]) -> list[Detections]:
        """Detects in several images, of any sizes, with one forward pass; one `Detections` per image.

        Raises:
            SqdetError: as a call for one image.
        """
        for image in images_bgr:
            check_image(image)
        if not len(images_bgr):
            return []
        score_threshold, nms_threshold = self.score_threshold, self.nms_threshold  # one pair for the whole batch
        outputs = self.forward(images_to_blob(images_bgr, self.spec))
        found = []
        for image, *tensors in zip(images_bgr, *outputs):
            candidates = self.candidates(tensors, score_threshold)
            found.append(finish(*candidates, self.spec, image.shape[1::-1], nms_threshold))
        return found

    def stream(
        self, source: str | int | Path, *, reconnect: float | None = None
    ) -> Generator[tuple[Frame, Detections], None, None]:
        """Detects in every frame of a video, or in the newest one of a camera or stream, however slow the net is.

        Args:
            source: a path, camera number or stream URL; also an image, folder or glob.
            reconnect: seconds after which a camera or stream that ended is opened again; None: it is not.

        Yields:
            the `Frame` (image_bgr, index, seconds, skipped ...) and its `Detections`.

        Raises:
            SourceError: there is no such source, it cannot be opened, or it stalls.

        >>> for frame, found in detector.stream(0):                     # doctest: +SKIP
        ...     cv2.imshow("found", draw(frame.image_bgr, found))
        """
        for one in find_sources([str(source)]):
            for frame in one.frames(reconnect):
                yield frame, self(frame.image_bgr)

    def forward(self, blob: np.ndarray) -> list[np.ndarray]:
        """The raw tensors, in the order of HEADS, for an (N, 3, height, width) float32 blob from `images_to_blob`."""
        with self._lock:
            if self._is_caffe:
                return caffe_file.forward_detector(self._net, blob)
            self._net.setInput(blob)
            return list(self._net.forward(list(HEADS[self._head])))  # by name: 4.x and 5.x differ in the default

    def candidates(
        self, tensors: Sequence[np.ndarray], score_threshold: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """boxes_xyxy (n, 4) in input pixels, class_ids (n,), scores (n,) of one image, best first, not suppressed.

        Args:
            tensors: those of `forward` for this image alone, without their first axis.
            score_threshold: candidates score above it.
        """
        if self._head == "convdet":
            deltas, class_scores, confidence = tensors
            return select_convdet(deltas, class_scores, confidence, self.spec, score_threshold)
        boxes_xyxy, scores = tensors
        return select_decoded(boxes_xyxy, scores, score_threshold)

    def set_backend(self, backend: str) -> None:
        """Computes on another backend from now on; names and errors as in the constructor. After an error it computes
        where it did before.

        The first forward pass there shows whether network and spec belong together, before any image is lost, and
        whether OpenCV really computes there.
        """
        with self._lock:
            try:
                self.backend, outputs = start_model(self._net, backend, self.forward, self.spec.input_wh, self._name)
            except BackendError:
                with quiet_opencv():
                    self.backend.apply(self._net)
                raise
        self._check_shapes(outputs)

    def enable_winograd(self, use: bool) -> None:
        """Whether OpenCV may use Winograd's fast, slightly less exact method for 3x3 convolutions (default: yes)."""
        with self._lock:
            self._winograd = bool(use)
            self._net.enableWinograd(self._winograd)

    def _find_head(self) -> str:
        layers = set(self._net.getUnconnectedOutLayersNames())
        for head, outputs in HEADS.items():
            if set(outputs) <= layers:
                return head
        heads = " or ".join(f"({', '.join(outputs)})" for outputs in HEADS.values())
        raise ModelFileError(f"{self._name}: its outputs are {', '.join(sorted(layers))}; expected {heads}")

    def _check_shapes(self, outputs: Sequence[np.ndarray]) -> None:
        sizes = {"A": self.spec.num_anchors, "C": self.spec.num_classes, "4": 4}
        for (output_name, letters), output in zip(HEADS[self._head].items(), outputs):
            expected = (1, *(sizes[letter] for letter in letters))
            if output.shape != expected:
                raise ModelFileError(
                    f"{self._name}: output {output_name} has shape {output.shape}, but its spec "
                    f"({self.spec.num_anchors} anchors, {self.spec.num_classes} classes) "
                    f"asks for {expected}"
                )


def _fraction(value: float, name: str) -> float:
    try:
        number = float("nan") if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number <= 1:
        raise SqdetError(f"{name} is {value!r}, expected a number from 0 to 1")
    return number
