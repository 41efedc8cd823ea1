"""An ONNX file to a `.sqdet` file, small where its weights are pruned or shared."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.dnn.finite import require_finite_onnx
from sqdet_cv.dnn.model_file import read_model_file
from sqdet_cv.dnn.onnx_spec import without_spec
from sqdet_cv.dnn.packed import SUFFIX, unpack
from sqdet_cv.errors import ModelFileError
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..errors import ExportError
from .writer import pack


@dataclass(frozen=True)
class PackReport:
    """A packed file: its size, that of the ONNX file in it, whether it holds a spec, and the time to unpack it."""

    path: Path
    bytes: int
    onnx_bytes: int
    has_spec: bool
    unpack_ms: float


def pack_file(onnx_path: str | Path, path: str | Path | None = None) -> PackReport:
    """Packs NAME.onnx, with the spec beside or inside it if it has one, into PATH (default: NAME.sqdet).

    The packed file has a place for the spec, so the ONNX file in it is without.

    Raises:
        ExportError: no such ONNX file, a damaged spec or one of another model, or a name that does not end in .sqdet.
        ModelFileError: its weights are not finite.
    """
    onnx_path = Path(onnx_path)
    path = Path(path) if path else onnx_path.with_suffix(SUFFIX)
    if onnx_path.suffix.lower() != ".onnx":
        raise ExportError(f"{onnx_path}: expected an .onnx file")
    if path.suffix != SUFFIX:
        raise ExportError(f"--out {path}: expected a name that ends in {SUFFIX}")
    try:
        model = read_model_file(onnx_path)
        if model.spec_type:
            model.spec(model.spec_type)
    except ModelFileError as error:
        raise ExportError(str(error)) from None
    require_finite_onnx(model.data, str(onnx_path))
    spec_json = next(iter(model.specs.values()), None)
    try:
        packed = pack(without_spec(model.data), spec_json)
    except ExportError as error:
        raise ExportError(f"{onnx_path}: {error}") from None
    started = time.perf_counter()
    unpack(packed, str(path))
    unpack_ms = 1000 * (time.perf_counter() - started)
    write_bytes_atomically(path, packed)
    return PackReport(path, len(packed), len(model.data), spec_json is not None, unpack_ms)
