"""Images to classify, in ImageNet's layout: a folder per class, images in it.

Every random choice depends on (seed, epoch, image) alone, as in `loader.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from sqdet_cv.dnn.preprocess import classifier_blob, images_to_blob
from sqdet_cv.media.find import IMAGE_SUFFIXES
from sqdet_cv.spec.classifier_spec import ClassifierSpec

from ..common.errors import TrainError
from ..common.options import option
from .cache import read_image
from .transforms.photometric import shift_colours


@dataclass(frozen=True)
class ImageFolder:
    """The images of one folder: labels (C names), and paths and class ids side by side, in sorted order."""

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    class_ids: tuple[int, ...]


def read_image_folder(root: str | Path, labels: Sequence[str] | None = None) -> ImageFolder:
    """Lists the files ROOT/CLASS/IMAGE; the images themselves are not opened.

    Args:
        root: the folder; a class per folder in it.
        labels: class names in the order of their ids; the folder may lack some. None: the folders' names, sorted.

    Raises:
        TrainError: the folder is missing or has no class in it, a class has no image, or is none of `labels`.
    """
    root = Path(root)
    if not root.is_dir():
        raise TrainError(f"{root}: no such folder; expected {root}/CLASS/IMAGE.jpg for each class")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise TrainError(f"{root}: no class folders in it; expected {root}/CLASS/IMAGE.jpg for each class")
    if labels is None:
        labels = [folder.name for folder in folders]
    ids = {label: class_id for class_id, label in enumerate(labels)}
    paths, class_ids = [], []
    for folder in folders:
        if folder.name not in ids:
            raise TrainError(f"{folder}: {folder.name!r} is none of the {len(labels)} classes that are trained")
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise TrainError(f"{folder}: a class without images; put some in or remove the folder")
        paths += found
        class_ids += [ids[folder.name]] * len(found)
    return ImageFolder(tuple(labels), tuple(paths), tuple(class_ids))


def image_order(count: int, seed: int, epoch: int) -> list[int]:
    """0 ... count - 1, shuffled for that epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count).tolist()


@dataclass
class ClassBatch:
    """N images: images (N, 3, H, W) float32, class_ids (N,) int64."""

    images: torch.Tensor
    class_ids: torch.Tensor

    def to(self, device: torch.device) -> ClassBatch:
        return ClassBatch(self.images.to(device), self.class_ids.to(device))


@dataclass(frozen=True)
class CropConfig:
    """What may happen to a training image, and how often. The crop's defaults are milder than ImageNet's 0.08."""

    area: tuple[float, float] = option((0.25, 1.0), "smallest and largest area of the crop, share of the image's")
    aspect: float = option(1.33, "the crop's aspect, relative to the image's, lies between 1/this and this")
    flip: float = option(0.5, "probability of left-right")
    colour: float = option(0.8, "probability of a change of hue, saturation and brightness")
    hue: float = option(0.02, "largest shift, as a share of the colour circle")
    saturation: float = option(0.4, "factor between 1 - this and 1 + this")
    brightness: float = option(0.4, "factor between 1 - this and 1 + this")

    def __post_init__(self) -> None:
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise TrainError(f"--augment.area {low} {high}: expected two shares, 0 < LOW <= HIGH <= 1")
        if self.aspect < 1:
            raise TrainError(f"--augment.aspect {self.aspect}: expected 1 or more")


def random_crop_xywh(size_wh: tuple[int, int], config: CropConfig, rng: np.random.Generator) -> tuple[int, ...]:
    """x, y, width, height in pixels of a random crop, within the image: random area, aspect and place, as "random
    resized crop" (Szegedy et al., arXiv 1409.4842). A side that would be longer than the image's is cut to it."""
    width, height = size_wh
    share = np.sqrt(rng.uniform(*config.area))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.aspect) / 2)
    w = min(max(round(width * share * stretch), 1), width)
    h = min(max(round(height * share / stretch), 1), height)
    return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h


class ClassifyData(Dataset):
    """index -> ((3, height, width) float32 as the spec says, class id). `augment=None`: as at run time, by
    `classifier_blob`. Raises TrainError that names an image that cannot be read."""

    def __init__(
        self,
        folder: ImageFolder,
        spec: ClassifierSpec,
        augment: CropConfig | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        self.folder, self.spec, self.augment, self.seed, self.epoch = folder, spec, augment, seed, epoch

    def __len__(self) -> int:
        return len(self.folder.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image, class_id = read_image(self.folder.paths[index]), self.folder.class_ids[index]
        if self.augment is None:
            return classifier_blob(image, self.spec)[0], class_id
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return images_to_blob([random_image(image, self.augment, rng)], self.spec)[0], class_id


def random_image(image_bgr: np.ndarray, config: CropConfig, rng: np.random.Generator) -> np.ndarray:
    """A random crop of (H, W, 3) uint8 BGR, not yet resized, perhaps mirrored and in other colours."""
    x, y, w, h = random_crop_xywh(image_bgr.shape[1::-1], config, rng)
    image_bgr = image_bgr[y : y + h, x : x + w]
    if rng.random() < config.flip:
        image_bgr = cv2.flip(image_bgr, 1)
    if rng.random() < config.colour:
        image_bgr = shift_colours(image_bgr, config.hue, config.saturation, config.brightness, rng)
    return image_bgr
