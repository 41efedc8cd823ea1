"""What sharing and pruning save: the formula of Deep Compression beside what the packed file really takes.

python -m benchmarks.sharing_ratio RUN/compressed.pt
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from export.graph import Layer, trace
from export.onnx_model import INPUT, detector_model
from export.packed import encode, pack
from sqdet_cv.packed import TENSOR_FORMAT
from train.checkpoint import net_from_checkpoint
from train.compress.share import formula_ratio


class Row(NamedTuple):
    """One tensor.

    Attributes:
        values: how many distinct values it has, zero among them.
        formula: r = nb / (kb + n log2 k) with k = values: what indices of equal length would save.
        packed_bytes: its stream and record in the file.
    """

    name: str
    items: int
    zeros: int
    values: int
    formula: float
    packed_bytes: int

    @property
    def measured(self) -> float:
        return 4 * self.items / self.packed_bytes


def measure(layers: list[Layer]) -> Iterator[Row]:
    """Weights and biases of the convolutions."""
    for layer in layers:
        for kind in ("weight", "bias"):
            if (array := getattr(layer, kind)) is not None:
                values = len(np.unique(array))
                packed_bytes = len(encode(array.tobytes(), 4)[1]) + TENSOR_FORMAT.size
                zeros = int((array == 0).sum())
                yield Row(
                    f"{layer.name}.{kind}", array.size, zeros, values, formula_ratio(array.size, values), packed_bytes
                )


def table(rows: list[Row]) -> str:
    """Markdown: a row a tensor, and the sum; the formula of the sum is that of all bytes it predicts."""
    lines = ["| tensor | items | zeros | values | formula | measured | bytes |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.items:,} | {100 * row.zeros / row.items:.0f} % | {row.values} | {row.formula:.2f} "
        f"| {row.measured:.2f} | {row.packed_bytes:,} |"
        for row in rows
    ]
    items, packed = sum(row.items for row in rows), sum(row.packed_bytes for row in rows)
    predicted = sum(row.items / row.formula for row in rows)
    lines.append(
        f"| **all** | {items:,} | {100 * sum(row.zeros for row in rows) / items:.0f} % | | **{items / predicted:.2f}** "
        f"| **{4 * items / packed:.2f}** | {packed:,} |"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="of `python -m train compress`")
    net, spec = net_from_checkpoint(parser.parse_args().checkpoint)
    layers = trace(net, INPUT)
    print(table(list(measure(layers))))
    onnx = detector_model(layers, spec, "convdet").SerializeToString()
    packed = pack(onnx, spec.to_json())
    print(
        f"\nthe file: {len(onnx):,} bytes of ONNX, {len(packed):,} packed: {len(onnx) / len(packed):.2f} times smaller"
    )


if __name__ == "__main__":
    main()
