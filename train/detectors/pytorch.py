"""A net in PyTorch as a detector, with the runtime's own pre- and post-processing."""

from __future__ import annotations

import numpy as np
import torch

from sqdet_cv.boxes.postprocess import NMS_THRESHOLD, SCORE_THRESHOLD, finish, select_convdet
from sqdet_cv.detections import Detections
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import ModelSpec

from ..models import AnyNet


class TorchDetector:
    """Called with (H, W, 3) uint8 BGR it gives `Detections`, as `sqdet_cv.Detector` does."""

    def __init__(
        self,
        net: AnyNet,
        spec: ModelSpec,
        score_threshold: float = SCORE_THRESHOLD,
        nms_threshold: float = NMS_THRESHOLD,
    ) -> None:
        self.net, self.spec = net.eval(), spec
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        self.device = next(net.parameters()).device

    @torch.no_grad()
    def tensors(self, image_bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The net's output for each anchor: deltas (A, 4), class scores (A, C) and confidence (A,), float32."""
        blob = torch.from_numpy(images_to_blob([image_bgr], self.spec)).to(self.device)
        raw = self.net.split(self.net(blob))
        tensors = (raw.deltas[0], raw.class_logits[0].softmax(dim=1), raw.confidence_logits[0].sigmoid())
        deltas, class_scores, confidence = (tensor.cpu().numpy() for tensor in tensors)
        return deltas, class_scores, confidence

    def __call__(self, image_bgr: np.ndarray) -> Detections:
        candidates = select_convdet(*self.tensors(image_bgr), self.spec, self.score_threshold)
        return finish(*candidates, self.spec, image_bgr.shape[1::-1], self.nms_threshold)
