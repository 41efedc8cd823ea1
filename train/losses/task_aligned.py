"""The loss of a net that is told at every cell: by labels, whose objects are assigned to cells, and by a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sqdet_cv.spec.detector_spec import ModelSpec

from ..common.options import option, require_at_least
from ..data.batch import Batch
from ..data.dense import DenseTargets
from ..models.raw_output import RawOutput
from .alignment import Assignment, assign_aligned, covered
from .base import Loss
from .boxes import decode, encode, generalised_iou, to_xywh

L1_BETA = 0.1  # where smooth L1 turns from square to linear, in delta units
MOST_CONFIDENT = 0.995  # a teacher's scores of all classes can add up to more than 1
# of the teacher's sum of scores: from here on it counts as an object, its class is taught, its box is taught
COUNTS, CLASS_FROM, BOX_FROM = 0.05, 0.03, 0.08


@dataclass(frozen=True)
class TaskAlignedLossConfig:
    """The weights of its terms, and which cells and classes they are about."""

    confidence: float = option(1.0, "confidence of each cell towards its alignment with an object, or 0")
    classes: float = option(1.0, "cross-entropy over the classes")
    box: float = option(2.0, "1 - GIoU of the decoded box")
    l1: float = option(0.5, "smooth L1 on the deltas")
    cells: int = option(10, "most cells of an object")
    balance: float = option(
        0.5, "class losses are divided by each class's share of the objects to this power; 0: equal"
    )
    teacher: float = option(1.0, "the same terms towards --teacher, times this")

    def __post_init__(self) -> None:
        least = dict.fromkeys(("confidence", "classes", "box", "l1", "balance", "teacher"), 0)
        require_at_least(self, least | {"cells": 1})


class TaskAlignedLoss(Loss):
    """Labels: the cells that `assign_aligned` gives an object learn its class, box, and as confidence their alignment
    with it; the confidence of the others learns 0, unless the image is not labelled for all classes, or the cell's box
    lies in an object that is neither right nor wrong to find. All is divided by the sum of the alignments.

    A dense teacher (`DenseTargets`), which sees the same view: the confidence learns the sum of its class scores, and
    the class scores their shares of it, so that confidence times class score is the teacher's score; the box is its
    box. Divided by the sum of its scores where it sees something. So it teaches at every cell, and without labels.
    """

    needs_targets = False

    def __init__(self, config: TaskAlignedLossConfig, spec: ModelSpec) -> None:
        super().__init__(config, spec)
        self.register_buffer("strides", torch.from_numpy(spec.anchor_strides))
        self.register_buffer("class_weights", torch.ones(spec.num_classes))

    def weigh_classes(self, objects: Sequence[int]) -> None:
        """Sets how much each class counts, from its number of objects: 1 on average over the objects."""
        counts = torch.tensor(objects, dtype=torch.float64).clamp(min=1)
        weights = ((counts.mean() / counts) ** self.config.balance).clamp(0.2, 8.0)
        self.class_weights.copy_(weights * counts.sum() / (weights * counts).sum())

    def forward(self, raw: RawOutput, batch: Batch, taught: DenseTargets | None = None) -> dict[str, Tensor]:
        log_classes = raw.class_logits.log_softmax(dim=2)
        boxes_xyxy = decode(to_xywh(raw.deltas, self.spec.delta_order), self.anchors_cxcywh, self.spec.size_delta_cap)
        parts = self._from_labels(raw, log_classes, boxes_xyxy, batch)
        if taught is not None:
            parts |= self._from_teacher(raw, log_classes, boxes_xyxy, taught)
        return parts

    def assign(self, log_classes: Tensor, confidence_logits: Tensor, boxes_xyxy: Tensor, batch: Batch) -> Assignment:
        """Which cell is for which object, by what the net says now."""
        scores = log_classes.detach().exp() * confidence_logits.detach().sigmoid()[..., None]
        objects = (batch.object_boxes_xyxy, batch.object_class_ids, batch.object_image_ids)
        places = (self.anchors_cxcywh[:, :2], self.strides)
        return assign_aligned(scores, boxes_xyxy.detach(), *objects, *places, self.config.cells)

    def _from_labels(self, raw: RawOutput, log_classes: Tensor, boxes_xyxy: Tensor, batch: Batch) -> dict[str, Tensor]:
        config = self.config
        object_ids, alignment = self.assign(log_classes, raw.confidence_logits, boxes_xyxy, batch)
        divisor = self._divisor(alignment.sum())
        cells = object_ids >= 0
        ids = object_ids[cells]
        weight = alignment[cells] * batch.object_weights[ids]
        ignored = covered(boxes_xyxy, batch.ignored_boxes_xyxy, batch.ignored_image_ids)
        counts = cells | (batch.labelled.all(dim=1)[:, None] & ~ignored)
        confidence = F.binary_cross_entropy_with_logits(raw.confidence_logits, alignment.clamp(max=1), reduction="none")
        class_ids = batch.object_class_ids[ids]
        names = log_classes[cells].gather(1, class_ids[:, None])[:, 0]
        box, l1 = self._box_parts(raw, boxes_xyxy, cells, batch.object_boxes_xyxy[ids], weight)
        return {
            "conf": config.confidence * (confidence * counts).sum() / divisor,
            "class": -config.classes * (names * weight * self.class_weights[class_ids]).sum() / divisor,
            "box": config.box * box / divisor,
            "l1": config.l1 * l1 / divisor,
        }

    def _from_teacher(
        self, raw: RawOutput, log_classes: Tensor, boxes_xyxy: Tensor, taught: DenseTargets
    ) -> dict[str, Tensor]:
        config = self.config
        total = taught.scores.sum(dim=2)
        shares = taught.scores / total[..., None].clamp(min=1e-6)
        goal = total.clamp(max=MOST_CONFIDENT)
        factor = config.teacher / self._divisor((goal * (goal > COUNTS)).sum())
        # Both are 0 where the net says what the teacher says.
        least = -(torch.xlogy(goal, goal) + torch.xlogy(1 - goal, 1 - goal))
        confidence = F.binary_cross_entropy_with_logits(raw.confidence_logits, goal, reduction="none") - least
        classes = (torch.xlogy(shares, shares) - shares * log_classes).sum(dim=2)
        classes = classes * (shares * self.class_weights).sum(dim=2) * goal * (goal > CLASS_FROM)
        cells = goal > BOX_FROM
        box, l1 = self._box_parts(raw, boxes_xyxy, cells, taught.boxes_xyxy[cells], goal[cells])
        return {
            "teacher_conf": config.confidence * confidence.sum() * factor,
            "teacher_class": config.classes * classes.sum() * factor,
            "teacher_box": config.box * box * factor,
            "teacher_l1": config.l1 * l1 * factor,
        }

    def _box_parts(
        self, raw: RawOutput, boxes_xyxy: Tensor, cells: Tensor, targets_xyxy: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums of 1 - GIoU and of smooth L1 over the chosen cells, (N, A) bool; their targets and weights in a row."""
        giou = generalised_iou(boxes_xyxy[cells], targets_xyxy)
        anchors = self.anchors_cxcywh.expand(len(cells), -1, -1)[cells]
        wanted = encode(targets_xyxy, anchors, smallest=1.0)
        deltas = to_xywh(raw.deltas[cells], self.spec.delta_order)
        l1 = F.smooth_l1_loss(deltas, wanted, reduction="none", beta=L1_BETA).sum(dim=1)
        return ((1 - giou) * weight).sum(), (l1 * weight).sum()

    def _divisor(self, total: Tensor) -> Tensor:
        return self.batch_total(total).clamp(min=1) / self.processes
