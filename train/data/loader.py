"""Photos to batches of tensors. The random choices for a photo depend on (seed, epoch, photo) alone, so that the
number of worker processes changes nothing and a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sqdet_cv.preprocess import images_to_blob, resize_to_input
from sqdet_cv.spec import ModelSpec

from ..errors import TrainError
from ..targets import assign
from .augment import AugmentConfig, View, random_view
from .voc import VocSample


@dataclass
class Batch:
    """N photos: images (N, 3, H, W) float32 and the `Targets` fields stacked, with `labelled` (N, C) bool."""

    images: torch.Tensor
    boxes_xyxy: torch.Tensor
    deltas: torch.Tensor
    class_ids: torch.Tensor
    positive_weight: torch.Tensor
    negative: torch.Tensor
    labelled: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()})


def read_image(path: object) -> np.ndarray:
    """(H, W, 3) uint8 BGR. Raises TrainError that names the file."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise TrainError(f"{path}: missing or not a picture that OpenCV can read")
    return image


class DetectionData(Dataset):
    """Samples as views with targets. `augment=None`: the whole photo, stretched, as at run time."""

    def __init__(
        self, samples: Sequence[VocSample], spec: ModelSpec, augment: AugmentConfig | None, seed: int, epoch: int
    ) -> None:
        self.samples, self.spec, self.augment, self.seed, self.epoch = samples, spec, augment, seed, epoch

    def __len__(self) -> int:
        return len(self.samples)

    def view(self, index: int, draw: int = 0) -> View:
        """The picture and boxes that the network is shown; `draw` tells repeats of a photo in an epoch apart."""
        sample, size_wh = self.samples[index], self.spec.input_wh
        image = read_image(sample.image_path)
        whole = View(image, sample.boxes_xyxy, sample.class_ids, sample.ignore, sample.weights)
        if self.augment is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index, draw))
            return random_view(whole, size_wh, self.spec.mean_bgr, self.augment, rng)
        factors = np.tile(np.float32(size_wh) / np.float32(image.shape[1::-1]), 2)
        resized = resize_to_input(image, size_wh)
        return View(resized, sample.boxes_xyxy * factors, sample.class_ids, sample.ignore, sample.weights)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        index, draw = key
        view = self.view(index, draw)
        targets = assign(view.boxes_xyxy, view.class_ids, view.ignore, view.weights, self.spec)
        image = images_to_blob([view.image_bgr], self.spec)[0]
        return {"images": image, "labelled": self.samples[index].labelled} | vars(targets)


def epoch_order(samples: Sequence[VocSample], balance: float, seed: int, epoch: int) -> list[tuple[int, int]]:
    """The photos of one epoch, shuffled, as (index, draw); photos with rare classes come several times.

    Repeat-factor sampling (LVIS, arXiv 1908.03195, section 4.1): a class that is in a share f of the photos is
    wanted in a share `balance`; its photos are repeated sqrt(balance / f) times, at least once. 0: each once.
    """
    rng = np.random.default_rng((seed, epoch))
    repeats = np.ones(len(samples))
    if balance > 0:
        classes = len(samples[0].labelled)
        present = np.zeros((len(samples), classes), bool)
        for i, sample in enumerate(samples):
            present[i, sample.class_ids[~sample.ignore]] = True
        share = present.mean(axis=0)
        factor = np.sqrt(np.maximum(balance / np.maximum(share, 1e-9), 1))
        repeats = np.where(present, factor, 1).max(axis=1)
    counts = np.floor(repeats + rng.random(len(samples))).astype(int)  # the fraction decides by chance
    order = [(i, draw) for i, count in enumerate(counts) for draw in range(count)]
    return [order[i] for i in rng.permutation(len(order))]


def make_loader(
    data: DetectionData, order: Sequence[tuple[int, int]], batch_size: int, workers: int
) -> Iterator[Batch]:
    """Batches of `order`, in order; the last, incomplete one too."""
    return DataLoader(
        data,
        batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_init_worker,
        # Without its own generator it draws a seed from the global one, and a resumed run's dropout goes other ways.
        generator=torch.Generator(),
    )


def _collate(rows: list[dict[str, np.ndarray]]) -> Batch:
    return Batch(**{name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]})


def _init_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the worker is the parallelism
