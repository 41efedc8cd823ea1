"""No backend is used that was not seen to compute; on the OpenCV at hand, which has the CPU alone, or on a fake."""

import os
import warnings

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError, Detector
from sqdet_cv.dnn import startup as first_forward
from sqdet_cv.dnn.backends import BACKENDS
from sqdet_cv.dnn.startup import start_network
from tests.released import PICTURES
from tests.sqdet_cv.dnn.layer_dumps import GRAPH_ENGINE_DUMP, ON_CPU, ON_CUDA, dump

OTHERS = [backend.name for backend in BACKENDS if backend.name != "opencv"]


class FakeNet:
    """A network that remembers what was set, and dumps what it is told."""

    def __init__(self, text: str) -> None:
        self.text, self.set = text, []

    def setPreferableBackend(self, backend_id: int) -> None:
        self.set.append(backend_id)

    def setPreferableTarget(self, target_id: int) -> None:
        self.set.append(target_id)

    def dump(self) -> str:
        return self.text


@pytest.fixture(autouse=True)
def a_machine_without_cuda(monkeypatch):
    monkeypatch.setattr(first_forward, "expects_cuda", lambda: False)
    first_forward._warn_once.cache_clear()


@pytest.fixture
def lying_build(monkeypatch):
    """The OpenCV at hand lists every target for every backend."""
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: range(11))


def skip_where_there_is_a_gpu() -> None:
    if cv2.cuda.getCudaEnabledDeviceCount() > 0 or cv2.ocl.haveOpenCL():
        pytest.skip("this machine may really have it")


def log(lines: list[str]) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


@pytest.mark.parametrize(
    ("text", "lines"),
    [(dump("CUDA/CUDA", "CUDA/CUDA"), []), (GRAPH_ENGINE_DUMP, ON_CUDA)],
    ids=["OpenCV 4", "OpenCV 5"],
)
@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_cuda_that_works(lying_build, capfd, name, text, lines):
    net = FakeNet(text)
    backend, outputs = start_network(net, name, lambda: log(lines) or "outputs")
    assert (backend.name, outputs) == ("cuda", "outputs")
    assert net.set == [cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("text", "lines"), [(dump(), []), (GRAPH_ENGINE_DUMP, ON_CPU)], ids=["OpenCV 4", "OpenCV 5"])
def test_cuda_that_computes_on_the_cpu(lying_build, text, lines):
    with pytest.raises(BackendError, match="'cuda' .* 1 convolutions elsewhere"):
        start_network(FakeNet(text), "cuda", lambda: log(lines))
    net = FakeNet(text)
    backend, _ = start_network(net, "auto", lambda: log(lines))
    assert backend.name == "opencv" and net.set[2:] == [cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_CPU]


def test_cuda_that_fails(lying_build):
    def forward():
        error = cv2.error("GPU out of memory")
        error.err = "GPU out of memory"  # else it has that of the last error of all: cv2 keeps it in the class
        raise error

    with pytest.raises(BackendError, match="'cuda' fails at the first forward: GPU out of memory"):
        start_network(FakeNet(dump()), "cuda", forward)
    with pytest.raises(cv2.error):  # the network itself is broken
        start_network(FakeNet(dump()), "auto", forward)


@pytest.mark.parametrize("name", OTHERS)
def test_missing_backend_is_refused_before_any_forward(monkeypatch, name):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])
    monkeypatch.setattr(Detector, "forward", lambda *_: pytest.fail("ran"))
    with pytest.raises(BackendError, match=f"{name!r} is not in .*has opencv; it needs "):
        Detector(backend=name)


@pytest.mark.parametrize("name", OTHERS)
def test_this_opencv_never_computes_on_the_cpu_unasked(lying_build, capfd, name):
    """4.10 would warn, 4.14 assert, 5.1 ignore; Detector refuses, and nothing of OpenCV's is printed."""
    skip_where_there_is_a_gpu()
    with pytest.raises(BackendError, match=f"backend {name!r} (was set, but|fails at the first|is not in this OpenCV)"):
        Detector(backend=name)
    assert capfd.readouterr() == ("", "")


def test_auto_is_silent_on_a_plain_machine(monkeypatch):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Detector().backend.name == "opencv"


def test_auto_says_once_why_it_is_not_cuda(monkeypatch):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])
    monkeypatch.setattr(first_forward, "expects_cuda", lambda: True)
    with pytest.warns(UserWarning) as said:
        assert [Detector().backend.name, Detector().backend.name] == ["opencv", "opencv"]
    (warning,) = said
    assert str(warning.message).startswith("computing on the CPU: backend 'cuda' is not in this OpenCV")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Detector(backend="opencv")  # who asks for the CPU needs no explanation


@pytest.mark.parametrize("name", ["tpu", "cuda", "opencl", "vulkan"])
def test_after_a_refusal_a_detector_computes_where_it_did(lying_build, name):
    skip_where_there_is_a_gpu()
    image = cv2.imread(str(PICTURES / "cat.jpg"))
    detector = Detector(backend="opencv")
    before = detector(image)
    with pytest.raises(BackendError):
        detector.set_backend(name)
    assert detector.backend.name == "opencv" and len(before)
    np.testing.assert_array_equal(detector(image).boxes_xyxy, before.boxes_xyxy)
