"""The 2017 project's loss: the forward of its Caffe layer SqueezeDetLoss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..common.options import option
from ..data.batch import Batch
from ..models.raw_output import RawOutput
from .base import Loss, labelled_share
from .boxes import decode, paired_box_iou, to_xywh

EPSILON = 1e-7


@dataclass(frozen=True)
class SqueezeDet2017LossConfig:
    """The layer's weights (SqueezeDet_train_test.prototxt of opencv_contrib)."""

    # switches of the quirks before 0.2.0
    REMOVED = {"assign_by_prediction": True, "repeat_negatives": True, "plus_one": True}

    box: float = option(5.0, "lambda_bbox: squared error of the deltas")
    confidence_positive: float = option(75.0, "pos_conf: squared error of the confidence where an object is")
    confidence_negative: float = option(100.0, "neg_conf: squared confidence elsewhere (1000 in the project's blog)")
    classes: float = option(1.0, "the layer's lambda_conf: cross-entropy over the classes")


@dataclass
class Match:
    """The M objects of a batch: which anchor each belongs to, and the IoU of that anchor's predicted box; (M,)."""

    anchor_ids: torch.Tensor
    iou: torch.Tensor


class SqueezeDet2017Loss(Loss):
    """src/caffe/layers/squeezedet_loss_layer.cpp of kvmanohar22/caffe, branch obj_detect_loss (formula: kvmanohar22's
    GSoC blog). For an image with n objects o at anchors a(o), out of A anchors, and its mean over the images:

        box / n * sum_o |d_a(o) - target_o|^2                      d: the deltas
      + confidence_positive / n * sum_o (c_a(o) - IoU_o)^2         c: the confidence after the sigmoid
      + confidence_negative / (A - n) * sum_o sum_{a != a(o)} c_a^2
      - classes / n * sum_o log(p_a(o) + 1e-7)                     p: the object's class after the softmax

    The gradient is this formula's (a(o) and IoU_o held constant). The layer's own backward is not: it leaves 1 / n out
    of the classes and divides integers for the boxes.

    Its quirks are kept: a(o) is the anchor whose predicted box overlaps the object most, not the paper's; an anchor is
    told "nothing here" once by each object that it does not have; targets are 1 px wider and higher, and predictions
    end 1 px before the border. One more is in the spec: `grid_transposed` with `delta_order="xyhw"` and
    `size_delta_cap=inf` is the layer's geometry; any other works as well.

    What the layer lacks, and what leaves it the same where all objects weigh 1 and all classes are labelled:
    - an image without objects counts (the layer gives NaN): n is taken as 1, and each anchor is a negative once;
    - an object's own terms are multiplied by its weight; n counts objects;
    - anchors near an `ignore` object are no negatives;
    - in an image that is labelled for some classes, a negative's c is multiplied by `labelled_share`, so that what may
      be an object of another class is not punished.
    """

    def forward(self, raw: RawOutput, batch: Batch) -> dict[str, torch.Tensor]:
        return self.weighted_parts(raw, batch, self.match(raw, batch))

    @torch.no_grad()
    def match(self, raw: RawOutput, batch: Batch) -> Match:
        """Among equal overlaps the first anchor; two objects may get the same one."""
        image_ids, boxes_xyxy = batch.object_image_ids, batch.object_boxes_xyxy
        deltas_xywh = to_xywh(raw.deltas, self.spec.delta_order)
        predicted_xyxy = decode(deltas_xywh, self.anchors_cxcywh, self.spec.size_delta_cap)
        limit = self.anchors_cxcywh.new_tensor(self.spec.input_wh * 2) - 1
        predicted_xyxy = predicted_xyxy.clamp(min=torch.zeros_like(limit), max=limit)
        iou = paired_box_iou(predicted_xyxy[image_ids], boxes_xyxy[:, None], EPSILON)  # (M, A)
        anchor_ids = iou.argmax(dim=1)
        return Match(anchor_ids, iou.gather(1, anchor_ids[:, None])[:, 0])

    def loss_box(self, raw: RawOutput, batch: Batch, match: Match) -> torch.Tensor:
        deltas_xywh = to_xywh(raw.deltas[batch.object_image_ids, match.anchor_ids], self.spec.delta_order)
        targets_xywh = self._encode(batch.object_boxes_xyxy, match.anchor_ids)
        return self._mean_over_images(((deltas_xywh - targets_xywh) ** 2).sum(dim=1), batch)

    def loss_confidence_positive(self, raw: RawOutput, batch: Batch, match: Match) -> torch.Tensor:
        confidence = raw.confidence_logits[batch.object_image_ids, match.anchor_ids].sigmoid()
        return self._mean_over_images((confidence - match.iou) ** 2, batch)

    def loss_confidence_negative(self, raw: RawOutput, batch: Batch, match: Match) -> torch.Tensor:
        objects = _objects_per_image(batch)[:, None]
        owners = torch.zeros_like(raw.confidence_logits)  # (N, A): how many objects an anchor has
        one = owners.new_ones(len(match.anchor_ids))
        owners.index_put_((batch.object_image_ids, match.anchor_ids), one, accumulate=True)
        times = objects.clamp(min=1) - owners
        squares = (raw.confidence_logits.sigmoid() * labelled_share(raw, batch)) ** 2 * times * ~batch.near_ignored
        return (squares / (owners.shape[1] - objects).clamp(min=1)).sum() / self._images(batch)

    def loss_class(self, raw: RawOutput, batch: Batch, match: Match) -> torch.Tensor:
        scores = raw.class_logits[batch.object_image_ids, match.anchor_ids].softmax(dim=1)
        right = scores.gather(1, batch.object_class_ids[:, None])[:, 0]
        return self._mean_over_images(-torch.log(right + EPSILON), batch)

    def _mean_over_images(self, each: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(M,) values of the objects, weighted, to the mean over the images of the mean over an image's objects."""
        objects = _objects_per_image(batch)[batch.object_image_ids]
        return (each * batch.object_weights / objects).sum() / self._images(batch)

    def _images(self, batch: Batch) -> torch.Tensor:
        return self.batch_total(len(batch.labelled)) / self.processes

    def _encode(self, boxes_xyxy: torch.Tensor, anchor_ids: torch.Tensor) -> torch.Tensor:
        """(M, 4) boxes to (M, 4) deltas_xywh from their anchors, as gtruth_inv_transform does."""
        anchors = self.anchors_cxcywh[anchor_ids]
        wh = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] + 1
        centre = (boxes_xyxy[:, :2] + wh / 2 - anchors[:, :2]) / anchors[:, 2:]
        return torch.cat([centre, torch.log(wh / anchors[:, 2:] + EPSILON)], dim=1)


def _objects_per_image(batch: Batch) -> torch.Tensor:
    """(N,) int64."""
    return torch.bincount(batch.object_image_ids, minlength=len(batch.labelled))
