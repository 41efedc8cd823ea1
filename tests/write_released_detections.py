"""Writes tests/data/released_detections.json: what PyTorch finds in the ten images with the released weights.

Run from the project's root after the embedded model was replaced: python -m tests.write_released_detections
"""

from __future__ import annotations

import json

import cv2

from sqdet_cv.util.atomic_files import write_text_atomically
from train.detectors.pytorch import TorchDetector

from .released import DETECTIONS, PHOTOS, SCORE_THRESHOLD, released_net


def main() -> None:
    detector = TorchDetector(*released_net(), score_threshold=SCORE_THRESHOLD)
    found = {
        path.name: [
            {"label": d.label, "score": round(d.score, 6), "box_xyxy": [round(v, 3) for v in d.box_xyxy]}
            for d in detector(cv2.imread(str(path)))
        ]
        for path in PHOTOS
    }
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(detections)}" for name, detections in found.items())
    write_text_atomically(DETECTIONS, "{\n" + rows + "\n}\n")
    print(f"{DETECTIONS}: {sum(map(len, found.values()))} detections in {len(found)} images")


if __name__ == "__main__":
    main()
