"""`sqdet unpack`: the ONNX file, and the spec, that were packed into a `.sqdet` file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dnn.model_file import unpack_file
from ..errors import ModelFileError


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command to those of `sqdet`."""
    parser = commands.add_parser(
        "unpack",
        help="a packed model (.sqdet) back to ONNX",
        description="Writes the ONNX file that was packed, and its spec, if it has one, inside it and beside it.",
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
    spec_path = unpack_file(arguments.packed, out)
    also = f", and {spec_path}" if spec_path else "; it was packed without a spec"
    print(f"{out}: {out.stat().st_size} bytes{also}")
    return 0
