"""What a training step gets: images as bytes, their objects, and for losses that need them targets for each anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sqdet_cv.spec.detector_spec import ModelSpec

from .assign import Targets, assign, unique_anchors
from .transforms.geometry import LabeledImage

TARGETS = tuple(Targets.__dataclass_fields__)


@dataclass
class Batch:
    """N images of one size with M objects in all. Images travel as bytes and become floats on the device.

    Attributes:
        pixels_bgr: (N, H, W, 3) uint8.
        mean, scale: (3,) and () float32, what is subtracted from the net's channels, and what they are multiplied by.
        channels: (3,) int64, the channels of `pixels_bgr` in the net's order.
        labelled: (N, C) bool, as in Sample.
        object_image_ids: (M,) int64, the place of each object's image in the batch. The objects of all images, without
            `ignore` ones, follow in one row.
        object_boxes_xyxy: (M, 4) float32 in input pixels. object_class_ids: (M,) int64. object_weights: (M,) float32.
        object_class_probabilities: (M, C) float32.
        ignored_image_ids, ignored_boxes_xyxy: (I,) int64 and (I, 4) float32, the same of the `ignore` objects.
        object_anchor_ids: (M,) int64, from `assign.unique_anchors`.
        boxes_xyxy, deltas, class_ids, class_probabilities, positive_weight, negative, near_ignored: the fields of
            `Targets`, stacked. These and object_anchor_ids are None for a loss that assigns objects by itself.
    """

    pixels_bgr: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    channels: torch.Tensor
    labelled: torch.Tensor
    object_image_ids: torch.Tensor
    object_boxes_xyxy: torch.Tensor
    object_class_ids: torch.Tensor
    object_weights: torch.Tensor
    object_class_probabilities: torch.Tensor
    ignored_image_ids: torch.Tensor
    ignored_boxes_xyxy: torch.Tensor
    object_anchor_ids: torch.Tensor | None = None
    boxes_xyxy: torch.Tensor | None = None
    deltas: torch.Tensor | None = None
    class_ids: torch.Tensor | None = None
    class_probabilities: torch.Tensor | None = None
    positive_weight: torch.Tensor | None = None
    negative: torch.Tensor | None = None
    near_ignored: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels_bgr)

    @property
    def images(self) -> torch.Tensor:
        """(N, 3, H, W) float32 as the net takes them, channels last in memory, on the batch's device."""
        values = self.pixels_bgr.index_select(3, self.channels).float() - self.mean
        return (values * self.scale).permute(0, 3, 1, 2)

    def to(self, device: torch.device) -> Batch:
        moved = {
            name: None if tensor is None else tensor.to(device, non_blocking=True)
            for name, tensor in vars(self).items()
        }
        return Batch(**moved)


@dataclass(frozen=True)
class BatchRow:
    """One image on its way into a batch: arrays that are stacked, and arrays whose length is the number of objects."""

    stacked: dict[str, np.ndarray]
    objects: dict[str, np.ndarray]
    ignored_boxes_xyxy: np.ndarray


def make_row(view: LabeledImage, labelled: np.ndarray, spec: ModelSpec, with_targets: bool = True) -> BatchRow:
    """The row of an image at network size; `with_targets` where the loss needs the fields of `Targets`."""
    real = ~view.ignore
    objects = {
        "object_boxes_xyxy": view.boxes_xyxy[real],
        "object_class_ids": view.class_ids[real],
        "object_weights": view.weights[real],
        "object_class_probabilities": view.class_probabilities[real],
    }
    stacked = {"pixels_bgr": np.ascontiguousarray(view.image_bgr), "labelled": labelled}
    if with_targets:
        targets = assign(view.boxes_xyxy, view.class_ids, view.ignore, view.weights, view.class_probabilities, spec)
        stacked |= vars(targets)
        objects["object_anchor_ids"] = unique_anchors(view.boxes_xyxy[real], spec)
    return BatchRow(stacked, objects, view.boxes_xyxy[view.ignore])


def collate(rows: Sequence[BatchRow], spec: ModelSpec) -> Batch:
    """Rows to a batch; the spec says how images become floats."""
    fields = {name: np.stack([row.stacked[name] for row in rows]) for name in rows[0].stacked}
    fields |= {name: np.concatenate([row.objects[name] for row in rows]) for name in rows[0].objects}
    counts = [len(row.objects["object_class_ids"]) for row in rows]
    fields["object_image_ids"] = np.repeat(np.arange(len(rows)), counts)
    fields["ignored_boxes_xyxy"] = np.concatenate([row.ignored_boxes_xyxy for row in rows])
    fields["ignored_image_ids"] = np.repeat(np.arange(len(rows)), [len(row.ignored_boxes_xyxy) for row in rows])
    channels = np.array([2, 1, 0] if spec.rgb else [0, 1, 2])
    fields["channels"] = channels
    fields["mean"] = np.float32(spec.mean_bgr)[channels]
    fields["scale"] = np.array(spec.scale, np.float32)
    return Batch(**{name: torch.from_numpy(value) for name, value in fields.items()})
