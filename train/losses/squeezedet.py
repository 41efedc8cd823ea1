"""The loss of SqueezeDet (arXiv 1612.01051, equation 2), as its authors' TensorFlow code computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..common.options import option
from ..data.batch import Batch
from ..models.raw_output import RawOutput
from .base import Loss, labelled_share
from .boxes import encode, paired_box_iou, to_xywh

EPSILON = 1e-16
SAFE_EXP_FROM = 1.0  # EXP_THRESH: from here on the exponential goes on as its tangent


@dataclass(frozen=True)
class SqueezeDetLossConfig:
    """The weights of the KITTI configurations."""

    # switches of the quirks before 0.2.0
    REMOVED = {"safe_exp": True, "plus_one": True, "centre_over_box": False}

    box: float = option(5.0, "LOSS_COEF_BBOX: squared error of the deltas")
    confidence_positive: float = option(75.0, "LOSS_COEF_CONF_POS: squared error of the confidence where an object is")
    confidence_negative: float = option(100.0, "LOSS_COEF_CONF_NEG: squared confidence elsewhere")
    classes: float = option(1.0, "LOSS_COEF_CLASS: two-sided cross-entropy over the classes")


class SqueezeDetLoss(Loss):
    """nn_skeleton.py and dataset/imdb.py of BichenWuUCB/squeezeDet. For n objects o in all B images of a batch, each
    with an anchor of its own (`targets.unique_anchors`, before the net says anything), out of A anchors an image:

        box / n * sum_o |d_o - target_o|^2                      d: the deltas
      + confidence_positive / (n B) * sum_o (c_o - IoU_o)^2     c: the confidence after the sigmoid
      + confidence_negative / ((A - n) B) * sum_{a without object} c_a^2
      - classes / n * sum_o (log(p_o) + sum_{other classes k} log(1 - p_k))      p: the softmax

    n is that of the whole batch even beside A, which is one image's, and the confidence alone is also divided by B: so
    the code has it; the paper does not say. IoU_o is that of the predicted box and is held constant. The authors also
    clip the gradient of each variable to a norm of 1 (`--clip 1` clips the norm of all together).

    As in the code, predicted sizes grow as a line from e times the anchor's on, and predicted boxes end 1 px too far
    right and down. Not as in the code, which divides the centre's targets by the box's size: they are the formula's.

    What the code lacks, and what leaves it the same where all objects weigh 1 and all classes are labelled:
    - a batch without objects is finite (the code divides by 0): n and A - n are taken as at least 1;
    - an object's own terms are multiplied by its weight; n counts objects;
    - anchors near an `ignore` object are no negatives;
    - in an image that is labelled for some classes, a negative's c is multiplied by `labelled_share`, so that what may
      be an object of another class is not punished.
    """

    def forward(self, raw: RawOutput, batch: Batch) -> dict[str, torch.Tensor]:
        return self.weighted_parts(raw, batch)

    def loss_box(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        deltas_xywh = self._deltas_xywh(raw, batch)
        squares = (deltas_xywh - encode(batch.object_boxes_xyxy, self.anchors_cxcywh[batch.object_anchor_ids])) ** 2
        return self._mean_over_objects(squares.sum(dim=1), batch)

    def loss_confidence_positive(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            predicted_xyxy = self._decode(self._deltas_xywh(raw, batch), batch.object_anchor_ids)
            iou = paired_box_iou(predicted_xyxy, batch.object_boxes_xyxy, EPSILON)
        confidence = raw.confidence_logits[batch.object_image_ids, batch.object_anchor_ids].sigmoid()
        return self._mean_over_objects((confidence - iou) ** 2, batch) / self.batch_total(len(batch.labelled))

    def loss_confidence_negative(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        negative = ~batch.near_ignored
        negative[batch.object_image_ids, batch.object_anchor_ids] = False
        squares = (raw.confidence_logits.sigmoid() * labelled_share(raw, batch)) ** 2 * negative
        without_object = (negative.shape[1] - self.batch_total(len(batch.object_anchor_ids))).clamp(min=1)
        return squares.sum() / without_object / self.batch_total(len(batch.labelled)) * self.processes

    def loss_class(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        scores = raw.class_logits[batch.object_image_ids, batch.object_anchor_ids].softmax(dim=1)
        is_class = torch.zeros_like(scores).scatter_(1, batch.object_class_ids[:, None], 1.0)
        yes, no = torch.log(scores + EPSILON), torch.log(1 - scores + EPSILON)
        return self._mean_over_objects(-(is_class * yes + (1 - is_class) * no).sum(dim=1), batch)

    def _mean_over_objects(self, each: torch.Tensor, batch: Batch) -> torch.Tensor:
        objects = self.batch_total(len(each)).clamp(min=1) / self.processes
        return (each * batch.object_weights).sum() / objects

    def _deltas_xywh(self, raw: RawOutput, batch: Batch) -> torch.Tensor:
        """(M, 4): what the objects' anchors say."""
        return to_xywh(raw.deltas[batch.object_image_ids, batch.object_anchor_ids], self.spec.delta_order)

    def _decode(self, deltas_xywh: torch.Tensor, anchor_ids: torch.Tensor) -> torch.Tensor:
        """(M, 4) deltas to (M, 4) boxes_xyxy inside the image."""
        anchors = self.anchors_cxcywh[anchor_ids]
        sizes = deltas_xywh[:, 2:]
        tangent = math.exp(SAFE_EXP_FROM) * (sizes - SAFE_EXP_FROM + 1)
        growth = torch.where(sizes > SAFE_EXP_FROM, tangent, sizes.exp())
        centre, half = anchors[:, :2] + anchors[:, 2:] * deltas_xywh[:, :2], anchors[:, 2:] * growth / 2
        boxes_xyxy = torch.cat([centre - half, centre + half], dim=1)
        limit = anchors.new_tensor(self.spec.input_wh * 2) - 1
        boxes_xyxy = boxes_xyxy.clamp(min=torch.zeros_like(limit), max=limit)
        return boxes_xyxy + anchors.new_tensor([0.0, 0.0, 1.0, 1.0])
