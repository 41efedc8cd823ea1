"""Writes the `.sqdet` file that `sqdet_cv.dnn.packed` reads. The layout and its reasons: docs/packed-format.md.

A tensor is coded in every way the format has, and the smallest stream is kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from sqdet_cv.dnn.packed import (
    ESCAPE,
    HEADER_FORMAT,
    MAGIC,
    MAX_CODEBOOK,
    MAX_EXPANSION,
    MAX_ONNX_BYTES,
    MAX_PER_BYTE,
    TENSOR_FORMAT,
    VERSION,
    Header,
    Tensor,
    digit_base,
    unpack,
)

from ..errors import ExportError
from .onnx_tensors import find_tensors

LEAST_TENSOR_BYTES = 64  # a smaller one costs less among the graph's bytes than with a record of its own
# Huffman codes alone, one per part; or matches too, which win where runs and patterns repeat.
STRATEGIES = (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY)


def pack(onnx: bytes, spec_json: str | None = None) -> bytes:
    """The bytes of a `.sqdet` file, from those of any ONNX file and, for a model of ours, of its spec.

    Raises:
        ExportError: not an ONNX file, one with weights outside it, or one larger than ONNX allows.
    """
    if len(onnx) > MAX_ONNX_BYTES:
        raise ExportError(f"{len(onnx)} bytes are more than ONNX allows in a file")
    graph, tensors, streams = [], [], []
    read = position = 0
    for hole in find_tensors(onnx):
        if hole.stop - hole.start < LEAST_TENSOR_BYTES:
            continue
        graph.append(onnx[read : hole.start])
        position += hole.start - read
        read = hole.stop
        tensor, stream = encode(onnx[hole.start : hole.stop], hole.item_bytes)
        tensors.append(tensor._replace(position=position))
        streams.append(stream)
    packed = assemble(spec_json, b"".join([*graph, onnx[read:]]), tensors, streams, onnx)
    if unpack(packed, "packed") != (onnx, spec_json):
        raise ExportError("the packed model does not unpack to what was packed; nothing was written")
    return packed


def assemble(
    spec_json: str | None, graph: bytes, tensors: Sequence[Tensor], streams: Sequence[bytes], onnx: bytes
) -> bytes:
    """Header, contents and streams as one file, with all lengths of the header and all its checksums."""
    spec = (spec_json or "").encode("utf-8")
    records = b"".join(TENSOR_FORMAT.pack(*tensor) for tensor in tensors)
    contents = deflate([spec, graph, records], zlib.Z_DEFAULT_STRATEGY)
    header = Header(
        magic=MAGIC,
        version=VERSION,
        file_bytes=HEADER_FORMAT.size + len(contents) + sum(map(len, streams)),
        onnx_bytes=len(onnx),
        onnx_crc=zlib.crc32(onnx),
        spec_bytes=len(spec),
        graph_bytes=len(graph),
        tensors=len(tensors),
        contents_bytes=len(contents),
        contents_crc=zlib.crc32(contents),
        header_crc=0,
    )
    header_crc = zlib.crc32(HEADER_FORMAT.pack(*header)[:-4])
    return b"".join([HEADER_FORMAT.pack(*header._replace(header_crc=header_crc)), contents, *streams])


def encode(data: bytes, item_bytes: int) -> tuple[Tensor, bytes]:
    """The smallest stream for items of `item_bytes` (1, 2, 4 or 8) each, and its record (with position 0)."""
    best, smallest = None, b""
    for tensor, parts in _codings(np.frombuffer(data, f"<u{item_bytes}")):
        for strategy in STRATEGIES:
            stream = deflate(parts, strategy)
            if len(data) <= MAX_EXPANSION * len(stream) and (best is None or len(stream) < len(smallest)):
                best, smallest = tensor, stream
    return best._replace(stream_bytes=len(smallest), stream_crc=zlib.crc32(smallest)), smallest


def deflate(parts: Sequence[bytes], strategy: int) -> bytes:
    """One raw deflate stream. Every part begins a block, and so has Huffman codes of its own."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1, strategy)
    pieces = []
    for part in parts:
        pieces += [compressor.compress(part), compressor.flush(zlib.Z_BLOCK)]
    return b"".join([*pieces, compressor.flush()])


def _codings(items: np.ndarray) -> Iterator[tuple[Tensor, list[bytes]]]:
    """All items or, with gaps, those that are not zero; each as they are, and as indices into a codebook."""
    positions = np.flatnonzero(items)
    subsets = [(items, b"")]
    if len(positions) < len(items):
        subsets.append((items[positions], _gaps(positions)))
    for stored, gaps in subsets:
        plain = Tensor(
            position=0,
            items=len(items),
            gap_bytes=len(gaps),
            stored=len(stored),
            codebook=0,
            stream_bytes=0,
            stream_crc=0,
            item_bytes=items.itemsize,
            per_byte=0,
        )
        yield plain, [gaps, *_planes(stored)]
        codebook, indices, counts = np.unique(stored, return_inverse=True, return_counts=True)
        if not 1 <= len(codebook) <= MAX_CODEBOOK:
            continue
        # By falling frequency: the code lengths then rise, and deflate stores their table in a few bytes.
        order = np.argsort(-counts, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        for per_byte, symbols in _symbols(rank[indices], len(codebook)):
            shared = plain._replace(codebook=len(codebook), per_byte=per_byte)
            yield shared, [gaps, *_planes(codebook[order]), *symbols]


def _symbols(indices: np.ndarray, count: int) -> Iterator[tuple[int, list[bytes]]]:
    """Indices into a codebook of `count` items as bytes, with the number of indices in a byte."""
    if count > 256:
        base = digit_base(count)
        yield 0, [digits.astype(np.uint8).tobytes() for digits in (indices % base, indices // base)]
        return
    for per_byte in range(1, MAX_PER_BYTE + 1):
        if count**per_byte <= 256:
            padded = np.pad(indices, (0, -len(indices) % per_byte)).reshape(-1, per_byte)
            yield per_byte, [(padded @ count ** np.arange(per_byte)).astype(np.uint8).tobytes()]


def _gaps(positions: np.ndarray) -> bytes:
    """The zeros before each item: a byte, after an ESCAPE for every ESCAPE zeros."""
    zeros = np.diff(positions, prepend=-1) - 1
    escapes = zeros // ESCAPE
    gaps = np.full(len(positions) + escapes.sum(), ESCAPE, np.uint8)
    gaps[np.cumsum(escapes + 1) - 1] = zeros % ESCAPE
    return gaps.tobytes()


def _planes(items: np.ndarray) -> list[bytes]:
    """All first bytes, all second bytes ...: the exponents of floats repeat, their lowest bytes do not."""
    return [plane.tobytes() for plane in items.view(np.uint8).reshape(-1, items.itemsize).T]
