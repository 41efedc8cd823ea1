"""Reading `.sqdet` files that are written here by hand, byte by byte, as docs/packed-format.md says."""

from __future__ import annotations

import shutil
import struct
import tracemalloc
import zlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from sqdet_cv import Classifier, Detector, ModelFileError
from sqdet_cv.dnn.packed import MAX_EXPANSION, unpack
from tests.colours import DETECTOR, red_and_blue_picture
from tests.released import ROOT

STORED = ROOT / "tests" / "data" / "packed" / "colours.sqdet"
HEADER_FIELDS = ("version", "file_bytes", "onnx_bytes", "onnx_crc", "spec_bytes", "graph_bytes", "tensors") + (
    *("contents_bytes", "contents_crc", "header_crc"),
)
RECORD_FIELDS = ("position", "items", "gap_bytes", "stored", "codebook", "stream_bytes", "stream_crc") + (
    *("item_bytes", "per_byte"),
)


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@dataclass
class Part:
    """A tensor: what its record says, its stream before deflate, and the bytes that it stands for."""

    record: dict[str, int]
    stream: bytes
    means: bytes


@dataclass
class File:
    """A valid file; `to_bytes` writes it with some fields of the header or of one record changed, checksums right."""

    parts: list[Part]
    graph: bytes = b"the graph"
    spec: bytes = b'{"spec": 1}'
    streams: list[bytes] = field(default_factory=list)  # deflated; set in __post_init__

    def __post_init__(self) -> None:
        self.streams = self.streams or [deflate(part.stream) for part in self.parts]

    def onnx(self) -> bytes:
        """Each tensor i was cut out behind byte i of the graph."""
        tensors = [part.means for part in self.parts]
        return b"".join(self.graph[i : i + 1] + means for i, means in enumerate(tensors)) + self.graph[len(tensors) :]

    def to_bytes(self, record: int = 0, **changes: int) -> bytes:
        records = b""
        for i, (part, stream) in enumerate(zip(self.parts, self.streams)):
            fields = {"gap_bytes": 0, "codebook": 0, "per_byte": 0, "position": i + 1} | part.record
            fields |= {"stream_bytes": len(stream), "stream_crc": zlib.crc32(stream)}
            if i == record:
                fields |= {name: value for name, value in changes.items() if name in RECORD_FIELDS}
            records += struct.pack("<7I2B", *(fields[name] for name in RECORD_FIELDS))
        contents = deflate(self.spec + self.graph + records)
        onnx = self.onnx()
        values = [1, 48 + len(contents) + sum(map(len, self.streams)), len(onnx), zlib.crc32(onnx), len(self.spec)]
        values += [len(self.graph), len(self.parts), len(contents), zlib.crc32(contents)]
        fields = dict(zip(HEADER_FIELDS, values))
        fields |= {name: value for name, value in changes.items() if name in HEADER_FIELDS}
        start = b"\x89SQDET\r\n" + struct.pack("<9I", *(fields[name] for name in HEADER_FIELDS[:-1]))
        return (
            start + struct.pack("<I", fields.get("header_crc", zlib.crc32(start))) + contents + b"".join(self.streams)
        )


PLAIN = Part({"items": 3, "stored": 3, "item_bytes": 2}, b"\x01\x02\x03\x0a\x0b\x0c", b"\x01\x0a\x02\x0b\x03\x0c")
# NaN with a payload, -0.0 and 1.0 as float32; indices 0 1 2 2 1 and 0: 1*3 + 2*9 + 2*27 + 1*81 = 156, then 0
NAN, MINUS_ZERO, ONE = b"\x01\x00\xc0\x7f", b"\x00\x00\x00\x80", b"\x00\x00\x80\x3f"
SHARED = Part(
    {"items": 6, "stored": 6, "item_bytes": 4, "codebook": 3, "per_byte": 5},
    b"\x01\x00\x00" + b"\x00\x00\x00" + b"\xc0\x00\x80" + b"\x7f\x80\x3f" + b"\x9c\x00",
    NAN + MINUS_ZERO + ONE + ONE + MINUS_ZERO + NAN,
)
# 2 zeros, 7, 300 zeros (255 + 45), 9, 255 zeros (255 + 0), 8, and zeros to 600
SPARSE = Part(
    {"items": 600, "stored": 3, "item_bytes": 1, "gap_bytes": 5},
    b"\x02\xff\x2d\xff\x00" + b"\x07\x09\x08",
    bytes(2) + b"\x07" + bytes(300) + b"\x09" + bytes(255) + b"\x08" + bytes(600 - 560),
)
# 5 items, of which one (index 1 of two equally long items, 8 bytes each) is not zero
BOTH = Part(
    {"items": 5, "stored": 1, "item_bytes": 8, "gap_bytes": 1, "codebook": 2, "per_byte": 8},
    b"\x03" + bytes(range(16)) + b"\x01",
    bytes(24) + bytes(range(1, 16, 2)) + bytes(8),
)
# a codebook of 300 has the base 18; index 299 is 11 + 18 * 16, index 17 is 17 + 0
LARGE = Part(
    {"items": 2, "stored": 2, "item_bytes": 2, "codebook": 300},
    bytes(i % 256 for i in range(300)) + bytes(i // 256 for i in range(300)) + b"\x0b\x11\x10\x00",
    struct.pack("<2H", 299, 17),
)
PARTS = {"plain": PLAIN, "shared": SHARED, "sparse": SPARSE, "sparse and shared": BOTH, "large codebook": LARGE}
ZEROS = Part({"items": 9, "stored": 0, "item_bytes": 4}, b"", bytes(36))
EVERYTHING = File([*PARTS.values(), ZEROS])


@pytest.mark.parametrize("part", [*PARTS.values(), ZEROS], ids=[*PARTS, "all zero"])
def test_one_tensor(part):
    file = File([part])
    assert unpack(file.to_bytes(), "x") == (b"t" + part.means + b"he graph", '{"spec": 1}')


def test_many_tensors():
    assert unpack(EVERYTHING.to_bytes(), "x") == (EVERYTHING.onnx(), '{"spec": 1}')


def test_no_tensors_and_no_spec():
    assert unpack(File([], spec=b"").to_bytes(), "x") == (b"the graph", None)


# -- damage -----------------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_caught():
    data = bytearray(EVERYTHING.to_bytes())
    for position in range(len(data)):
        for bit in range(8):
            data[position] ^= 1 << bit
            with pytest.raises(ModelFileError, match="^x: "):
                unpack(bytes(data), "x")
            data[position] ^= 1 << bit


def test_every_truncation_is_caught():
    data = EVERYTHING.to_bytes()
    for length in range(len(data)):
        with pytest.raises(ModelFileError, match="^x: (header|byte 0): "):
            unpack(data[:length], "x")
    with pytest.raises(ModelFileError, match=f"{len(data)} bytes, .* {len(data) + 1}$"):
        unpack(data + b"\0", "x")


def with_stream(part: Part, stream: bytes) -> bytes:
    return File([part], streams=[stream]).to_bytes()


DAMAGE = {
    "other file": (b"\x89PNG\r\n\x1a\n" + bytes(60), "byte 0: not a .sqdet file"),
    "line ends changed": (EVERYTHING.to_bytes().replace(b"\r\n", b"\n", 1), "byte 0: not a .sqdet file"),
    "version 2": (EVERYTHING.to_bytes(version=2), "byte 8: format version 2, expected 1"),
    "header": (EVERYTHING.to_bytes(header_crc=5), "header: damaged"),
    "contents": (EVERYTHING.to_bytes(contents_crc=5), "contents at byte 48: damaged"),
    "stream": (File([PLAIN]).to_bytes(stream_crc=5), r"tensor 1 of 1 at byte \d+: damaged"),
    "model": (EVERYTHING.to_bytes(onnx_crc=5), "unpacked model: it is not the one that was packed"),
    "no deflate": (with_stream(PLAIN, b"\xff" * 9), "tensor 1 of 1 at byte .*invalid block type"),
    "stream cut": (with_stream(PLAIN, deflate(PLAIN.stream)[:-1]), "its stream is not one of 6 bytes"),
    "stream too short": (with_stream(PLAIN, deflate(PLAIN.stream[:5])), "its stream is not one of 6 bytes"),
    "stream too long": (with_stream(PLAIN, deflate(PLAIN.stream + b"\0")), "its stream is not one of 6 bytes"),
    "more behind the stream": (with_stream(PLAIN, deflate(PLAIN.stream) + b"\0"), "its stream is not one of 6 bytes"),
    "index": (with_stream(SHARED, deflate(SHARED.stream[:-1] + b"\xf3")), "an index beyond its codebook of 3"),
    "large index": (with_stream(LARGE, deflate(LARGE.stream[:-4] + b"\x0c\0\x10\0")), "beyond its codebook of 300"),
    "gaps": (with_stream(SPARSE, deflate(b"\xfe\xfe\xff\xff\x5b\1\1\1")), "lead beyond its 600 items"),
    "few items": (with_stream(SPARSE, deflate(b"\x01\xff\xff\xff\x01\1\1\1")), "gaps for 2 items, expected 3"),
    "position": (File([PLAIN]).to_bytes(position=10), "position 10 in the graph"),
    "positions fall": (EVERYTHING.to_bytes(record=2, position=1), "tensor 3 of 6 .*position 1 in the graph"),
    "item length": (File([PLAIN]).to_bytes(item_bytes=3), "items of 3 bytes"),
    "spec": (File([PLAIN], spec=b"\xff").to_bytes(), "model spec: not UTF-8"),
}


@pytest.mark.parametrize(("data", "said"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_with_its_place(data, said):
    with pytest.raises(ModelFileError, match=f"^x: .*{said}"):
        unpack(data, "x")


# -- lengths that lie -------------------------------------------------------------------------------------------------


def peak_bytes(data: bytes) -> int:
    """The most memory that is in use while a file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            unpack(data, "x")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LENGTHS = ("file_bytes", "onnx_bytes", "spec_bytes", "graph_bytes", "tensors", "contents_bytes") + RECORD_FIELDS[:6]


@pytest.mark.parametrize("value", [0xFFFF_FFFF, 0x7FFF_FFFF, 100_000])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_claimed_length_allocates_nothing(name, value):
    for record in range(len(EVERYTHING.parts)):
        assert peak_bytes(EVERYTHING.to_bytes(record, **{name: value})) < 200_000


def test_lengths_that_agree_on_gigabytes_allocate_nothing():
    items = 0x7FFF_0000
    assert peak_bytes(File([ZEROS]).to_bytes(items=items, onnx_bytes=items + 9, item_bytes=1)) < 200_000


def test_a_stream_that_swells_is_stopped_at_its_length():
    assert peak_bytes(with_stream(PLAIN, deflate(bytes(10_000_000)))) < 200_000


def test_gaps_for_too_many_items_are_only_counted():
    count = 4_000_000
    part = Part({"items": count, "stored": 1, "item_bytes": 1, "gap_bytes": count}, bytes(count) + b"\1", bytes(count))
    assert peak_bytes(File([part]).to_bytes()) < 4 * count


@pytest.mark.parametrize("codebook", [1, 300])
def test_gaps_and_indices_are_decoded_in_pieces(codebook: int):
    """In a whole each takes 8 bytes, of which a file of nothing but zeros needs a thousandth."""
    count, book = 2_000_000, bytes([7]) * codebook
    indices = bytes(count) if codebook == 1 else bytes(2 * count)
    record = {"items": count + 1, "stored": count, "item_bytes": 1, "gap_bytes": count, "codebook": codebook}
    file = File(
        [Part(record | {"per_byte": int(codebook == 1)}, bytes(count) + book + indices, bytes([7]) * count + b"\0")]
    )
    tracemalloc.start()
    assert unpack(file.to_bytes(), "x")[0] == file.onnx()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * count


def test_expansion_up_to_the_limit_of_deflate():
    """A large stream of one byte reaches the limit, and must pass."""
    items = 2_000_000
    zeros = Part({"items": items, "stored": items, "item_bytes": 1}, bytes(items), bytes(items))
    file = File([zeros])
    assert 0.97 * MAX_EXPANSION < items / len(file.streams[0]) < MAX_EXPANSION
    assert unpack(file.to_bytes(), "x")[0] == file.onnx()


# -- as a model -------------------------------------------------------------------------------------------------------


def test_stored_file_of_version_1_is_the_model_it_was():
    found, expected = (Detector(path)(red_and_blue_picture()) for path in (STORED, DETECTOR))
    assert found.labels == expected.labels and len(found) == 2
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(b"", "packed without a model spec, so that only `sqdet unpack` can use it", id="none"),
        pytest.param(b"{}", "its spec: the JSON is not a model spec", id="another JSON"),
        pytest.param(b"[" * 100_000, "its spec: the model spec is not JSON", id="brackets"),
    ],
)
def test_a_model_without_a_usable_spec_is_refused(tmp_path, spec, said):
    path = tmp_path / "foreign.sqdet"
    path.write_bytes(File([PLAIN], spec=spec).to_bytes())
    with pytest.raises(ModelFileError, match=f"foreign.sqdet: {said}"):
        Detector(path)


@pytest.mark.parametrize("suffix", [".SQDET", ".Onnx"])
def test_a_suffix_counts_in_any_case(tmp_path, suffix):
    path = tmp_path / f"X{suffix}"
    shutil.copy(STORED if suffix == ".SQDET" else DETECTOR, path)
    shutil.copy(DETECTOR.with_suffix(".json"), tmp_path / "X.json")
    assert len(Detector(path)(red_and_blue_picture())) == 2


def test_a_detector_is_no_classifier():
    with pytest.raises(ModelFileError, match=r"colours\.sqdet: .*not a classifier spec"):
        Classifier(STORED)


def test_damage_names_the_file(tmp_path):
    path = tmp_path / "cut.sqdet"
    path.write_bytes(STORED.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match=r"cut\.sqdet: header: it says"):
        Detector(path)
