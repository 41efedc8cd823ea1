"""A compressed net, layer by layer."""

from __future__ import annotations

from torch import nn

from ..models.fuse import convolutions
from .weight_sharing import formula_ratio


def table(net: nn.Module) -> str:
    """Markdown: of each convolution's weight how many items and zeros it has, how many other values, and the ratio that
    sharing makes of it by the formula of Deep Compression, zeros being one of the values and coded as such."""
    lines = ["| layer | weights | zeros | values | nb / (kb + n log2 k) |", "|---|---|---|---|---|"]
    for name, conv in convolutions(net).items():
        weight = conv.weight.detach()
        zeros, values = int((weight == 0).sum()), len(weight.unique())
        lines.append(
            f"| {name} | {weight.numel():,} | {100 * zeros / weight.numel():.0f} % | {values - (zeros > 0)} "
            f"| {formula_ratio(weight.numel(), values):.2f} |"
        )
    return "\n".join(lines)
