"""The tiny models on four grids (`tests.write_grids_model`), and the image for which their answer is stored."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "grids"
CONVDET, DECODED, CAFFE = FOLDER / "convdet.onnx", FOLDER / "decoded.onnx", FOLDER / "layers.caffemodel"
ANSWER = FOLDER / "answer.json"  # boxes_xyxy and scores of the 43 anchors for `int8_model.picture`, stretched
