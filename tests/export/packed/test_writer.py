"""Packed models: equal to what was packed, by two readers; and small."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.packed.writer import encode, pack
from sqdet_cv.dnn.packed import HEADER_FORMAT, MAX_EXPANSION, TENSOR_FORMAT, Header, Tensor, unpack
from tests.colours import DETECTOR
from tests.fuzz_packed import build, try_out
from tests.int8_model import MODEL as INT8
from tests.packed_reader import read_packed
from tests.released import MODEL, released_onnx

from .test_onnx_tensors import model_bytes


def model_of(*arrays: np.ndarray) -> bytes:
    return model_bytes(*(numpy_helper.from_array(array, f"w{i}") for i, array in enumerate(arrays)))


def pack_all(data: bytes, spec_json: str | None = None) -> bytes:
    """Packs, and holds both readers to the model that went in."""
    packed = pack(data, spec_json)
    assert unpack(packed, "x") == read_packed(packed) == (data, spec_json)
    return packed


def weights(rng: np.random.Generator, count: int, clusters: int, zeros: float) -> np.ndarray:
    """(count,) float32, normally distributed, rounded to at most so many values, a share of `zeros` pruned."""
    values = np.sort(rng.normal(0, 1, clusters)).astype(np.float32)
    nearest = np.clip(np.round((rng.normal(0, 1, count) + 3) / 6 * (clusters - 1)), 0, clusters - 1)
    return np.where(rng.random(count) < zeros, np.float32(0), values[nearest.astype(int)])


# -- round trips ------------------------------------------------------------------------------------------------------

DTYPES = ("<u1", "<i1", "<f2", "<u2", "<i4", "<f4", "<i8", "<f8")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Of any type, any bits (NaN, -0.0), any sharing and sparsity, with runs of zeros around the lengths of escapes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    count = draw(st.sampled_from([0, 1, 7, 16, 63, 64, 65, 254, 255, 256, 257, 511, 900, 2000]))
    distinct = draw(st.sampled_from([1, 2, 3, 4, 6, 7, 16, 17, 255, 256, 257, 300, 1000]))
    values = np.frombuffer(rng.bytes(distinct * dtype.itemsize), dtype)
    array = values[rng.integers(0, distinct, count)]
    array[rng.random(count) < draw(st.sampled_from([0, 0.3, 0.9, 0.995, 1]))] = 0
    return array


@given(st.lists(arrays(), max_size=4), st.sampled_from([None, '{"labels": ["котик"]}\r\n']))
def test_round_trip(tensors, spec_json):
    pack_all(model_of(*tensors), spec_json)


def test_more_than_65536_values_and_exactly_so_many():
    rng = np.random.default_rng(0)
    for distinct in (1 << 16, (1 << 16) + 1):
        array = rng.permutation(np.arange(distinct, dtype=np.uint32).repeat(2))
        data = model_of(array)
        assert unpack(pack(data), "x") == (data, None)


def test_every_bit_pattern_of_float16_survives():
    pack_all(model_of(np.arange(1 << 16, dtype=np.uint16).view(np.float16)))


def test_typed_data_and_names_survive():
    """What the onnx package would write in other bytes: typed fields, unknown fields, an odd order."""
    floats = helper.make_tensor("f", TensorProto.FLOAT, [200], np.tile([1.5, -0.0], 100))
    ints = helper.make_tensor("i", TensorProto.INT64, [100], range(100))
    unknown = b"\xfa\x3f\x03abc"  # field 1023
    pack_all(unknown + model_bytes(floats, ints) + unknown)


@pytest.mark.slow
def test_the_embedded_model():
    onnx, spec = released_onnx()
    assert unpack(pack(onnx, spec.to_json()), "x") == (onnx, spec.to_json())
    assert len(pack(onnx, spec.to_json())) == pytest.approx(MODEL.stat().st_size, rel=0.01), (
        "zlib's versions differ a bit"
    )


@pytest.mark.parametrize("path", [DETECTOR, INT8], ids=lambda path: path.name)
def test_models_of_this_repository(path):
    data, spec_json = path.read_bytes(), path.with_suffix(".json").read_bytes().decode()
    packed = pack(data, spec_json)
    assert unpack(packed, "x") == (data, spec_json)
    assert len(packed) < len(data)


def test_all_zeros_keep_to_the_largest_expansion():
    data = model_of(np.zeros(1_000_000, np.float32))
    packed = pack(data)
    assert unpack(packed, "x") == (data, None)
    assert len(data) / MAX_EXPANSION < len(packed) < 10_000


def test_what_cannot_be_packed_says_why():
    with pytest.raises(ExportError, match="not an ONNX file"):
        pack(b"hello")


@settings(max_examples=500)
@given(st.binary(min_size=8, max_size=120))
def test_damaged_files_are_refused_or_unpack_to_what_was_packed(program):
    """A taste of `python -m tests.fuzz_packed`."""
    assert try_out(build(program))


# -- sizes ------------------------------------------------------------------------------------------------------------


def entropy_bytes(symbols: np.ndarray) -> float:
    """Shannon's bound for symbols coded one by one."""
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-(counts * np.log2(counts / len(symbols))).sum() / 8)


def over_entropy(array: np.ndarray) -> float:
    """How much longer the stream, its code tables and its record are than the entropy of the weights (0.03: 3 %).

    The codebook is data of its own, and is taken off at its plain length.
    """
    _, stream = encode(array.tobytes(), 4)
    codebook_bytes = array.itemsize * len(np.unique(array))
    return (len(stream) + TENSOR_FORMAT.size - codebook_bytes) / entropy_bytes(array) - 1


LAYERS = [
    *((10_001, clusters, zeros) for clusters in (64, 128, 256) for zeros in (0, 0.3, 0.5, 0.6, 0.7)),
    *((40_000, clusters, zeros) for clusters in (16, 32, 64, 256) for zeros in (0, 0.3, 0.6, 0.7, 0.8)),
    *((200_000, clusters, zeros) for clusters in (2, 3, 4, 8, 16, 32, 64, 256) for zeros in (0, 0.5, 0.6, 0.9, 0.95)),
]


@pytest.mark.parametrize(("count", "clusters", "zeros"), LAYERS)
def test_within_3_percent_of_the_entropy(count, clusters, zeros):
    array = weights(np.random.default_rng(0), count, clusters, zeros)
    assert over_entropy(array) < 0.03


@pytest.mark.parametrize("zeros", [0, 0.3, 0.7])
@pytest.mark.parametrize("clusters", [300, 1000])
def test_more_than_256_clusters_are_within_4_percent(clusters, zeros):
    """Two digits of an index, coded one by one, cost a little more than the index."""
    assert over_entropy(weights(np.random.default_rng(0), 200_000, clusters, zeros)) < 0.04


def coding(array: np.ndarray) -> Tensor:
    return encode(array.tobytes(), array.itemsize)[0]


@pytest.mark.parametrize(
    ("array", "sparse", "shared"),
    [
        pytest.param(np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32), False, False, id="dense floats"),
        pytest.param(weights(np.random.default_rng(0), 5000, 64, 0), False, True, id="shared"),
        pytest.param(weights(np.random.default_rng(0), 5000, 64, 0.8), True, True, id="shared and sparse"),
        pytest.param(np.linspace(1, 2, 5000) * (np.arange(5000) % 9 == 0), True, False, id="sparse"),
    ],
)
def test_coding_suits_the_weights(array, sparse, shared):
    tensor = coding(array)
    assert (tensor.stored < tensor.items, tensor.codebook > 0) == (sparse, shared)
    assert tensor.stored == (np.count_nonzero(array) if sparse else len(array))


def test_two_clusters_cost_a_bit_and_not_deflates_three_halves():
    array = np.where(np.random.default_rng(0).random(80_000) < 0.5, np.float32(-1), np.float32(1))
    assert coding(array).per_byte == 8
    assert coding(array).stream_bytes < 10_100


def test_runs_and_patterns_are_matched():
    array = np.tile(np.random.default_rng(0).normal(0, 1, 500).astype(np.float32), 40)
    assert coding(array).stream_bytes < 0.1 * array.nbytes


def test_large_codebook_is_cut_into_equal_digits():
    tensor = coding(np.random.default_rng(0).permutation(np.float32(np.arange(1000).repeat(50))))
    assert (tensor.codebook, tensor.per_byte) == (1000, 0)
    assert tensor.stream_bytes - 4000 < 1.03 * 50_000 * math.log2(1000) / 8


def test_a_small_tensor_stays_in_the_graph():
    header = Header._make(HEADER_FORMAT.unpack_from(pack(model_of(np.ones(15, np.float32), np.ones(16, np.float32)))))
    assert header.tensors == 1
