"""Arithmetic on boxes and scores: formats, IoU, the anchor codec, NMS."""

from .ops import box_iou, clip_boxes, cxcywh_to_xyxy, decode, encode, mirror_boxes, xyxy_to_cxcywh

__all__ = ["box_iou", "clip_boxes", "cxcywh_to_xyxy", "decode", "encode", "mirror_boxes", "xyxy_to_cxcywh"]
