"""Names for backends, and what an OpenCV build says it has; the build's answers are fakes."""

import cv2
import pytest

from sqdet_cv import BackendError
from sqdet_cv.dnn.backends import BACKENDS, CPU, backend_of, choose_backend, expects_cuda

dnn = cv2.dnn
EVERY_TARGET = {
    dnn.DNN_BACKEND_OPENCV: [dnn.DNN_TARGET_CPU, dnn.DNN_TARGET_OPENCL, dnn.DNN_TARGET_OPENCL_FP16],
    dnn.DNN_BACKEND_CUDA: [dnn.DNN_TARGET_CUDA, dnn.DNN_TARGET_CUDA_FP16],
    dnn.DNN_BACKEND_INFERENCE_ENGINE: [dnn.DNN_TARGET_CPU, dnn.DNN_TARGET_OPENCL],
    dnn.DNN_BACKEND_VKCOM: [dnn.DNN_TARGET_VULKAN],
    dnn.DNN_BACKEND_CANN: [dnn.DNN_TARGET_NPU],
}


@pytest.fixture
def build(monkeypatch):
    """Makes this OpenCV say that it is of a version and has some targets."""

    def say(version: str, targets: dict[int, list[int]]) -> None:
        monkeypatch.setattr(cv2, "__version__", version)
        monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: targets.get(backend_id, []))

    return say


def test_every_name_is_another_pair_of_cv2():
    assert len({backend.name for backend in BACKENDS}) == len(BACKENDS)
    assert len({(backend.backend_id, backend.target_id) for backend in BACKENDS}) == len(BACKENDS)
    assert CPU in BACKENDS and CPU.constants == "DNN_BACKEND_OPENCV + DNN_TARGET_CPU"
    assert choose_backend("opencv") is CPU


def test_unknown_name_lists_what_there_is():
    with pytest.raises(BackendError, match="'tpu'.* auto, cuda, .*, opencv"):
        choose_backend("tpu")


@pytest.mark.parametrize("version", ["4.10.0", "4.14.0", "5.1.0"])
def test_plain_wheel_has_the_cpu_and_says_how_to_get_the_rest(build, version):
    build(version, {dnn.DNN_BACKEND_OPENCV: [dnn.DNN_TARGET_CPU]})
    assert [backend.name for backend in BACKENDS if backend.available()] == ["opencv"]
    for backend in BACKENDS[:-1]:
        with pytest.raises(BackendError) as caught:
            choose_backend(backend.name)
        message = str(caught.value)
        assert f"backend {backend.name!r} is not in this OpenCV {version}, which has opencv; it needs " in message
        assert backend.how_to_get in message
        assert ("needs OpenCV 4 " in message) == (version == "5.1.0" and "cuda" not in backend.name)


def test_opencv_4_with_everything(build):
    build("4.14.0", EVERY_TARGET)
    assert [choose_backend(backend.name) for backend in BACKENDS] == list(BACKENDS)


def test_opencv_5_ignores_all_but_cuda(build):
    """Its registry lists OpenCL where there is a driver; its graph engine computes on the CPU then."""
    build("5.1.0", EVERY_TARGET)
    assert [backend.name for backend in BACKENDS if backend.available()] == ["cuda", "cuda-fp16", "opencv"]


def test_missing_target_of_a_present_backend(build):
    build("4.14.0", {dnn.DNN_BACKEND_OPENCV: [0], dnn.DNN_BACKEND_CUDA: [dnn.DNN_TARGET_CUDA]})
    assert choose_backend("cuda").available()
    with pytest.raises(BackendError, match="'cuda-fp16' .*4.14.0, which has cuda, opencv"):
        choose_backend("cuda-fp16")


def test_a_build_that_fails_when_asked(monkeypatch):
    def fail(backend_id):
        if backend_id == dnn.DNN_BACKEND_CUDA:
            reason = "cuDNN reports version 8.0 which is not compatible with 9.1"
            raise cv2.error(
                f"OpenCV(4.14.0) /io/init.cpp:51: error: (-217:Gpu API call) {reason} in function 'check'\n"
            )
        return [0] if backend_id == dnn.DNN_BACKEND_OPENCV else []

    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", fail)
    with pytest.raises(BackendError, match="which has opencv; .*cuDNN reports version 8.0"):
        choose_backend("cuda")


@pytest.mark.parametrize(
    ("backend_id", "target_id", "name"),
    [
        pytest.param(dnn.DNN_BACKEND_DEFAULT, dnn.DNN_TARGET_CPU, "opencv", id="default"),
        pytest.param(dnn.DNN_BACKEND_OPENCV, dnn.DNN_TARGET_CPU, "opencv", id="opencv"),
        pytest.param(dnn.DNN_BACKEND_CUDA, dnn.DNN_TARGET_CUDA_FP16, "cuda-fp16", id="cuda-fp16"),
        pytest.param(dnn.DNN_BACKEND_VKCOM, dnn.DNN_TARGET_VULKAN, "vulkan", id="vulkan"),
    ],
)
def test_pairs_of_constants(build, backend_id, target_id, name):
    build("4.14.0", EVERY_TARGET)
    assert backend_of(backend_id, target_id).name == name


def test_pairs_that_are_none(build):
    build("4.14.0", {dnn.DNN_BACKEND_OPENCV: [0]})
    with pytest.raises(BackendError, match=r"DNN_BACKEND_CUDA \+ DNN_TARGET_CUDA_FP16 \(cuda-fp16\)"):
        backend_of(dnn.DNN_BACKEND_CUDA, dnn.DNN_TARGET_CPU)
    with pytest.raises(BackendError, match="'cuda' is not in this OpenCV"):
        backend_of(dnn.DNN_BACKEND_CUDA, dnn.DNN_TARGET_CUDA)


@pytest.mark.parametrize(
    ("build_information", "nvidia_smi", "device", "expected"),
    [
        pytest.param("  NVIDIA CUDA:                   YES (ver 12.6)", None, False, True, id="built with CUDA"),
        pytest.param("  OpenCL:                        YES", "/usr/bin/nvidia-smi", False, True, id="driver"),
        pytest.param("", None, True, True, id="container with a GPU"),
        pytest.param("  NVIDIA CUDA:                   NO", None, False, False, id="plain"),
    ],
)
def test_where_cuda_is_expected(monkeypatch, build_information, nvidia_smi, device, expected):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: build_information)
    monkeypatch.setattr("sqdet_cv.dnn.backends.shutil.which", lambda name: nvidia_smi)
    monkeypatch.setattr("sqdet_cv.dnn.backends.Path.exists", lambda path: device)
    assert expects_cuda() is expected
