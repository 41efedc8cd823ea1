"""Where the weights lie in the bytes of an ONNX file, which is packed as it is.

To write the parsed model again would give an equal model in other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto

from ..errors import ExportError


@dataclass(frozen=True)
class TensorBytes:
    """The bytes [start, stop) of an ONNX file that are a tensor's items of `item_bytes` each."""

    start: int
    stop: int
    item_bytes: int


def find_tensors(data: bytes) -> list[TensorBytes]:
    """The raw data of all tensors, those of constants, subgraphs and functions too, in the order of the file.

    Raises:
        ExportError: not an ONNX file, or one that keeps its weights in another file.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise ExportError("not an ONNX file, or a truncated one") from None
    if not model.HasField("graph"):
        raise ExportError("not an ONNX file: it holds no graph")
    tensors = list(_tensors(model))
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
        raise ExportError("it keeps weights in another file (external data); save it as one file first")
    found: list[TensorBytes] = []
    # The longest first: the bytes of a short one may stand within a long one too, those of equal ones stand twice.
    for tensor in sorted(tensors, key=lambda tensor: len(tensor.raw_data), reverse=True):
        if size := len(tensor.raw_data):
            start = data.find(tensor.raw_data)
            while taken := next((one for one in found if one.start < start + size and start < one.stop), None):
                start = data.find(tensor.raw_data, taken.stop)
            item_bytes = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            found.append(TensorBytes(start, start + size, item_bytes if size % item_bytes == 0 else 1))
    return sorted(found, key=lambda tensor: tensor.start)


def _tensors(message: Message) -> Iterator[TensorProto]:
    """All tensors within a message, however deep."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if isinstance(value, Message) else value:
                yield from _tensors(item)
