"""Images to batches of tensors. The random choices for an image depend on (seed, epoch, image) alone, so that the
number of worker processes changes nothing, and a resumed run sees the same images as one that was not stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sqdet_cv.dnn.preprocess import resize_to_input
from sqdet_cv.spec.detector_spec import ModelSpec

from .batch import Batch, BatchRow, collate, make_row
from .cache import ImageCache, read_image
from .sample import Sample
from .transforms.augment import AugmentConfig, happens, random_mosaic, random_view
from .transforms.geometry import LabeledImage


class DetectionData(Dataset):
    """Samples as the network is shown them, with targets.

    Args:
        augment: None for the whole image, stretched, as at run time.
        with_targets: whether each anchor gets its target, which takes a third of the time; for losses that need it.
        cache: decoded images; None: each is read from its file whenever it is shown.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        spec: ModelSpec,
        augment: AugmentConfig | None,
        seed: int,
        epoch: int,
        *,
        with_targets: bool = True,
        cache: ImageCache | None = None,
    ) -> None:
        self.samples, self.spec, self.augment, self.seed, self.epoch = samples, spec, augment, seed, epoch
        self.with_targets, self.cache = with_targets, cache

    def __len__(self) -> int:
        return len(self.samples)

    def view(self, index: int, draw: int = 0) -> tuple[LabeledImage, np.ndarray]:
        """The image and boxes that the network is shown, and `labelled` (C,) bool as in Sample; a mosaic is labelled
        for the classes that all four images are labelled for. `draw` distinguishes repeats of an image in an epoch."""
        sample, size_wh, config = self.samples[index], self.spec.input_wh, self.augment
        if config is None:
            whole = self._whole(index)
            factors = np.tile(np.float32(size_wh) / np.float32(whole.image_bgr.shape[1::-1]), 2)
            resized = resize_to_input(whole.image_bgr, size_wh)
            return replace(whole, image_bgr=resized, boxes_xyxy=whole.boxes_xyxy * factors), sample.labelled
        rng = np.random.default_rng((self.seed, self.epoch, index, draw))
        if happens(config.mosaic, rng):
            four = [index, *rng.integers(len(self.samples), size=3)]
            view = random_mosaic([self._whole(i) for i in four], size_wh, self.spec.mean_bgr, config, rng)
            return view, np.logical_and.reduce([self.samples[i].labelled for i in four])
        return random_view(self._whole(index), size_wh, self.spec.mean_bgr, config, rng), sample.labelled

    def __getitem__(self, key: tuple[int, int]) -> BatchRow:
        index, draw = key
        view, labelled = self.view(index, draw)
        return make_row(view, labelled, self.spec, self.with_targets)

    def collate(self, rows: Sequence[BatchRow]) -> Batch:
        """Rows to a batch."""
        return collate(rows, self.spec)

    def _whole(self, index: int) -> LabeledImage:
        sample = self.samples[index]
        boxes_xyxy = sample.boxes_xyxy
        if self.cache is None:
            image_bgr = read_image(sample.image_path)
        else:
            image_bgr, factor_wh = self.cache[index]
            boxes_xyxy = boxes_xyxy * np.tile(factor_wh, 2)
        objects = (boxes_xyxy, sample.class_ids, sample.ignore, sample.weights, sample.class_probabilities)
        return LabeledImage(image_bgr, *objects)


def epoch_order(samples: Sequence[Sample], balance: float, seed: int, epoch: int) -> list[tuple[int, int]]:
    """The images of one epoch, shuffled, as (index, draw); images with rare classes come several times.

    Repeat-factor sampling (LVIS, arXiv 1908.03195, section 4.1): a class that is in a share f of the images is
    wanted in a share `balance`; its images are repeated sqrt(balance / f) times, at least once. 0: each once.
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
    counts = np.floor(repeats + rng.random(len(samples))).astype(int)  # the fraction is a probability
    order = [(i, draw) for i, count in enumerate(counts) for draw in range(count)]
    return [order[i] for i in rng.permutation(len(order))]


def make_loader(
    data: DetectionData, order: Sequence[tuple[int, int]], batch_size: int, workers: int
) -> Iterator[Batch]:
    """Batches of `order`, in order; the last, incomplete one too."""
    return ordered_batches(data, order, batch_size, workers, data.collate)


def ordered_batches(
    data: Dataset, order: Sequence, batch_size: int, workers: int, collate: Callable | None = None
) -> DataLoader:
    """Batches of `data[key]` for the keys of `order`. It takes no number from PyTorch's global generator."""
    return DataLoader(
        data,
        batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_init_worker,
        # Without a generator of its own it takes a seed from the global one, and a resumed run's dropout differs.
        generator=torch.Generator(),
    )


def _init_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the worker is the parallelism
