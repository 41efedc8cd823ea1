"""Where tensors lie in an ONNX file: against the onnx package, which parsed or wrote it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.packed.onnx_tensors import TensorBytes, find_tensors

INT32, FLOAT = TensorProto.INT32, TensorProto.FLOAT


def model_bytes(*initializers: TensorProto, nodes=(), **options: object) -> bytes:
    graph = helper.make_graph(list(nodes), "g", [], [], list(initializers))
    return helper.make_model(graph, **options).SerializeToString()


def found(data: bytes) -> list[tuple[bytes, int]]:
    return [(data[hole.start : hole.stop], hole.item_bytes) for hole in find_tensors(data)]


def array(dtype: str, count: int = 5, start: int = 0) -> np.ndarray:
    return np.arange(start, start + count).astype(dtype)


@pytest.mark.parametrize("dtype", "float32 float16 float64 int8 uint8 int16 uint16 int32 uint32 int64 bool".split())
def test_raw_data_of_every_type(dtype):
    values = array(dtype)
    assert found(model_bytes(numpy_helper.from_array(values, "w"))) == [(values.tobytes(), values.itemsize)]


def test_equal_tensors_and_one_within_another_are_told_apart():
    long, short = array("float32", 20), array("float32", 5, start=3)
    data = model_bytes(*(numpy_helper.from_array(values, "w") for values in (short, long, long, short)))
    assert sorted(found(data)) == sorted([(short.tobytes(), 4), (long.tobytes(), 4)] * 2)
    tensors = find_tensors(data)
    assert all(before.stop <= after.start for before, after in zip(tensors, tensors[1:]))


def test_constants_subgraphs_functions_and_sparse_tensors():
    tensors = [numpy_helper.from_array(array("float32", start=10 * i), f"t{i}") for i in range(7)]
    constant = helper.make_node("Constant", [], ["c"], value=tensors[0])
    inner = helper.make_graph([], "inner", [], [], [tensors[1]])
    deeper = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner)], "g", [], [], [tensors[2]])
    branch = helper.make_node("If", ["x"], ["y"], then_branch=deeper)
    listed = helper.make_node("X", [], ["z"], several=[tensors[3], tensors[4]])
    indices = numpy_helper.from_array(array("int64"), "i")
    graph = helper.make_graph([constant, branch, listed], "g", [], [])
    graph.sparse_initializer.append(helper.make_sparse_tensor(tensors[5], indices, [50]))
    function = helper.make_function(
        "d", "f", [], ["c"], [helper.make_node("Constant", [], ["c"], value=tensors[6])], [helper.make_opsetid("", 12)]
    )
    data = helper.make_model(graph, functions=[function]).SerializeToString()
    holes = found(data)
    assert sorted(holes) == sorted([*((tensor.raw_data, 4) for tensor in tensors), (indices.raw_data, 8)])
    starts = [hole.start for hole in find_tensors(data)]
    assert starts == sorted(starts)


def test_fields_of_a_tensor_in_any_order():
    """Another writer may put the type behind the data."""
    # TensorProto: raw_data (9), 4 bytes; data_type (2), FLOAT16. GraphProto: initializer (5). ModelProto: graph (7).
    tensor = b"\x4a\x04\x01\x02\x03\x04" + b"\x10\x0a"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    assert find_tensors(b"\x3a" + bytes([len(graph)]) + graph) == [TensorBytes(6, 10, 2)]


def test_data_that_is_no_whole_number_of_items():
    tensor = TensorProto(name="w", data_type=FLOAT, raw_data=b"12345")
    assert found(model_bytes(tensor)) == [(b"12345", 1)]


def test_external_data_is_refused():
    tensor = numpy_helper.from_array(array("float32"), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(ExportError, match="external data"):
        find_tensors(model_bytes(tensor))


VALID = model_bytes(numpy_helper.from_array(array("float32", 20), "w"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="PNG"),
        pytest.param(b"\x08", id="tag alone"),
        pytest.param(b"\x08" + b"\xff" * 12, id="endless varint"),
        pytest.param(VALID[:-20], id="truncated"),
        pytest.param(onnx.ModelProto(ir_version=8).SerializeToString(), id="no graph"),
    ],
)
def test_what_is_no_onnx_file_is_refused(data):
    with pytest.raises(ExportError, match="not an ONNX file"):
        find_tensors(data)
