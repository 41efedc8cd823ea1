"""Where cv2.dnn computes: names for OpenCV's (backend, target) pairs, and what this build can do."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import cv2

from .errors import BackendError
from .quiet import quiet_opencv


@dataclass(frozen=True)
class Backend:
    """A pair to set on a `cv2.dnn.Net` (both must be set) and how to get an OpenCV that has it."""

    name: str
    backend_id: int
    target_id: int
    how_to_get: str

    def available(self) -> bool:
        """True if this OpenCV build lists the target for the backend; a missing device counts as missing."""
        return self.target_id in cv2.dnn.getAvailableTargets(self.backend_id)

    def apply(self, net: cv2.dnn.Net) -> None:
        """Sets both on the network."""
        # 5.x says of every target that its new engine has none; on the CPU that is no news
        with quiet_opencv() if self.name == "opencv" else nullcontext():
            net.setPreferableBackend(self.backend_id)
            net.setPreferableTarget(self.target_id)


_CUDA = "an OpenCV built with CUDA and cuDNN (no pip wheel is) and an NVIDIA GPU"
_OPENVINO = "an OpenCV built with OpenVINO"

# `auto` never chooses OpenVINO: no OpenCV with it has been at hand to check its results.
BACKENDS = (
    Backend("cuda", cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA, _CUDA),
    Backend("cuda-fp16", cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA_FP16, _CUDA),
    Backend("openvino", cv2.dnn.DNN_BACKEND_INFERENCE_ENGINE, cv2.dnn.DNN_TARGET_CPU, _OPENVINO),
    Backend("opencv", cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_CPU, "every OpenCV"),
)


def choose_backend(name: str = "auto") -> Backend:
    """The backend of that name; "auto": CUDA where this build and machine have it, else OpenCV's own on the CPU.

    OpenCV itself would warn, compute on the CPU or fail at the first forward, depending on its version, when asked
    for what it lacks; this refuses at once.

    Raises:
        BackendError: the name is unknown, or this OpenCV lacks it; says what there is.
    """
    by_name = {backend.name: backend for backend in BACKENDS}
    if name == "auto":
        return by_name["cuda"] if by_name["cuda"].available() else by_name["opencv"]
    if name not in by_name:
        raise BackendError(f"no backend called {name!r}; there are auto, {', '.join(by_name)}")
    if not by_name[name].available():
        there = ", ".join(backend.name for backend in BACKENDS if backend.available())
        raise BackendError(
            f"backend {name!r} is not in this OpenCV {cv2.__version__}, which has {there}; "
            f"it needs {by_name[name].how_to_get}"
        )
    return by_name[name]
