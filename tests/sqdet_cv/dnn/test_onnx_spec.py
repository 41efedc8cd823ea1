"""The spec inside an ONNX file: put in, read, taken out, and files that are damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv import ModelFileError
from sqdet_cv.dnn.onnx_spec import read_spec, with_spec, without_spec
from tests.colours import CLASSIFIER, DETECTOR

VERSION = b"\x08\x08"  # ModelProto.ir_version
AUTHOR = b"\x72\x0b" + b"\x0a\x06author" + b"\x12\x01x"  # metadata of somebody else


@given(st.text())
def test_put_in_read_and_taken_out(spec_json: str):
    onnx = with_spec(VERSION + AUTHOR, spec_json)
    assert onnx.startswith(VERSION + AUTHOR) and read_spec(onnx) == spec_json
    assert without_spec(onnx) == VERSION + AUTHOR


def test_a_file_without_one():
    assert read_spec(VERSION + AUTHOR) is None and read_spec(b"") is None
    assert without_spec(VERSION + AUTHOR) == VERSION + AUTHOR


def test_there_is_one_at_most():
    twice = with_spec(VERSION, "old") + with_spec(AUTHOR, "new")
    assert read_spec(twice) == "new" and without_spec(twice) == VERSION + AUTHOR
    assert with_spec(twice, "last") == with_spec(VERSION + AUTHOR, "last")


@pytest.mark.parametrize("path", [DETECTOR, CLASSIFIER], ids=lambda path: path.stem)
def test_an_export_holds_the_text_of_its_json(path):
    """As the last field: `with_spec` puts it where the export has it."""
    onnx, spec_json = path.read_bytes(), path.with_suffix(".json").read_text()
    assert read_spec(onnx) == spec_json
    assert with_spec(without_spec(onnx), spec_json) == onnx


def test_every_truncation_is_no_spec_or_an_error():
    onnx = with_spec(VERSION + AUTHOR, '{"sqdet_spec": 1}')
    whole = {len(VERSION), len(VERSION + AUTHOR), 0}
    for length in range(len(onnx)):
        if length in whole:
            assert read_spec(onnx[:length]) is None
        else:
            with pytest.raises(ModelFileError):
                read_spec(onnx[:length])


def test_every_flipped_bit_is_read_or_an_error():
    onnx = bytearray(with_spec(VERSION + AUTHOR, '{"sqdet_spec": 1}'))
    errors = 0
    for position in range(len(onnx)):
        for bit in range(8):
            onnx[position] ^= 1 << bit
            try:
                assert isinstance(read_spec(bytes(onnx)), str | None)
            except ModelFileError:
                errors += 1
            onnx[position] ^= 1 << bit
    assert errors
