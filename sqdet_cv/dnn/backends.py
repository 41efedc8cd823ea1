"""Where cv2.dnn computes: names for OpenCV's (backend, target) pairs, and what this build can do."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2

from ..errors import BackendError
from ..util.opencv_errors import error_text


@dataclass(frozen=True)
class Backend:
    """A pair to set on a `cv2.dnn.Net` (both must be set) and how to get an OpenCV that has it.

    Attributes:
        name: what `Detector(backend=...)` takes.
        backend_id, target_id: cv2.dnn's DNN_BACKEND_... and DNN_TARGET_... .
        place: backend/target as `Net.dump()` of OpenCV 4 writes it for each layer.
        how_to_get: completes "it needs ...".
        in_opencv5: False where the graph engine of OpenCV 5 ignores the pair and computes on the CPU.
    """

    name: str
    backend_id: int
    target_id: int
    place: str
    how_to_get: str
    in_opencv5: bool = False

    def available(self) -> bool:
        """True if this OpenCV build lists the target for the backend; a missing device counts as missing."""
        return self.needs() is None

    def needs(self) -> str | None:
        """What this OpenCV or machine lacks for it, as the end of "it needs ..."; None: nothing."""
        if not self.in_opencv5 and int(cv2.__version__.split(".")[0]) >= 5:
            return f"OpenCV 4 (OpenCV 5 has only the CPU and CUDA) and {self.how_to_get}"
        try:
            listed = self.target_id in cv2.dnn.getAvailableTargets(self.backend_id)
        except cv2.error as error:  # for instance a cuDNN of another version than the one it was built with
            return f"{self.how_to_get}; OpenCV says: {error_text(error)}"
        return None if listed else self.how_to_get

    @property
    def constants(self) -> str:
        """The names of both ids in cv2.dnn, "DNN_BACKEND_OPENCV + DNN_TARGET_CPU"."""
        return f"{_constant('DNN_BACKEND_', self.backend_id)} + {_constant('DNN_TARGET_', self.target_id)}"

    def apply(self, net: cv2.dnn.Net) -> None:
        """Sets both on the network."""
        net.setPreferableBackend(self.backend_id)
        net.setPreferableTarget(self.target_id)


def _constant(prefix: str, value: int) -> str:
    return next(name for name in dir(cv2.dnn) if name.startswith(prefix) and getattr(cv2.dnn, name) == value)


_CUDA = "an OpenCV built with CUDA and cuDNN (no pip wheel is; WITH_CUDA, OPENCV_DNN_CUDA) and an NVIDIA GPU"
_OPENVINO = "an OpenCV built with OpenVINO (WITH_OPENVINO)"
_OPENCL = "an OpenCL driver (`clinfo` lists it; pip's OpenCV 4 wheels are ready for it) and a GPU"

CPU = Backend("opencv", cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_CPU, "OCV/CPU", "every OpenCV", in_opencv5=True)

# Left out: Halide and WebNN (not for Python), TIM-VX (int8 nets only), the Movidius and FPGA targets (gone from
# OpenVINO) and CPU_FP16 (on a CPU without float16 OpenCV computes in float32 and cannot be made to tell).
BACKENDS = (
    Backend("cuda", cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA, "CUDA/CUDA", _CUDA, in_opencv5=True),
    Backend(
        *("cuda-fp16", cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA_FP16, "CUDA/CUDA_FP16", _CUDA), in_opencv5=True
    ),
    Backend("openvino", cv2.dnn.DNN_BACKEND_INFERENCE_ENGINE, cv2.dnn.DNN_TARGET_CPU, "OpenVINO/CPU", _OPENVINO),
    Backend(
        *("openvino-gpu", cv2.dnn.DNN_BACKEND_INFERENCE_ENGINE, cv2.dnn.DNN_TARGET_OPENCL, "OpenVINO/OCL"),
        f"{_OPENVINO} and an Intel GPU",
    ),
    Backend("opencl", cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_OPENCL, "OCV/OCL", _OPENCL),
    Backend(
        *("opencl-fp16", cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_OPENCL_FP16, "OCV/OCL_FP16"),
        f"{_OPENCL} by Intel",
    ),
    Backend(
        *("vulkan", cv2.dnn.DNN_BACKEND_VKCOM, cv2.dnn.DNN_TARGET_VULKAN, "VULKAN/VULKAN"),
        "an OpenCV built with Vulkan (WITH_VULKAN) and a GPU",
    ),
    Backend(
        *("cann", cv2.dnn.DNN_BACKEND_CANN, cv2.dnn.DNN_TARGET_NPU, "CANN/NPU"),
        "an OpenCV built with CANN (WITH_CANN) and an Ascend NPU",
    ),
    CPU,
)


def choose_backend(name: str) -> Backend:
    """The backend of that name.

    OpenCV itself would warn, compute on the CPU or fail at the first forward, depending on its version, when asked
    for what it lacks; this refuses at once.

    Raises:
        BackendError: the name is unknown, or this OpenCV lacks it; the message says what there is, and how to get it.
    """
    by_name = {backend.name: backend for backend in BACKENDS}
    if name not in by_name:
        raise BackendError(f"no backend called {name!r}; there are auto, {', '.join(by_name)}")
    needs = by_name[name].needs()
    if needs is not None:
        raise BackendError(
            f"backend {name!r} is not in this OpenCV {cv2.__version__}, which has {_available()}; it needs {needs}"
        )
    return by_name[name]


def backend_of(backend_id: int, target_id: int) -> Backend:
    """The backend with these DNN_BACKEND_... and DNN_TARGET_... ; DNN_BACKEND_DEFAULT is OpenCV's own.

    Raises:
        BackendError: there is no such pair, or this OpenCV lacks it.
    """
    if backend_id == cv2.dnn.DNN_BACKEND_DEFAULT:
        backend_id = cv2.dnn.DNN_BACKEND_OPENCV
    for backend in BACKENDS:
        if (backend.backend_id, backend.target_id) == (backend_id, target_id):
            return choose_backend(backend.name)
    pairs = ", ".join(f"{backend.constants} ({backend.name})" for backend in BACKENDS)
    raise BackendError(f"backend {backend_id} with target {target_id} is not supported; supported are {pairs}")


def _available() -> str:
    return ", ".join(backend.name for backend in BACKENDS if backend.available())


def expects_cuda() -> bool:
    """True where a user would expect "auto" to use CUDA: OpenCV is built for it, or there is an NVIDIA driver."""
    built = re.search(r"NVIDIA CUDA:\s+YES", cv2.getBuildInformation()) is not None
    return built or shutil.which("nvidia-smi") is not None or Path("/dev/nvidiactl").exists()
