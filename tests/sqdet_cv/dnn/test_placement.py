"""Where OpenCV computed, read from its own words."""

import warnings

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError
from sqdet_cv.detector import HEADS
from sqdet_cv.dnn.backends import BACKENDS, CPU
from sqdet_cv.dnn.log_capture import captured_log
from sqdet_cv.dnn.model_file import load_model
from sqdet_cv.dnn.placement import require_computed_on

from .layer_dumps import GRAPH_ENGINE_DUMP, ON_CPU, ON_CUDA, dump

BY_NAME = {backend.name: backend for backend in BACKENDS}


@pytest.mark.parametrize(
    ("name", "text", "log"),
    [
        pytest.param("cuda", dump("CUDA/CUDA", "CUDA/CUDA"), [], id="cuda, OpenCV 4"),
        pytest.param("cuda-fp16", dump("CUDA/CUDA_FP16", "CUDA/CUDA_FP16"), [], id="cuda-fp16, OpenCV 4"),
        pytest.param("opencl", dump("OCV/OCL", "OCV/OCL"), [], id="opencl, OpenCV 4"),
        pytest.param("openvino", dump("OpenVINO/CPU", "OpenVINO/CPU"), [], id="openvino, OpenCV 4"),
        pytest.param("cuda", GRAPH_ENGINE_DUMP, ON_CUDA, id="cuda, OpenCV 5"),
        pytest.param("cuda", GRAPH_ENGINE_DUMP, ON_CPU + ON_CUDA, id="cuda, OpenCV 5, set up twice"),
        pytest.param(
            *("cuda-fp16", GRAPH_ENGINE_DUMP, [ON_CUDA[0].replace("target=6", "target=7"), *ON_CUDA[1:]]),
            id="cuda-fp16, an OpenCV 5 that has it",
        ),
    ],
)
def test_computed_there(name, text, log):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_computed_on(BY_NAME[name], text, log)


@pytest.mark.parametrize(
    ("name", "text", "log", "said"),
    [
        pytest.param("cuda", dump(), [], r"computed 1 convolutions elsewhere \(OCV/CPU\)", id="4: switched to CPU"),
        pytest.param("cuda", dump("OCV/CUDA", "CUDA/CUDA"), [], r"\(OCV/CUDA\)", id="4: a convolution left to the CPU"),
        pytest.param("opencl-fp16", dump("OCV/OCL", "OCV/OCL"), [], r"\(OCV/OCL\)", id="4: half precision refused"),
        pytest.param("cuda", GRAPH_ENGINE_DUMP, ON_CPU, "or an OpenCV 4 that has cuda", id="5: all on the CPU"),
        pytest.param(
            *("cuda", GRAPH_ENGINE_DUMP, [ON_CUDA[0], *ON_CPU[1:]], r"\(OCV/CPU\)"), id="5: a layer has no CUDA"
        ),
        pytest.param("cuda-fp16", GRAPH_ENGINE_DUMP, ON_CUDA, r"\(CUDA/CUDA\)", id="5: half precision refused"),
        pytest.param("cuda", GRAPH_ENGINE_DUMP, [], "does not say where it computes", id="5.0: says nothing"),
    ],
)
def test_computed_elsewhere(name, text, log, said):
    with pytest.raises(BackendError, match=said):
        require_computed_on(BY_NAME[name], text, log)


def test_the_error_repeats_what_opencv_warned():
    log = [
        "[ WARN:0@0.211] global net_impl.cpp:153 setUpNet DNN: OpenCL target is not supported with current OpenCL "
        "device (tested with GPUs only), switching to CPU."
    ]
    with pytest.raises(BackendError, match='"DNN: OpenCL target is not .*, switching to CPU."'):
        require_computed_on(BY_NAME["opencl"], dump(), log)


def test_cheap_layers_elsewhere_are_a_warning():
    with pytest.warns(UserWarning, match=r"'cuda' .*1 of 2 layers .*features.pool1 \(Pooling"):
        require_computed_on(BY_NAME["cuda"], dump("CUDA/CUDA", "OCV/CUDA"), [])


def test_this_opencv_speaks_so():
    """The network's 49 convolutions are recognised in what the OpenCV at hand dumps or logs."""
    net, spec = load_model()
    with captured_log() as log:
        CPU.apply(net)
        net.setInput(np.zeros((1, 3, *spec.input_wh[::-1]), np.float32))
        net.forward(list(HEADS["convdet"]))
    require_computed_on(CPU, net.dump(), log)
    with pytest.raises(BackendError, match=f"{cv2.__version__} .*49 convolutions elsewhere"):
        require_computed_on(BY_NAME["cuda"], net.dump(), log)
