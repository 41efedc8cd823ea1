"""The SqueezeDet loss with today's parts: same four terms as the paper's equation 2, each better conditioned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..common.errors import TrainError
from ..common.options import option
from ..data.batch import Batch
from ..models.raw_output import RawOutput
from .base import Loss, labelled_share
from .boxes import decode, paired_box_iou, to_xywh


@dataclass(frozen=True)
class SqdetLossConfig:
    """Weights of the four terms."""

    box: float = option(2.0, "smooth L1 on the deltas of responsible anchors")
    confidence_positive: float = option(1.0, "confidence of responsible anchors towards their IoU")
    confidence_negative: float = option(0.75, "confidence of the other anchors towards 0")
    classes: float = option(1.0, "cross-entropy over the classes")
    smoothing: float = option(0.05, "label smoothing of that cross-entropy")
    teacher: float = option(0.5, "share of a teacher's class probabilities in its target, where the labels have them")
    box_beta: float = option(0.2, "where smooth L1 turns from square to linear, in delta units")

    def __post_init__(self) -> None:
        for name in ("smoothing", "teacher"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"--sqdet.{name} {getattr(self, name)}: expected 0 to 1")


class SqdetLoss(Loss):
    """Weighted mean over the batch's responsible anchors of four parts: box, confidence+, confidence-, class.

    What differs from the paper, and why:
    - confidence is trained by cross-entropy towards the IoU of the decoded box, not by squares: a square behind a
      sigmoid has no gradient where the answer is most wrong;
    - an easy negative counts little (focal weight p^2, arXiv 1708.02002), so that no lambda has to balance
      thousands of them against a handful of objects;
    - where a teacher said how likely it takes an object for which class, that is part of the class target
      (distillation, arXiv 1503.02531, without a temperature): that a dog could be a cat but not a bus says more than
      its label;
    - everything is divided by the batch's sum of object weights, so an image without objects is finite and counts.

    Classes that an image is not labelled for are unknown there. A negative anchor then says "none of the *labelled*
    classes is here": confidence times the share of the class scores that the labelled classes have is pushed to 0.
    The share carries no gradient, so an unlisted class is neither rewarded nor punished, and an image without any
    labelled class has no negative part at all.
    """

    def forward(self, raw: RawOutput, batch: Batch) -> dict[str, torch.Tensor]:
        objects = self.batch_total(batch.positive_weight.sum()).clamp(min=1) / self.processes
        return {name: part / objects for name, part in self.weighted_parts(raw, batch).items()}

    def loss_box(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        positive = batch.positive_weight > 0
        each = F.smooth_l1_loss(
            raw.deltas[positive], batch.deltas[positive], reduction="none", beta=self.config.box_beta
        )
        return (each.sum(dim=1) * batch.positive_weight[positive]).sum()

    def loss_confidence_positive(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        positive = batch.positive_weight > 0
        with torch.no_grad():
            deltas_xywh = to_xywh(raw.deltas, self.spec.delta_order)
            predicted_xyxy = decode(deltas_xywh, self.anchors_cxcywh, self.spec.size_delta_cap)[positive]
            iou = paired_box_iou(predicted_xyxy, batch.boxes_xyxy[positive])
        each = F.binary_cross_entropy_with_logits(raw.confidence_logits[positive], iou, reduction="none")
        return (each * batch.positive_weight[positive]).sum()

    def loss_confidence_negative(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        share = labelled_share(raw, batch)
        # Where all classes are labelled the share is 1 and this is -log(1 - p), written so that it stays finite.
        confidence = raw.confidence_logits.sigmoid()
        partly = -torch.log1p(-(confidence * share).clamp(max=1 - 1e-6))
        wholly = F.softplus(raw.confidence_logits)
        each = torch.where(batch.labelled.all(dim=1)[:, None], wholly, partly)
        focal = (confidence.detach() * share) ** 2
        return (each * focal * batch.negative).sum()

    def loss_class(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        positive = batch.positive_weight > 0
        label = F.one_hot(batch.class_ids[positive], self.spec.num_classes)
        share = self.config.teacher
        target = (1 - share) * label + share * batch.class_probabilities[positive]
        each = F.cross_entropy(
            raw.class_logits[positive], target, reduction="none", label_smoothing=self.config.smoothing
        )
        return (each * batch.positive_weight[positive]).sum()
