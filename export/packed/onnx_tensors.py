"""Where the weights lie in the bytes of an ONNX file: a walk over protobuf's wire format, which changes nothing.

To parse and write again with the onnx package would give an equal model in other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ExportError

# The messages that lead to a tensor, each as field number -> message (onnx.proto3).
MESSAGES = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
GRAPH_FIELD = 7  # of the model
# fields of a tensor
DATA_TYPE, DATA_LOCATION = 2, 14
FIXED_WIDTH_DATA = (4, 9, 10)  # float_data, raw_data, double_data; the others hold varints and strings
EXTERNAL = 1
# TensorProto.DataType -> bytes of an item; 1 for those left out, which any data may be cut into
ITEM_BYTES = {1: 4, 4: 2, 5: 2, 6: 4, 7: 8, 10: 2, 11: 8, 12: 4, 13: 8, 14: 4, 15: 8, 16: 2}

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Hole:
    """The bytes [start, stop) of an ONNX file that are a tensor's items of `item_bytes` each."""

    start: int
    stop: int
    item_bytes: int


def find_tensors(onnx: bytes) -> list[Hole]:
    """The weights of all initialisers and constants, in the order of the file, subgraphs and functions included.

    Raises:
        ExportError: not an ONNX file, or one that keeps its weights in another file.
    """
    holes, has_graph = [], False
    waiting = [("model", 0, len(onnx))]
    while waiting:
        message, start, stop = waiting.pop()
        fields = list(_fields(onnx, start, stop))
        if message == "tensor":
            holes += _tensor_holes(fields)
        for number, wire_type, first, last in fields:
            inner = MESSAGES[message].get(number)
            if inner and wire_type == LENGTH_DELIMITED:
                waiting.append((inner, first, last))
                has_graph |= message == "model" and number == GRAPH_FIELD
    if not has_graph:
        raise ExportError("not an ONNX file: it holds no graph")
    return sorted(holes, key=lambda hole: hole.start)


def _tensor_holes(fields: list[tuple[int, int, int, int]]) -> Iterator[Hole]:
    numbers = {number: value for number, wire_type, value, _ in fields if wire_type == VARINT}
    if numbers.get(DATA_LOCATION) == EXTERNAL:
        raise ExportError("it keeps weights in another file (external data); save it as one file first")
    item_bytes = ITEM_BYTES.get(numbers.get(DATA_TYPE), 1)
    for number, wire_type, start, stop in fields:
        if wire_type == LENGTH_DELIMITED and number in FIXED_WIDTH_DATA:
            yield Hole(start, stop, item_bytes if (stop - start) % item_bytes == 0 else 1)


def _fields(data: bytes, position: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a message as (number, wire type, start, stop) of its bytes; a varint as (number, 0, value, 0)."""
    while position < stop:
        tag, position = _varint(data, position, stop)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = _varint(data, position, stop)
            yield number, wire_type, value, 0
            continue
        if wire_type == LENGTH_DELIMITED:
            length, position = _varint(data, position, stop)
        elif wire_type in (FIXED64, FIXED32):
            length = 8 if wire_type == FIXED64 else 4
        else:
            raise ExportError(f"not an ONNX file: wire type {wire_type} before byte {position}")
        if length > stop - position:
            raise ExportError(f"not an ONNX file, or a truncated one: {length} bytes expected at byte {position}")
        yield number, wire_type, position, position + length
        position += length


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """The number at `position`, and the position behind it."""
    value = shift = 0
    while position < stop and shift < 70:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift, position = shift + 7, position + 1
        if byte < 0x80:
            return value, position
    raise ExportError(f"not an ONNX file, or a truncated one: no number at byte {position}")
