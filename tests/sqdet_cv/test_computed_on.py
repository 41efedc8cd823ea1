"""Where OpenCV computed, read from its own words. The dumps and logs are lines of real runs; only the ones with CUDA in
them are real lines (of the CPU) with the words that OpenCV's source puts there for CUDA."""

import warnings

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError
from sqdet_cv.backends import BACKENDS, CPU
from sqdet_cv.computed_on import require_computed_on
from sqdet_cv.detector import HEADS
from sqdet_cv.model_file import load_model
from sqdet_cv.opencv_log import captured_log

BY_NAME = {backend.name: backend for backend in BACKENDS}

# OpenCV 4.14; on a CPU under an OpenCL driver (pocl) it says OCV/OCL in place of OCV/CPU
CONV = (
    r'	"cluster_30" [label="{onnx_node!features.conv1\nConvolution\nkernel_size (HxW): 3 x 3\lstride (HxW): 2 x 2\l'
    r"pad (HxW): (0, 0) x (0, 0)\l | onnx_node!features.conv1.relu\nReLU\noutput: 1 x 64 x 159 x 159\lOCV/CPU\n }"
    '" fillcolor="#ffffb3" style=filled shape=record]\n'
)
POOL = (
    r'	"onnx_node!features.pool1" [label="onnx_node!features.pool1\nPooling\nkernel_size (HxW): 3 x 3\lpool: MAX\l'
    r'output: 1 x 64 x 79 x 79\lOCV/CPU\n" fillcolor="#ffffb3" style=filled shape=box]'
    "\n"
)
EDGES = '\n\t"cluster_30" -> "onnx_node!features.pool1"\n}\n'

# OpenCV 5.1
FINALIZE = "[ INFO:0@0.543] global net_impl2.cpp:837 finalize DNN/NewEngine: finalize() "
OP = "[ INFO:0@0.543] global net_impl2.cpp:754 finalizeGraph DNN/NewEngine: finalize op "
ON_CPU = [
    FINALIZE + "backend=3 target=0 useCUDA=0 over 1 graph(s)",
    OP + "#0 'features.conv1' (Conv2) -> CPU",
    OP + "#1 'features.pool1' (MaxPool) -> CPU",
]
ON_CUDA = [
    FINALIZE + "backend=5 target=6 useCUDA=1 over 1 graph(s)",
    OP + "#0 'features.conv1' (Conv2) -> CUDA",
    OP + "#1 'features.pool1' (MaxPool) -> CUDA",
]
GRAPH_ENGINE_DUMP = '{\n   model_format: "ONNX",\n   layout: "NCHW",\n'


def dump(conv: str = "OCV/CPU", pool: str = "OCV/CPU") -> str:
    return "digraph G {\n" + CONV.replace("OCV/CPU", conv) + POOL.replace("OCV/CPU", pool) + EDGES


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
    with pytest.raises(BackendError, match='it says "DNN: OpenCL target is not supported .*, switching to CPU."; use'):
        require_computed_on(BY_NAME["opencl"], dump(), log)


def test_cheap_layers_elsewhere_are_a_warning():
    with pytest.warns(UserWarning, match=r"'cuda' leaves 1 of 2 layers to the CPU: onnx_node!features.pool1 \(Pooling"):
        require_computed_on(BY_NAME["cuda"], dump("CUDA/CUDA", "OCV/CUDA"), [])


def test_this_opencv_speaks_so():
    """The network's 32 convolutions are recognised in what the OpenCV at hand dumps or logs."""
    net, spec = load_model()
    with captured_log() as log:
        CPU.apply(net)
        net.setInput(np.zeros((1, 3, *spec.input_wh[::-1]), np.float32))
        net.forward(list(HEADS["convdet"]))
    require_computed_on(CPU, net.dump(), log)
    with pytest.raises(BackendError, match=f"but OpenCV {cv2.__version__} computed 32 convolutions elsewhere"):
        require_computed_on(BY_NAME["cuda"], net.dump(), log)
