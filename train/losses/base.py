"""What every loss is: what the net says and a batch, to named parts whose sum is to be small."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec

from ..common import distributed
from ..data.batch import Batch
from ..models.raw_output import RawOutput

PARTS = ("box", "conf_pos", "conf_neg", "class")  # of SqueezeDet's loss


class Loss(nn.Module, ABC):
    """Args: its `config` (a dataclass: the weights of the parts, and switches), and the geometry of the net's answer.

    In use: `parts = SqdetLoss(SqdetLossConfig(), spec)(net.split(net(batch.images)), batch)`.

    Attributes:
        needs_targets: whether it reads the fields of a batch that have a row for each anchor.
        all_processes: True where several processes have a part of the batch each. What the parts are divided by is
            then the whole batch's, over the number of processes: the mean of their gradients is that of one process
            with the whole batch.
    """

    needs_targets = True

    def __init__(self, config: object, spec: ModelSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.all_processes = False
        self.register_buffer("anchors_cxcywh", torch.from_numpy(spec.anchors_cxcywh.copy()))

    def batch_total(self, value: torch.Tensor | int) -> torch.Tensor:
        """A number that stands for this process's part of the batch, to that of the whole batch."""
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(float(value), device=self.anchors_cxcywh.device)
        return distributed.total(value) if self.all_processes else value

    @property
    def processes(self) -> int:
        return distributed.count() if self.all_processes else 1

    def weigh_classes(self, objects: Sequence[int]) -> None:
        """Tells the number of objects of each class in the data; a loss that weighs classes alike has no use for it."""

    def weighted_parts(self, *said: object) -> dict[str, torch.Tensor]:
        """The four terms, which a loss computes in methods of these names, with their weights."""
        return {
            "box": self.config.box * self.loss_box(*said),
            "conf_pos": self.config.confidence_positive * self.loss_confidence_positive(*said),
            "conf_neg": self.config.confidence_negative * self.loss_confidence_negative(*said),
            "class": self.config.classes * self.loss_class(*said),
        }

    @abstractmethod
    def forward(self, raw: RawOutput, batch: Batch) -> dict[str, torch.Tensor]:
        """Named parts, each a scalar with its weight applied; the loss is their sum.

        Finite, with finite gradients, for images without objects and batches of only such images too.
        """


@torch.no_grad()
def labelled_share(raw: RawOutput, batch: Batch) -> torch.Tensor:
    """(N, A): the part of an anchor's class scores that the classes its image is labelled for have; 1 where all are.

    An anchor without an object is known to hold none of the labelled classes, and of the others nothing is known. So
    what it is punished for is confidence times this share. It carries no gradient: the class scores learn nothing.
    """
    labelled = batch.labelled[:, None, :].to(raw.class_logits.dtype)
    share = (raw.class_logits.softmax(dim=2) * labelled).sum(dim=2)
    return torch.where(batch.labelled.all(dim=1)[:, None], 1.0, share)
