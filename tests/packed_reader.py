"""A reader of `.sqdet` files that follows docs/packed-format.md with plain loops, to compare the fast one with."""

from __future__ import annotations

import struct
import zlib


def read_packed(data: bytes) -> tuple[bytes, str | None]:
    """The ONNX file and the spec of a valid file; checks nothing."""
    *_, spec_bytes, graph_bytes, tensors, contents_bytes, _, _ = struct.unpack_from("<8s10I", data)
    contents = zlib.decompress(data[48 : 48 + contents_bytes], -15)
    spec, graph = contents[:spec_bytes], contents[spec_bytes : spec_bytes + graph_bytes]
    records = contents[spec_bytes + graph_bytes :]
    onnx, written, start = b"", 0, 48 + contents_bytes
    for i in range(tensors):
        position, items, gap_bytes, stored, codebook, stream_bytes, _, item_bytes, per_byte = struct.unpack_from(
            "<7I2B", records, 30 * i
        )
        stream = zlib.decompress(data[start : start + stream_bytes], -15)
        start += stream_bytes
        values = _values(stream[gap_bytes:], stored, codebook, item_bytes, per_byte)
        if stored < items:
            values = _with_zeros(stream[:gap_bytes], values, items, bytes(item_bytes))
        onnx += graph[written:position] + b"".join(values)
        written = position
    return onnx + graph[written:], spec.decode() if spec else None


def _values(data: bytes, stored: int, codebook: int, item_bytes: int, per_byte: int) -> list[bytes]:
    if not codebook:
        return _planes(data, stored, item_bytes)
    book, data = _planes(data, codebook, item_bytes), data[codebook * item_bytes :]
    indices = []
    if per_byte:
        for byte in data:
            for _ in range(per_byte):
                indices.append(byte % codebook)
                byte //= codebook
    else:
        base = next(b for b in range(257) if b * b >= codebook)
        indices = [low + base * high for low, high in zip(data[:stored], data[stored:])]
    return [book[index] for index in indices[:stored]]


def _planes(data: bytes, count: int, item_bytes: int) -> list[bytes]:
    return [bytes(data[i + plane * count] for plane in range(item_bytes)) for i in range(count)]


def _with_zeros(gaps: bytes, values: list[bytes], items: int, zero: bytes) -> list[bytes]:
    found, rest = [], iter(values)
    for gap in gaps:
        found += [zero] * gap
        if gap < 255:
            found.append(next(rest))
    return found + [zero] * (items - len(found))
