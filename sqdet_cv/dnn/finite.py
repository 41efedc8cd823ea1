"""Weights that are not numbers, refused where a model is read: a net that has some finds nothing, and says nothing.

A forward pass does not show them all, since a ReLU makes 0 of NaN, and OpenCV 5 gives no weights out. Those of an ONNX
file are therefore read from its bytes, as far as that needs: protobuf's wire format and the way to the tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from ..errors import ModelFileError

# Field numbers of onnx.proto: the way from a ModelProto to its tensors, those of Constant nodes too.
GRAPH, INITIALIZER, NODE, ATTRIBUTE, VALUE = 7, 5, 1, 5, 5
DATA_TYPE, FLOATS, NAME, RAW = 2, 4, 8, 9
RAW_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}  # by TensorProto.DataType; all others are integers or rare
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types


def require_finite_onnx(data: bytes, name: str) -> None:
    """Raises ModelFileError, which names the file and the weights, if an ONNX file holds NaN or an infinite number.

    What is no ONNX file is left for OpenCV to refuse.
    """
    graphs = _parts([memoryview(data)], GRAPH)
    constants = _parts(_parts(_parts(graphs, NODE), ATTRIBUTE), VALUE)
    for tensor in _parts(graphs, INITIALIZER) + constants:
        fields = dict(_fields(tensor))
        label, raw = bytes(fields.get(NAME, b"")).decode("utf-8", "replace"), fields.get(RAW)
        if FLOATS in fields:
            _require_finite(fields[FLOATS], "<f4", name, label)
        elif raw is not None and fields.get(DATA_TYPE) in RAW_TYPES:
            _require_finite(raw, RAW_TYPES[fields[DATA_TYPE]], name, label)


def require_finite_layers(net: cv2.dnn.Net, name: str) -> None:
    """As `require_finite_onnx`, for a network that OpenCV 4 has read from a Caffe file."""
    for layer in net.getLayerNames():
        for blob in net.getLayer(net.getLayerId(layer)).blobs:
            _require_finite(blob.tobytes(), blob.dtype.str, name, layer)


def _require_finite(data: bytes | memoryview, dtype: str, name: str, weights: str) -> None:
    item_bytes = np.dtype(dtype).itemsize
    if not np.isfinite(np.frombuffer(data[: len(data) // item_bytes * item_bytes], dtype)).all():
        raise ModelFileError(
            f"{name}: {weights or 'a constant'} holds NaN or infinite numbers; expected finite weights"
        )


def _parts(messages: Iterable[memoryview], number: int) -> list[memoryview]:
    """All fields of that number, each bytes or a message, of all messages."""
    fields = (field for message in messages for field in _fields(message))
    return [value for found, value in fields if found == number and isinstance(value, memoryview)]


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protobuf message, as far as it is one; a value is an integer or the bytes of a part."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == BYTES:
            size, at = _varint(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        else:
            return


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer that begins at a byte, seven bits a byte, at most ten of them; and where it ends."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[at : at + 10]):
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            break
    return value, at
