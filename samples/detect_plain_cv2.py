"""Objects in an image with nothing but cv2 and NumPy: python detect_plain_cv2.py MODEL.onnx IMAGE OUT

The model, with the .json that is written beside it, comes from
    python -m export onnx CHECKPOINT --head decoded --out MODEL.onnx
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

SCORE, NMS = 0.3, 0.4  # least score of a detection; IoU above which the weaker of two boxes of a class goes


def main(model: str, path: str, out: str) -> None:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(Path(model).read_bytes(), np.uint8))
    spec = json.loads(Path(model).with_suffix(".json").read_text())  # labels, input size and what to subtract
    if "boxes_xyxy" not in net.getUnconnectedOutLayersNames():
        raise ValueError(f"{model}: has no output boxes_xyxy; expected one of python -m export onnx --head decoded")
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise ValueError(f"{path}: not an image that OpenCV can read")

    input_wh = np.array(spec["input_wh"])
    to_image = image.shape[1::-1] / input_wh
    small = image
    if to_image.max() > 2:  # averaged along the axes that shrink: thin things survive in large images
        small_wh = np.minimum(input_wh, image.shape[1::-1]).tolist()
        small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)
    small = cv2.resize(small, spec["input_wh"], interpolation=cv2.INTER_LINEAR)
    mean = spec["mean_bgr"][::-1] if spec["rgb"] else spec["mean_bgr"]
    net.setInput(cv2.dnn.blobFromImage(small, spec["scale"], mean=mean, swapRB=spec["rgb"]))
    (boxes_xyxy,), (scores,) = net.forward(["boxes_xyxy", "scores"])  # (1, A, 4) in input pixels, (1, A, classes)

    anchors, classes = np.nonzero(scores > SCORE)
    scores = scores[anchors, classes]
    boxes_xyxy = np.clip(boxes_xyxy[anchors], 0, np.tile(input_wh, 2))
    boxes_xywh = np.hstack([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]])
    for i in cv2.dnn.NMSBoxesBatched(boxes_xywh.tolist(), scores.tolist(), classes.tolist(), SCORE, NMS):
        x1, y1, x2, y2 = (boxes_xyxy[i] * np.tile(to_image, 2)).round().astype(int).tolist()
        text = f"{spec['labels'][classes[i]]} {scores[i]:.2f}"
        print(text, x1, y1, x2, y2)
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
        cv2.putText(image, text, (x1, max(y1 - 5, 15)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 255, 0), 2)
    if not cv2.imwrite(out, image):
        raise ValueError(f"{out}: cannot be written")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python detect_plain_cv2.py MODEL.onnx IMAGE OUT")
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, cv2.error) as error:
        sys.exit(f"detect_plain_cv2: {' '.join(str(error).split())}")
