"""`python -m export packed`: an ONNX file to a `.sqdet` file, small where its weights are pruned or shared."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from sqdet_cv.dnn.packed import SUFFIX, unpack
from sqdet_cv.errors import SpecError
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..errors import ExportError
from ..packed.writer import pack

SPECS = (ModelSpec, ClassifierSpec)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="any .onnx file; NAME.json beside it, the spec, goes in too")
    parser.add_argument("--out", type=Path, help=f"file to write (default: MODEL with {SUFFIX})")


def run(args: argparse.Namespace) -> None:
    out = args.out or args.model.with_suffix(SUFFIX)
    if args.model.suffix != ".onnx":
        raise ExportError(f"{args.model}: expected an .onnx file")
    if out.suffix != SUFFIX:
        raise ExportError(f"--out {out}: expected a name that ends in {SUFFIX}")
    if not args.model.is_file():
        raise ExportError(f"{args.model}: no such file")
    spec_json = read_spec(args.model.with_suffix(".json"))
    onnx = args.model.read_bytes()
    try:
        packed = pack(onnx, spec_json)
    except ExportError as error:
        raise ExportError(f"{args.model}: {error}") from None
    started = time.perf_counter()
    unpack(packed, str(out))
    milliseconds = 1000 * (time.perf_counter() - started)
    write_bytes_atomically(out, packed)
    spec_said = "with its spec" if spec_json else "without a spec, so that Detector refuses it"
    print(
        f"{out}: {len(packed)} bytes, {len(onnx) / len(packed):.1f} times smaller than {args.model.name}; {spec_said}; "
        f"unpacks in {milliseconds:.0f} ms"
    )


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
