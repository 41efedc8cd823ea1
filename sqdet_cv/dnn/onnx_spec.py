"""The spec inside an ONNX file: an entry of its metadata, so that a file without its JSON still says what it is.

The entry stands at the end of the file, where protobuf allows more fields of a message, so the rest is as it was.
"""

from __future__ import annotations

from .protobuf import BYTES, fields, text, varint

KEY = "sqdet_spec"  # for every kind of spec, whose own JSON says which it is
METADATA = 14  # ModelProto.metadata_props, messages of a key and a value
ENTRY_KEY, ENTRY_VALUE = 1, 2


def read_spec(onnx: bytes) -> str | None:
    """The JSON text of the spec, None where there is none. Raises ModelFileError where it is no protobuf message."""
    entries = _entries(onnx)
    return text(entries[-1][2], ENTRY_VALUE) if entries else None


def with_spec(onnx: bytes, spec_json: str) -> bytes:
    """The same file with that spec. Raises ModelFileError as `read_spec`."""
    entry = _bytes_field(ENTRY_KEY, KEY.encode()) + _bytes_field(ENTRY_VALUE, spec_json.encode("utf-8"))
    return without_spec(onnx) + _bytes_field(METADATA, entry)


def without_spec(onnx: bytes) -> bytes:
    """The same file without a spec. Raises ModelFileError as `read_spec`."""
    kept, read = [], 0
    for start, stop, _ in _entries(onnx):
        kept.append(onnx[read:start])
        read = stop
    return b"".join([*kept, onnx[read:]])


def _entries(onnx: bytes) -> list[tuple[int, int, memoryview]]:
    """Start and stop in the file, and contents, of each entry that is a spec; a sound file has one at most."""
    return [
        (field.start, field.stop, field.value)
        for field in fields(memoryview(onnx))
        if field.number == METADATA and isinstance(field.value, memoryview) and text(field.value, ENTRY_KEY) == KEY
    ]


def _bytes_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(content)) + content
