"""What OpenCV says of where it computes: lines of real runs.

Only those with CUDA in them are lines of the CPU, with the words that OpenCV's source puts there for CUDA.
"""

from __future__ import annotations

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
