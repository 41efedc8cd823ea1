"""A folder in ImageNet's layout that even a tiny training learns: noisy squares of one colour per class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CLASSES_BGR = {"blue": (220, 40, 40), "green": (40, 220, 40), "red": (40, 40, 220)}


def write_colour_folder(root: Path, counts: dict[str, int]) -> Path:
    """ROOT/SPLIT/COLOUR/N.png: `counts` images of 40 x 36 pixels of each colour per split."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for label, colour in CLASSES_BGR.items():
            (root / split / label).mkdir(parents=True)
            for n in range(count):
                image = np.clip(rng.normal(colour, 25, (36, 40, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / label / f"{n}.png"), image)
    return root
