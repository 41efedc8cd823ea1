"""An image in, its most probable classes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .dnn.model_file import fingerprint, load_model, require_same
from .dnn.preprocess import classifier_blob
from .dnn.startup import start_model
from .errors import ModelFileError, SqdetError
from .spec.classifier_spec import ClassifierSpec
from .util.fork_safe_lock import ForkSafeLock
from .util.images import check_image

OUTPUT = "probabilities"  # of the files that `python -m export classifier` writes


class Classification(NamedTuple):
    """One answer: label, class id, score in [0, 1] (the softmax probability)."""

    label: str
    class_id: int
    score: float


class Classifier:
    """Runs a classifier in cv2.dnn. Threads, pickles, copies and forked processes: as for `Detector`.

    Args:
        model: an exported `NAME.onnx` (of before 0.2: with `NAME.json` beside it) or a packed `NAME.sqdet`; None: the
            one that came with the package, SqueezeNet v1.0 for the 1000 ImageNet classes.
        backend: as for `Detector`.

    Attributes:
        spec: the model's `ClassifierSpec` (labels, input size, preprocessing).
        backend: the `Backend` in use.

    Raises:
        ModelFileError: a file is missing, damaged, or contradicts its spec.
        BackendError: this OpenCV lacks the backend, or computed elsewhere when it was asked for it.

    >>> classifier = Classifier()                              # doctest: +SKIP
    >>> for found in classifier(cv2.imread("cat.jpg")):        # doctest: +SKIP
    ...     print(found.label, found.score)
    """

    def __init__(self, model: str | Path | None = None, backend: str = "auto") -> None:
        name = "the embedded model" if model is None else str(model)  # for the errors
        self._path, self._name = None if model is None else Path(model).absolute(), name
        self._lock = ForkSafeLock()
        self._net, self.spec = load_model(model, ClassifierSpec)
        self._fingerprint = fingerprint(self._path, self.spec)
        if OUTPUT not in self._net.getUnconnectedOutLayersNames():
            outputs = ", ".join(self._net.getUnconnectedOutLayersNames())
            raise ModelFileError(f"{name}: its outputs are {outputs}; expected {OUTPUT}")
        self.backend, output = start_model(self._net, backend, self._forward, self.spec.input_wh, name)
        if output.shape != (1, self.spec.num_classes):
            raise ModelFileError(
                f"{name}: output {OUTPUT} has shape {output.shape}, but its spec has {self.spec.num_classes} labels"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, (self._path, self.backend.name, self._fingerprint)

    @classmethod
    def _again(cls, path: Path | None, backend: str, pickled: tuple[ClassifierSpec, int]) -> Classifier:
        classifier = cls(path, backend)
        require_same(classifier._name, classifier._fingerprint, pickled)
        return classifier

    def __call__(self, image_bgr: np.ndarray, top: int = 5) -> list[Classification]:
        """The `top` most probable classes of one image, best first; all of them where there are fewer.

        Args:
            image_bgr: (H, W, 3) uint8, as cv2.imread gives it; any size of at least one pixel.
            top: how many, at least 1.

        Raises:
            SqdetError: the image is not such an array, or `top` not such a number.
        """
        if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
            raise SqdetError(f"top is {top!r}, expected a whole number from 1")
        scores = self.probabilities(image_bgr)
        best = np.argsort(-scores, kind="stable")[:top]
        return [Classification(self.spec.labels[i], int(i), float(scores[i])) for i in best]

    def probabilities(self, image_bgr: np.ndarray) -> np.ndarray:
        """The probability of every class in one image: (C,) float32 that sum to 1.

        Raises:
            SqdetError: the image is not an (H, W, 3) uint8 array.
        """
        check_image(image_bgr)
        return self._forward(classifier_blob(image_bgr, self.spec))[0]

    def _forward(self, blob: np.ndarray) -> np.ndarray:
        with self._lock:
            self._net.setInput(blob)
            return self._net.forward(OUTPUT)
