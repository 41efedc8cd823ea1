"""Where a forward pass really computed.

Asked for a backend, OpenCV computes on the CPU what it cannot compute there, and says so in a log line at most.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import cv2

from ..errors import BackendError
from .backends import CPU, Backend

# A layer (or several fused into one) in Net.dump() of the engine of OpenCV 4, in which \n and \l are two characters:
#   "pool1" [label="pool1\nPooling\n...\loutput: 1 x 64 x 79 x 79\lOCV/CPU\n" fillcolor=...
# A layer that a backend leaves to the CPU has OCV as its backend, whatever its target.
_DUMPED = re.compile(r'\[label="\{?(?P<name>[^\\]*)\\n(?P<type>\w+)\\n.*\\[ln](?P<place>\w+/\w+)\\n')

# The graph engine of OpenCV 5 dumps no such thing, but logs it at level INFO when it is set up by the first forward:
#   [ INFO:0@0.543] global net_impl2.cpp:837 finalize DNN/NewEngine: finalize() backend=3 target=0 useCUDA=0 over ...
#   [ INFO:0@0.543] global net_impl2.cpp:754 finalizeGraph DNN/NewEngine: finalize op #1 'pool1' (MaxPool) -> CPU
_LOGGED_TARGET = re.compile(r"finalize\(\) backend=\d+ target=(\d+)")
_LOGGED = re.compile(r"finalize op #\d+ '(?P<name>.*)' \((?P<type>\w+)\) -> (?P<device>\w+)$")
_GRAPH_ENGINE_PLACES = {
    cv2.dnn.DNN_TARGET_CUDA: "CUDA/CUDA",
    cv2.dnn.DNN_TARGET_CUDA_FP16: "CUDA/CUDA_FP16",
}

# [ WARN:0@0.211] global net_impl.cpp:153 setUpNet DNN: OpenCL target is not supported ..., switching to CPU.
_WARNED = re.compile(r"\[ WARN:\S+ global \S+ \S+ (?P<text>.*)")


class _Layer(NamedTuple):
    name: str
    type: str
    place: str


def require_computed_on(backend: Backend, dump: str, log: Sequence[str]) -> None:
    """Raises BackendError unless a network's forward pass computed on the backend.

    The convolutions, which are nearly all of the work, must have; a warning names other layers that have not.

    Args:
        dump: `Net.dump()` after the forward.
        log: what OpenCV logged at level INFO from setting the backend until after the forward (`captured_log`).
    """
    is_dumped = dump.startswith("digraph")  # else it is the graph engine
    layers = _dumped_layers(dump) if is_dumped else _logged_layers(log)
    elsewhere = [layer for layer in layers if layer.place != backend.place]
    convolutions_elsewhere = [layer for layer in elsewhere if layer.type.startswith("Conv")]
    opencv = f"OpenCV {cv2.__version__}"
    advice = "use backend='opencv'"
    if not is_dumped:
        advice += f", or an OpenCV 4 that has {backend.name}"
    if not layers:
        raise BackendError(f"backend {backend.name!r}: {opencv} does not say where it computes; {advice}")
    if convolutions_elsewhere:
        places = ", ".join(sorted({layer.place for layer in convolutions_elsewhere}))
        raise BackendError(
            f"backend {backend.name!r} was set, but {opencv} computed {len(convolutions_elsewhere)} convolutions "
            f"elsewhere ({places}){_warnings_in(log)}; {advice}"
        )
    if elsewhere:
        names = ", ".join(f"{layer.name} ({layer.type})" for layer in elsewhere)
        share = f"{len(elsewhere)} of {len(layers)} layers"
        warnings.warn(f"backend {backend.name!r} leaves {share} to the CPU: {names}", stacklevel=2)


def _dumped_layers(dump: str) -> list[_Layer]:
    return [_Layer(**match.groupdict()) for match in _DUMPED.finditer(dump)]


def _logged_layers(log: Sequence[str]) -> list[_Layer]:
    place = CPU.place
    layers = {}
    for line in log:
        if match := _LOGGED_TARGET.search(line):
            place = _GRAPH_ENGINE_PLACES.get(int(match[1]), CPU.place)
        elif match := _LOGGED.search(line):
            # by name: an engine that sets a graph up twice logs it twice, and the last counts
            layer_place = place if match["device"] == "CUDA" else CPU.place
            layers[match["name"]] = _Layer(match["name"], match["type"], layer_place)
    return list(layers.values())


def _warnings_in(log: Sequence[str]) -> str:
    texts = [match["text"] for line in log if (match := _WARNED.match(line))]
    return f'; it says "{" ".join(texts)}"' if texts else ""
