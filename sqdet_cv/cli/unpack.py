"""`sqdet unpack`: the ONNX file, and the spec, that were packed into a `.sqdet` file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dnn.packed import unpack
from ..errors import ModelFileError
from ..util.atomic_files import write_bytes_atomically


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command to those of `sqdet`."""
    parser = commands.add_parser(
        "unpack",
        help="a packed model (.sqdet) back to ONNX",
        description="Writes the ONNX file that was packed, bit for bit, and its spec if it has one.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("packed", type=Path, metavar="NAME.sqdet", help="file of `python -m export packed`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="NAME.onnx", help="file to write; the spec goes to NAME.json"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command. Raises ModelFileError before anything is written."""
    out = arguments.out
    if out.suffix != ".onnx":
        raise ModelFileError(f"--out {out}: expected a name that ends in .onnx")
    if not arguments.packed.is_file():
        raise ModelFileError(f"{arguments.packed}: no such model file")
    onnx, spec_json = unpack(arguments.packed.read_bytes(), str(arguments.packed))
    write_bytes_atomically(out, onnx)
    if spec_json is None:
        print(f"{out}: {len(onnx)} bytes; it was packed without a spec")
        return 0
    spec_path = out.with_suffix(".json")
    write_bytes_atomically(spec_path, spec_json.encode("utf-8"))
    print(f"{out}: {len(onnx)} bytes, and {spec_path}")
    return 0
