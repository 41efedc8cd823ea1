"""A picture in, labelled boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .backends import choose_backend
from .detections import Detections
from .errors import ModelFileError, SqdetError
from .model_file import load_model
from .postprocess import NMS_THRESHOLD, finish, select_convdet, select_decoded
from .preprocess import images_to_blob
from .quiet import quiet_opencv

# The heads that `python -m export onnx` writes: output names and, per picture, their shapes in anchors and classes.
HEADS = {
    "convdet": {"deltas": "A4", "class_scores": "AC", "confidence": "A"},
    "decoded": {"boxes_xyxy": "A4", "scores": "AC"},
}


class Detector:
    """Runs a model in cv2.dnn. Not thread-safe: a network holds its last input, so give each thread its own.

    Args:
        model: an exported `NAME.onnx` with `NAME.json` beside it; None: the model that came with the package.
        score_threshold: detections score above it; in [0, 1].
        nms_threshold: of two boxes of a class whose IoU is above it only the better stays; in [0, 1].
        backend: "auto", or a name from `sqdet_cv.backends`: "opencv" (CPU), "cuda", "cuda-fp16", "openvino".

    Attributes:
        spec: the model's `ModelSpec` (labels, input size, anchors ...).
        score_threshold, nms_threshold: may be set between calls.
        backend: the `Backend` in use.

    Raises:
        ModelFileError: a file is missing, damaged, or contradicts its spec.
        BackendError: this OpenCV lacks the backend.

    >>> detector = Detector()                                      # doctest: +SKIP
    >>> for found in detector(cv2.imread("cat.jpg")):              # doctest: +SKIP
    ...     print(found.label, found.score, found.box_xyxy)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        score_threshold: float = 0.3,
        nms_threshold: float = NMS_THRESHOLD,
        backend: str = "auto",
    ) -> None:
        self.score_threshold = _share(score_threshold, "score_threshold")
        self.nms_threshold = _share(nms_threshold, "nms_threshold")
        self.backend = choose_backend(backend)
        self._net, self.spec = load_model(model)
        name = "the embedded model" if model is None else str(model)  # for the errors
        self._head = self._find_head(name)
        self.backend.apply(self._net)
        self._try_out(name)

    def __call__(self, image_bgr: np.ndarray) -> Detections:
        """Detects in one picture.

        Args:
            image_bgr: (H, W, 3) uint8, as cv2.imread gives it; any size of at least one pixel.

        Returns:
            `Detections` in pixels of this picture, best first.

        Raises:
            SqdetError: not such an array.
        """
        return self.detect_batch([image_bgr])[0]

    def detect_batch(self, images_bgr: Sequence[np.ndarray]) -> list[Detections]:
        """Detects in several pictures, of any sizes, with one forward pass; one `Detections` per picture."""
        for image in images_bgr:
            _check_image(image)
        if not len(images_bgr):
            return []
        outputs = self.forward(images_to_blob(images_bgr, self.spec))
        found = []
        for image, *tensors in zip(images_bgr, *outputs):
            if self._head == "convdet":
                candidates = select_convdet(*tensors, self.spec, self.score_threshold)
            else:
                candidates = select_decoded(*tensors, self.score_threshold)
            found.append(finish(*candidates, self.spec, image.shape[1::-1], self.nms_threshold))
        return found

    def forward(self, blob: np.ndarray) -> list[np.ndarray]:
        """The raw tensors, in the order of HEADS, of an (N, 3, height, width) float32 blob from `images_to_blob`."""
        self._net.setInput(blob)
        return list(self._net.forward(list(HEADS[self._head])))  # by name: 4.x and 5.x differ in the default

    def _find_head(self, name: str) -> str:
        layers = set(self._net.getUnconnectedOutLayersNames())
        for head, outputs in HEADS.items():
            if set(outputs) <= layers:
                return head
        heads = " or ".join(f"({', '.join(outputs)})" for outputs in HEADS.values())
        raise ModelFileError(f"{name}: its outputs are {', '.join(sorted(layers))}; expected {heads}")

    def _try_out(self, name: str) -> None:
        """The first forward shows whether network and spec belong together, before any picture is lost."""
        width, height = self.spec.input_wh
        try:
            with quiet_opencv():
                outputs = self.forward(np.zeros((1, 3, height, width), np.float32))
        except cv2.error as error:
            reason = " ".join(str(error.err or error).split())
            raise ModelFileError(f"{name}: OpenCV cannot run it at {width} x {height} pixels: {reason}") from None
        sizes = {"A": self.spec.num_anchors, "C": self.spec.num_classes, "4": 4}
        for (output_name, letters), output in zip(HEADS[self._head].items(), outputs):
            expected = (1, *(sizes[letter] for letter in letters))
            if output.shape != expected:
                raise ModelFileError(
                    f"{name}: output {output_name} has shape {output.shape}, but its spec ({self.spec.grid_hw} cells, "
                    f"{self.spec.num_shapes} anchors, {self.spec.num_classes} classes) makes it {expected}"
                )


def _check_image(image: object) -> None:
    if not isinstance(image, np.ndarray):
        hint = " (cv2.imread gives None for a file it cannot read)" if image is None else ""
        raise SqdetError(f"the picture is {type(image).__name__}{hint}, expected an (H, W, 3) uint8 array")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise SqdetError(f"the picture is {image.shape} {image.dtype}, expected (H, W, 3) uint8, B, G, R")


def _share(value: float, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number <= 1:
        raise SqdetError(f"{name} is {value!r}, expected a number from 0 to 1")
    return number
