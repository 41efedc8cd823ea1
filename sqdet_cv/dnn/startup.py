"""A network's start: the backend is set, and the first forward pass shows whether it really computes there."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import cv2
import numpy as np

from ..errors import BackendError, ModelFileError
from ..util.log_level import quiet_opencv
from ..util.opencv_errors import error_text
from .backends import CPU, Backend, choose_backend, expects_cuda
from .log_capture import captured_log
from .placement import require_computed_on

Outputs = TypeVar("Outputs", np.ndarray, list[np.ndarray])


def start_model(
    net: cv2.dnn.Net,
    backend_name: str,
    forward: Callable[[np.ndarray], Outputs],
    input_wh: tuple[int, int],
    model_name: str,
) -> tuple[Backend, Outputs]:
    """Runs the first forward pass on a black image, so that a network that does not fit its spec is refused before any
    image is lost.

    Args:
        forward: runs the network on a (1, 3, height, width) float32 blob.
        input_wh: the spec's, in pixels.
        model_name: for the error.

    Returns:
        as `start_network`; the caller checks the shapes of the outputs.

    Raises:
        ModelFileError: the network does not take an input of this size, or gives numbers that are not finite.
        BackendError: as `start_network`.
    """
    width, height = input_wh
    blob = np.zeros((1, 3, height, width), np.float32)
    try:
        backend, outputs = start_network(net, backend_name, lambda: forward(blob))
    except cv2.error as error:
        raise ModelFileError(
            f"{model_name}: OpenCV cannot run it at {width} x {height} pixels: {error_text(error)}"
        ) from None
    if not all(np.isfinite(output).all() for output in outputs):
        raise ModelFileError(f"{model_name}: its first forward pass gives NaN or infinite numbers")
    return backend, outputs


def start_network(net: cv2.dnn.Net, backend_name: str, forward: Callable[[], Outputs]) -> tuple[Backend, Outputs]:
    """Sets a backend on a network and runs its first forward pass there.

    Args:
        backend_name: of `sqdet_cv.dnn.backends`, or "auto": CUDA where it is and works, else OpenCV's own on the CPU.
            Where CUDA could be expected, a warning, once per process, says why it is the CPU. `auto` tries no other
            backend: their results have never been checked, for want of an OpenCV that has them.
        forward: sets an input of the right size and runs the network.

    Returns:
        the backend in use, and what `forward` returned.

    Raises:
        BackendError: the backend is unknown, missing, fails, or left the work to the CPU.
        cv2.error: the network does not run on the CPU either.
    """
    if backend_name == "auto":
        try:
            return start_network(net, "cuda", forward)
        except BackendError as error:
            if expects_cuda():
                _warn_once(f"computing on the CPU: {error}")
        return start_network(net, "opencv", forward)
    backend = choose_backend(backend_name)
    if backend is CPU:
        with quiet_opencv():  # 5.x warns that its engine knows no targets, which does not matter on the CPU
            CPU.apply(net)
            return CPU, forward()
    with captured_log() as log:
        try:
            backend.apply(net)
            outputs = forward()
            dump = net.dump()
        except cv2.error as error:
            raise BackendError(f"backend {backend.name!r} fails at the first forward: {error_text(error)}") from None
    require_computed_on(backend, dump, log)
    return backend, outputs


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
