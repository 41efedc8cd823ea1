"""The `.sqdet` file: an ONNX model with entropy-coded weights, and its spec. `export.packed.writer` writes it.

Layout and reasons: docs/packed-format.md. The file is damaged or hostile until shown otherwise: every checksum, and
every length against the bytes that are there, is checked before anything of that length is made.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..errors import ModelFileError

SUFFIX = ".sqdet"
MAGIC = b"\x89SQDET\r\n"  # as PNG's: not text, and a transfer that changes line ends breaks it
VERSION = 1
HEADER_FORMAT = struct.Struct("<8s10I")
TENSOR_FORMAT = struct.Struct("<7I2B")
ESCAPE = 255  # a gap byte that stands for 255 zeros and no item
MAX_CODEBOOK = 1 << 16
MAX_PER_BYTE = 8
PIECE = 1 << 16  # symbols that are decoded at once
MAX_EXPANSION = 1032  # of any part, from packed to unpacked: what deflate can reach
MAX_ONNX_BYTES = (1 << 31) - 1  # protobuf's own limit


class Header(NamedTuple):
    """The first bytes of the file. Lengths are in bytes, checksums are CRC-32."""

    magic: bytes
    version: int
    file_bytes: int
    onnx_bytes: int  # of the model unpacked
    onnx_crc: int
    spec_bytes: int  # of the ModelSpec's JSON; 0: none
    graph_bytes: int  # of the ONNX file without the tensors
    tensors: int
    contents_bytes: int  # of spec, graph and tensor records, deflated
    contents_crc: int
    header_crc: int  # of the fields above


class Tensor(NamedTuple):
    """One run of bytes cut out of the ONNX file, and the deflate stream that gives it back."""

    position: int  # where in the graph bytes it was cut out
    items: int
    gap_bytes: int  # 0 when all items are stored
    stored: int  # items that are stored; the others are zero
    codebook: int  # distinct stored items; 0: the items themselves are stored
    stream_bytes: int
    stream_crc: int
    item_bytes: int  # 1, 2, 4 or 8
    per_byte: int  # indices in a byte; 0 without a codebook and for one of more than 256

    @property
    def onnx_bytes(self) -> int:
        return self.items * self.item_bytes

    @property
    def value_bytes(self) -> int:
        """Length of the indices, or of the items where there is no codebook."""
        if not self.codebook:
            return self.stored * self.item_bytes
        return -(-self.stored // self.per_byte) if self.per_byte else 2 * self.stored

    @property
    def inflated_bytes(self) -> int:
        return self.gap_bytes + self.codebook * self.item_bytes + self.value_bytes


def unpack(data: bytes, name: str) -> tuple[bytes, str | None]:
    """The ONNX file in a `.sqdet` file, bit for bit as it was packed, and its spec's JSON text, or None.

    Takes memory in proportion to `data`, whatever lengths it claims. `name` is for the error.

    Raises:
        ModelFileError: the file is damaged, truncated, of another version or not a `.sqdet`; says what and where.
    """
    try:
        return _unpack(data)
    except ModelFileError as error:
        raise ModelFileError(f"{name}: {error}") from None


def _unpack(data: bytes) -> tuple[bytes, str | None]:
    header = _read_header(data)
    start = HEADER_FORMAT.size + header.contents_bytes
    contents = _inflate(
        data[HEADER_FORMAT.size : start],
        header.spec_bytes + header.graph_bytes + header.tensors * TENSOR_FORMAT.size,
        header.contents_crc,
        f"contents at byte {HEADER_FORMAT.size}",
    )
    spec, graph, records = _cut(contents, header.spec_bytes, header.graph_bytes)
    _check_tensors(_read_tensors(records), header, start)
    pieces, written = [], 0
    for number, tensor in enumerate(_read_tensors(records)):
        where = _where(number, header, start)
        stop = start + tensor.stream_bytes
        stream = _inflate(data[start:stop], tensor.inflated_bytes, tensor.stream_crc, where)
        pieces += [graph[written : tensor.position], _decode(stream, tensor, where)]
        start, written = stop, tensor.position
    onnx = b"".join([*pieces, graph[written:]])
    _require(zlib.crc32(onnx) == header.onnx_crc, "unpacked model", "it is not the one that was packed (CRC-32)")
    try:
        return onnx, spec.decode("utf-8") if spec else None
    except UnicodeDecodeError as error:
        raise ModelFileError(f"model spec: not UTF-8: {error}") from None


def _read_header(data: bytes) -> Header:
    size = HEADER_FORMAT.size
    _require(data[: len(MAGIC)] == MAGIC, "byte 0", f"not a {SUFFIX} file: it does not start with {MAGIC!r}")
    _require(len(data) >= size, "header", f"the file ends after {len(data)} of {size} bytes")
    header = Header._make(HEADER_FORMAT.unpack_from(data))
    _require(header.version == VERSION, "byte 8", f"format version {header.version}, expected {VERSION}")
    _require(zlib.crc32(data[: size - 4]) == header.header_crc, "header", "damaged (CRC-32)")
    _require(len(data) == header.file_bytes, "header", f"it says {header.file_bytes} bytes, the file has {len(data)}")
    _require(
        header.onnx_bytes <= MAX_ONNX_BYTES, "header", f"a model of {header.onnx_bytes} bytes is more than ONNX allows"
    )
    _require(
        header.contents_bytes <= len(data) - size,
        "header",
        f"contents of {header.contents_bytes} bytes, but {len(data) - size} are left",
    )
    _require(header.tensors <= len(data), "header", f"{header.tensors} tensors in {len(data)} bytes")
    return header


def _read_tensors(records: bytes) -> Iterator[Tensor]:
    return map(Tensor._make, TENSOR_FORMAT.iter_unpack(records))


def _check_tensors(tensors: Iterator[Tensor], header: Header, start: int) -> None:
    """The records against each other and the header, the first stream being at byte `start`; nothing is made from any
    of them before."""
    position, total = 0, header.graph_bytes
    for number, tensor in enumerate(tensors):
        where = _where(number, header, start)
        _require(position <= tensor.position <= header.graph_bytes, where, f"position {tensor.position} in the graph")
        _require(tensor.item_bytes in (1, 2, 4, 8), where, f"items of {tensor.item_bytes} bytes")
        _require(_consistent(tensor), where, f"contradicting lengths {tuple(tensor)}")
        size = max(tensor.onnx_bytes, tensor.inflated_bytes)
        _require(size <= MAX_EXPANSION * tensor.stream_bytes, where, f"{tensor.stream_bytes} bytes cannot give {size}")
        position, start, total = tensor.position, start + tensor.stream_bytes, total + tensor.onnx_bytes
    _require(start == header.file_bytes, "contents", f"streams end at byte {start}, the file at {header.file_bytes}")
    _require(total == header.onnx_bytes, "contents", f"the parts make {total} bytes, expected {header.onnx_bytes}")


def _consistent(tensor: Tensor) -> bool:
    """Gaps only where items are left out, never more than items; a byte of indices that can hold as many."""
    if tensor.stored == tensor.items:
        gaps_fit = tensor.gap_bytes == 0
    else:
        gaps_fit = tensor.stored <= tensor.gap_bytes <= tensor.items
    if 1 <= tensor.codebook <= 256:
        codebook_fits = 1 <= tensor.per_byte <= MAX_PER_BYTE and tensor.codebook**tensor.per_byte <= 256
    else:
        codebook_fits = tensor.codebook <= MAX_CODEBOOK and tensor.per_byte == 0
    return gaps_fit and codebook_fits


def _inflate(packed: bytes, size: int, crc: int, where: str) -> bytes:
    """Exactly `size` bytes from one raw deflate stream; never makes more."""
    _require(zlib.crc32(packed) == crc, where, "damaged (CRC-32)")
    _require(size <= MAX_EXPANSION * len(packed), where, f"{len(packed)} bytes cannot give {size}")
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, size + 1)  # one more, to see a stream that is too long
    except zlib.error as error:
        raise ModelFileError(f"{where}: {error}") from None
    _require(
        len(data) == size and inflater.eof and not inflater.unused_data, where, f"its stream is not one of {size} bytes"
    )
    return data


def _decode(stream: bytes, tensor: Tensor, where: str) -> bytes:
    gaps, codebook, values = _cut(stream, tensor.gap_bytes, tensor.codebook * tensor.item_bytes)
    if tensor.codebook:
        stored = _look_up(_join_planes(codebook, tensor.item_bytes), np.frombuffer(values, np.uint8), tensor, where)
    else:
        stored = _join_planes(values, tensor.item_bytes)
    if tensor.stored == tensor.items:
        return stored.tobytes()
    steps = np.frombuffer(gaps, np.uint8)
    count = np.count_nonzero(steps != ESCAPE)
    _require(count == tensor.stored, where, f"gaps for {count} items, expected {tensor.stored}")
    items = np.zeros(tensor.items, stored.dtype)
    last, placed = -1, 0
    for piece in _pieces(steps):
        is_item = piece != ESCAPE
        ends = last + np.cumsum(piece + is_item, dtype=np.int64)  # a step: the zeros, and the item behind them
        last, positions = int(ends[-1]), ends[is_item]
        _require(last < tensor.items, where, f"gaps lead beyond its {tensor.items} items")
        items[positions] = stored[placed : placed + len(positions)]
        placed += len(positions)
    return items.tobytes()


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """The last axis in pieces: NumPy computes positions and indices in 8 bytes each, which is many times a stream."""
    return (array[..., start : start + PIECE] for start in range(0, array.shape[-1], PIECE))


def _look_up(codebook: np.ndarray, symbols: np.ndarray, tensor: Tensor, where: str) -> np.ndarray:
    """Indices to items. A byte holds `per_byte` of them, the first as its lowest digit to the base of the codebook's
    length; of a large codebook an index is two digits, in a plane each."""
    count = len(codebook)
    if tensor.per_byte:
        table = codebook[np.arange(count**tensor.per_byte)[:, None] // count ** np.arange(tensor.per_byte) % count]
        planes = symbols[None]
    else:
        table = codebook[:, None]
        planes = symbols.reshape(2, -1)
    items, filled = np.empty((planes.shape[1], table.shape[1]), codebook.dtype), 0
    for piece in _pieces(planes):
        indices = piece[0] if tensor.per_byte else piece[0] + piece[1].astype(np.int32) * digit_base(count)
        _require(indices.max() < len(table), where, f"an index beyond its codebook of {count}")
        items[filled : filled + len(indices)] = table[indices]
        filled += len(indices)
    return items.reshape(-1)[: tensor.stored]


def digit_base(codebook: int) -> int:
    """The base to which an index of a large codebook is two digits: the least whose square is enough."""
    return math.isqrt(codebook - 1) + 1


def _join_planes(data: bytes, item_bytes: int) -> np.ndarray:
    """All first bytes, all second bytes ... to little-endian items; bit patterns, so that NaN and -0.0 survive."""
    planes = np.frombuffer(data, np.uint8).reshape(item_bytes, -1)
    return np.ascontiguousarray(planes.T).view(f"<u{item_bytes}").reshape(-1)


def _cut(data: bytes, first: int, second: int) -> tuple[bytes, bytes, bytes]:
    return data[:first], data[first : first + second], data[first + second :]


def _where(number: int, header: Header, start: int) -> str:
    return f"tensor {number + 1} of {header.tensors} at byte {start}"


def _require(condition: bool, where: str, what: str) -> None:
    if not condition:
        raise ModelFileError(f"{where}: {what}")
