"""`python -m export packed`: an ONNX file to a `.sqdet` file, small where its weights are pruned or shared."""

from __future__ import annotations

import argparse
from pathlib import Path

from sqdet_cv.dnn.packed import SUFFIX

from ..packed.export import pack_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, help="any .onnx file; its spec, inside or as NAME.json beside it, goes in too"
    )
    parser.add_argument("--out", type=Path, help=f"file to write (default: MODEL with {SUFFIX})")


def run(args: argparse.Namespace) -> None:
    report = pack_file(args.model, args.out)
    spec = "with its spec" if report.has_spec else "without a spec, so that Detector refuses it"
    smaller = f"{report.onnx_bytes / report.bytes:.1f} times smaller than {args.model.name}"
    print(f"{report.path}: {report.bytes} bytes, {smaller}; {spec}; unpacks in {report.unpack_ms:.0f} ms")
