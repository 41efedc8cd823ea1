"""Fields of protobuf messages that are written here by hand, byte by byte, and messages that are damaged."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv import ModelFileError
from sqdet_cv.dnn.protobuf import fields, messages, numbers, text, varint

# field 1: the number 300; 2: "hi"; 3: 8 bytes; 4: 4 bytes; 16: the packed numbers 1, 300; 16: the number 7
MESSAGE = b"\x08\xac\x02" + b"\x12\x02hi" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x82\x01\x03\x01\xac\x02"
MESSAGE += b"\x80\x01\x07"


def test_every_kind_of_field_with_its_place():
    found = [(field.number, field.start, field.stop) for field in fields(memoryview(MESSAGE))]
    assert found == [(1, 0, 3), (2, 3, 7), (3, 7, 16), (4, 16, 21), (16, 21, 27), (16, 27, 30)]
    assert [field.value for field in fields(memoryview(MESSAGE))] == [300, b"hi", bytes(8), bytes(4), b"\1\xac\2", 7]


def test_text_messages_and_numbers():
    message = memoryview(MESSAGE)
    assert text(message, 2) == "hi" and text(message, 5) == ""
    assert [bytes(one) for one in messages(message, 2)] == [b"hi"] and list(messages(message, 1)) == []
    assert numbers(message, 16) == [1, 300, 7] and numbers(message, 5) == []
    assert text(memoryview(b"\x12\x01a\x12\x01b"), 2) == "b"  # protobuf: the last one counts


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param(b"\x08", "byte 1: no end of a number", id="number cut"),
        pytest.param(b"\x08" + b"\xff" * 12, "byte 1: no end of a number", id="number without end"),
        pytest.param(b"\x12\x03hi", "byte 0: a field of 3 bytes, but 2 are left", id="text cut"),
        pytest.param(b"\x12" + varint(2**60), "byte 0: a field of 1152921504606846976 bytes", id="text of exabytes"),
        pytest.param(b"\x19" + bytes(7), "byte 0: a field of 8 bytes, but 7 are left", id="fixed cut"),
        pytest.param(b"\x0b", "byte 0: wire type 3", id="group"),
    ],
)
def test_damage_is_named_with_its_place(message: bytes, said: str):
    with pytest.raises(ModelFileError, match=said):
        list(fields(memoryview(message)))


def test_text_that_is_none():
    with pytest.raises(ModelFileError, match="not UTF-8"):
        text(memoryview(b"\x12\x01\xff"), 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_a_model_file_error(data: bytes):
    try:
        stops = [field.stop for field in fields(memoryview(data))]
    except ModelFileError:
        return
    assert stops[-1:] == ([len(data)] if data else [])


@given(st.integers(0, 2**64 - 1))
def test_a_number_comes_back(value: int):
    assert numbers(memoryview(b"\x08" + varint(value)), 1) == [value]


def test_a_large_field_is_not_copied():
    message = b"\x12" + varint(10_000_000) + bytes(10_000_000)
    tracemalloc.start()
    try:
        assert [len(one) for one in messages(memoryview(message), 2)] == [10_000_000]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
