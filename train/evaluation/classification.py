"""How often a classifier in PyTorch is right about the images of a folder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from sqdet_cv.spec.classifier_spec import ClassifierSpec

from ..data.image_folder import ClassifyData, ImageFolder
from ..data.loader import ordered_batches
from ..models.squeezenet import SqueezeNet


@dataclass(frozen=True)
class Accuracy:
    """Over so many images: top1 and top5, shares in [0, 1] of those whose class has the highest score, or one of the
    five highest; loss, their mean cross-entropy in nats."""

    images: int
    top1: float
    top5: float
    loss: float

    def __str__(self) -> str:
        return f"top-1 {100 * self.top1:.1f} %, top-5 {100 * self.top5:.1f} % of {self.images} images"


@torch.no_grad()
def measure(
    net: SqueezeNet, folder: ImageFolder, spec: ClassifierSpec, batch_size: int, workers: int, progress: bool = False
) -> Accuracy:
    """Shows the net every image as `sqdet_cv.Classifier` would. Leaves it in evaluation mode."""
    net.eval()
    device = next(net.parameters()).device
    data = ClassifyData(folder, spec)
    loss, top1, top5 = 0.0, 0, 0
    batches = ordered_batches(data, range(len(data)), batch_size, workers)
    for images, class_ids in tqdm(batches, unit="batch", disable=None if progress else True):
        class_ids = class_ids.to(device)
        logits = net(images.to(device).contiguous(memory_format=torch.channels_last))
        loss += cross_entropy(logits, class_ids, reduction="sum").item()
        best = logits.topk(min(5, spec.num_classes)).indices == class_ids[:, None]
        top1 += best[:, 0].sum().item()
        top5 += best.sum().item()
    return Accuracy(len(data), top1 / len(data), top5 / len(data), loss / len(data))
