"""The fields of a protobuf message, without protobuf: enough to see what an ONNX or Caffe file holds.

The bytes are damaged or hostile until shown otherwise. Nothing is copied: a field is a view of the message it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ModelFileError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; groups, which no model file has, are refused
MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    """One field: its number, its value (the number of a varint; else its bytes), and where it stands, tag included."""

    number: int
    value: int | memoryview
    start: int
    stop: int


def fields(message: memoryview) -> Iterator[Field]:
    """All fields in the order of the message. Raises ModelFileError, with the place, where it is no such message."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        value: int | memoryview
        if tag & 7 == VARINT:
            value, position = _varint(message, position)
        else:
            if tag & 7 == BYTES:
                size, position = _varint(message, position)
            elif tag & 7 in (FIXED64, FIXED32):
                size = 8 if tag & 7 == FIXED64 else 4
            else:
                raise ModelFileError(f"byte {start}: wire type {tag & 7} in a protobuf message")
            if size > len(message) - position:
                raise ModelFileError(f"byte {start}: a field of {size} bytes, but {len(message) - position} are left")
            value = message[position : position + size]
            position += size
        yield Field(tag >> 3, value, start, position)


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The bytes of every field of that number: a message, text or packed numbers each."""
    return (field.value for field in fields(message) if field.number == number and isinstance(field.value, memoryview))


def texts(message: memoryview, number: int) -> list[str]:
    """The text of every field of that number. Raises ModelFileError where one is not UTF-8."""
    try:
        return [str(value, "utf-8") for value in messages(message, number)]
    except UnicodeDecodeError as error:
        raise ModelFileError(f"text that is not UTF-8: {error}") from None


def text(message: memoryview, number: int) -> str:
    """As `texts`, of one field: the last, as protobuf has it; "" where there is none."""
    return (texts(message, number) or [""])[-1]


def numbers(message: memoryview, number: int) -> list[int]:
    """The integers of the fields of that number, one by one or packed."""
    found = []
    for field in fields(message):
        if field.number != number:
            continue
        if isinstance(field.value, int):
            found.append(field.value)
            continue
        position = 0
        while position < len(field.value):
            value, position = _varint(field.value, position)
            found.append(value)
    return found


def varint(value: int) -> bytes:
    """A number from 0 as protobuf writes it."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(message[position : position + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, position + i + 1
    raise ModelFileError(f"byte {position}: no end of a number in a protobuf message")
