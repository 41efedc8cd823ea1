"""An ONNX file to a `.sqdet` file, small where its weights are pruned or shared."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.dnn.finite import require_finite_onnx
from sqdet_cv.dnn.packed import SUFFIX, unpack
from sqdet_cv.errors import SpecError
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..errors import ExportError
from .writer import pack

SPECS = (ModelSpec, ClassifierSpec)


@dataclass(frozen=True)
class PackReport:
    """A packed file: its size, that of the ONNX file in it, whether it holds a spec, and the time to unpack it."""

    path: Path
    bytes: int
    onnx_bytes: int
    has_spec: bool
    unpack_ms: float


def pack_file(onnx_path: str | Path, path: str | Path | None = None) -> PackReport:
    """Packs NAME.onnx, with the spec NAME.json if it lies beside it, into PATH (default: NAME.sqdet).

    Raises:
        ExportError: no such ONNX file, a damaged spec, or a name that does not end in .sqdet.
        ModelFileError: its weights are not finite.
    """
    onnx_path = Path(onnx_path)
    path = Path(path) if path else onnx_path.with_suffix(SUFFIX)
    if onnx_path.suffix.lower() != ".onnx":
        raise ExportError(f"{onnx_path}: expected an .onnx file")
    if path.suffix != SUFFIX:
        raise ExportError(f"--out {path}: expected a name that ends in {SUFFIX}")
    if not onnx_path.is_file():
        raise ExportError(f"{onnx_path}: no such file")
    spec_json = read_spec(onnx_path.with_suffix(".json"))
    onnx = onnx_path.read_bytes()
    require_finite_onnx(onnx, str(onnx_path))
    try:
        packed = pack(onnx, spec_json)
    except ExportError as error:
        raise ExportError(f"{onnx_path}: {error}") from None
    started = time.perf_counter()
    unpack(packed, str(path))
    unpack_ms = 1000 * (time.perf_counter() - started)
    write_bytes_atomically(path, packed)
    return PackReport(path, len(packed), len(onnx), spec_json is not None, unpack_ms)


def read_spec(path: Path) -> str | None:
    """The spec's JSON as it stands in the file, None where there is no file. Raises ExportError: it is no spec."""
    if not path.is_file():
        return None
    try:
        text = path.read_bytes().decode("utf-8")
        kind = next((spec for spec in SPECS if f'"{spec.VERSION_KEY}"' in text), ModelSpec)
        kind.from_json(text)
    except (SpecError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: {error}") from None
    return text
