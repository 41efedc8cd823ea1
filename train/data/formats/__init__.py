"""Readers of VOC, COCO, YOLO and plain folders, each to a list of `Sample`."""
