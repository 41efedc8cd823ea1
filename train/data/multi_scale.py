"""`--multi-scale`: input sizes that change within an epoch (YOLOv2, arXiv 1612.08242, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from .batch import Batch, BatchRow
from .loader import DetectionData

STEPS = 10  # between two draws, as there
STRIDE = 32  # pixels; all sizes but the epoch's own are multiples of it


def sizes_around(size: int, share: float) -> list[int]:
    """The sizes to draw from, smallest first.

    >>> sizes_around(256, 0.25)
    [192, 224, 256, 288, 320]
    """
    low, high = size * (1 - share), size * (1 + share)
    near = {n for n in range(STRIDE, int(high) + 1, STRIDE) if n >= low}
    return sorted(near | {size})


def size_of_step(size: int, share: float, seed: int, epoch: int, step: int) -> int:
    """The input size of a step. It depends on the arguments alone, so that a resumed run draws the same sizes."""
    sizes = sizes_around(size, share)
    return sizes[np.random.default_rng((seed, epoch, step // STEPS)).integers(len(sizes))]


class SizedData(Dataset):
    """The same images at several sizes: the key (index, draw, size) goes to the data set of that size."""

    def __init__(self, by_size: Mapping[int, DetectionData]) -> None:
        self.by_size = by_size

    def __getitem__(self, key: tuple[int, int, int]) -> BatchRow:
        return self.by_size[key[2]][key[:2]]

    def collate(self, rows: Sequence[BatchRow]) -> Batch:
        """Rows of one size to a batch."""
        return next(iter(self.by_size.values())).collate(rows)
