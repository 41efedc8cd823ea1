"""Images to batches of tensors. The random choices for an image depend on (seed, epoch, image) alone, so that the
number of worker processes changes nothing, and a resumed run sees the same images as one that was not stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sqdet_cv.dnn.preprocess import images_to_blob, resize_to_input
from sqdet_cv.spec.detector_spec import ModelSpec

from ..common.errors import TrainError
from .assign import assign, unique_anchors
from .sample import Sample
from .transforms.augment import AugmentConfig, happens, random_mosaic, random_view
from .transforms.geometry import LabeledImage


@dataclass
class Batch:
    """N images: images (N, 3, H, W) float32 and the `Targets` fields stacked, with `labelled` (N, C) bool.

    The M objects of all images, without `ignore` ones, follow in one row: object_image_ids (M,) int64 is the image's
    place in the batch, object_anchor_ids (M,) int64 is from `assign.unique_anchors`.
    """

    images: torch.Tensor
    boxes_xyxy: torch.Tensor
    deltas: torch.Tensor
    class_ids: torch.Tensor
    class_probabilities: torch.Tensor
    positive_weight: torch.Tensor
    negative: torch.Tensor
    near_ignored: torch.Tensor
    labelled: torch.Tensor
    object_image_ids: torch.Tensor
    object_boxes_xyxy: torch.Tensor
    object_class_ids: torch.Tensor
    object_weights: torch.Tensor
    object_anchor_ids: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()})


def read_image(path: object) -> np.ndarray:
    """(H, W, 3) uint8 BGR. Raises TrainError that names the file."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise TrainError(f"{path}: missing or not an image that OpenCV can read")
    return image


class DetectionData(Dataset):
    """Samples as the network is shown them, with targets.

    Args:
        augment: None for the whole image, stretched, as at run time.
        teacher: is called with each image after augmentation, and returns it with class probabilities of its own.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        spec: ModelSpec,
        augment: AugmentConfig | None,
        seed: int,
        epoch: int,
        teacher: Callable[[LabeledImage], LabeledImage] | None = None,
    ) -> None:
        self.samples, self.spec, self.augment, self.seed, self.epoch = samples, spec, augment, seed, epoch
        self.teacher = teacher

    def __len__(self) -> int:
        return len(self.samples)

    def view(self, index: int, draw: int = 0) -> tuple[LabeledImage, np.ndarray]:
        """The image and boxes that the network is shown, and `labelled` (C,) bool as in Sample; a mosaic is labelled
        for the classes that all four images are labelled for. `draw` distinguishes repeats of an image in an epoch."""
        sample, size_wh, config = self.samples[index], self.spec.input_wh, self.augment
        if config is None:
            whole = _whole(sample)
            factors = np.tile(np.float32(size_wh) / np.float32(whole.image_bgr.shape[1::-1]), 2)
            resized = resize_to_input(whole.image_bgr, size_wh)
            return replace(whole, image_bgr=resized, boxes_xyxy=whole.boxes_xyxy * factors), sample.labelled
        rng = np.random.default_rng((self.seed, self.epoch, index, draw))
        if happens(config.mosaic, rng):
            four = [sample] + [self.samples[i] for i in rng.integers(len(self.samples), size=3)]
            view = random_mosaic([_whole(one) for one in four], size_wh, self.spec.mean_bgr, config, rng)
            return view, np.logical_and.reduce([one.labelled for one in four])
        return random_view(_whole(sample), size_wh, self.spec.mean_bgr, config, rng), sample.labelled

    def __getitem__(self, key: tuple[int, int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The arrays that can be stacked, and the objects, whose number differs from image to image."""
        index, draw = key
        view, labelled = self.view(index, draw)
        if self.teacher:
            view = self.teacher(view)
        targets = assign(
            view.boxes_xyxy, view.class_ids, view.ignore, view.weights, view.class_probabilities, self.spec
        )
        image = images_to_blob([view.image_bgr], self.spec)[0]
        return {"images": image, "labelled": labelled} | vars(targets), real_objects(view, self.spec)


def _whole(sample: Sample) -> LabeledImage:
    image_bgr = read_image(sample.image_path)
    objects = (sample.boxes_xyxy, sample.class_ids, sample.ignore, sample.weights, sample.class_probabilities)
    return LabeledImage(image_bgr, *objects)


def real_objects(view: LabeledImage, spec: ModelSpec) -> dict[str, np.ndarray]:
    """The objects to find, as the `object_` fields of a `Batch` (but for object_image_ids)."""
    real = ~view.ignore
    boxes_xyxy = view.boxes_xyxy[real]
    return {
        "object_boxes_xyxy": boxes_xyxy,
        "object_class_ids": view.class_ids[real],
        "object_weights": view.weights[real],
        "object_anchor_ids": unique_anchors(boxes_xyxy, spec),
    }


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
    return ordered_batches(data, order, batch_size, workers, collate)


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


def collate(rows: Sequence[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]) -> Batch:
    """Rows of `DetectionData` to a batch."""
    images, objects = zip(*rows)
    counts = [len(item["object_class_ids"]) for item in objects]
    fields = {name: np.stack([image[name] for image in images]) for name in images[0]}
    fields |= {name: np.concatenate([item[name] for item in objects]) for name in objects[0]}
    fields["object_image_ids"] = np.repeat(np.arange(len(rows)), counts)
    return Batch(**{name: torch.from_numpy(value) for name, value in fields.items()})


def _init_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the worker is the parallelism
