"""`--teacher`: a detector with the student's cells, asked about every view, that gives targets at each cell.

NanoDet-Plus (RangiLyu/nanodet) says at each cell a score for each class and, for each edge of a box, a distribution
over distances of 0, 1 ... strides, whose mean is the edge (GFL, arXiv 2006.04388).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sqdet_cv.dnn.model_file import read_model_file
from sqdet_cv.errors import ModelFileError
from sqdet_cv.spec.detector_spec import ModelSpec

from ..common.errors import TrainError
from ..data.batch import Batch
from ..data.dense import DenseTargets
from ..models.engines import Engine, fast_engine
from .onnx_graph import OnnxGraph

HELP = (
    "NanoDet .onnx with the net's cells, asked about every view: gives scores and a box at each (--loss task-aligned)"
)
OUTPUTS = ("class_logits", "bins")
SAME_PLACE = 2e-2  # px that the centres of two cells may lie apart


class DenseTeacher:
    """Gives `DenseTargets` for the views of a batch.

    Args:
        path: an .onnx file with its spec inside it or as NAME.json beside it, and with the tensors `class_logits`
            (N, A, C) before the sigmoid and `bins` (N, A, 4 * K): for left, top, right and bottom the logits of
            distances of 0 ... K - 1 strides. Its constant `centres` (1, A, 2 or 4), if there is one, holds the centres
            of its cells.
        labels: the student's classes; the teacher must know all of them.

    Raises:
        TrainError: the file is missing, not such a detector, or does not know a class.
    """

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        self.path = Path(path)
        self.graph = OnnxGraph(path, OUTPUTS).eval()
        try:
            self.spec = read_model_file(path).spec(ModelSpec)
        except ModelFileError as error:
            raise TrainError(f"--teacher {error}") from None
        if unknown := [label for label in labels if label not in self.spec.labels]:
            raise TrainError(f"--teacher {path}: knows no class called {unknown[0]!r}")
        self.order = [self.spec.labels.index(label) for label in labels]
        self.device = torch.device("cpu")
        self._engines: dict[tuple[int, ...], Engine] = {}
        self._places: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def prepare(self, spec: ModelSpec, device: torch.device) -> None:
        """Checks that its cells are those of the student for an input of that size, before any step.

        Raises:
            TrainError: they are not.
        """
        self.device = device
        self.graph.to(device, memory_format=torch.channels_last)
        width, height = spec.input_wh
        logits, bins = self.graph(torch.zeros(1, 3, height, width, device=device))
        if not (logits.shape[1] == bins.shape[1] == spec.num_anchors and self._same_centres(spec)):
            raise TrainError(
                f"--teacher {self.path}: has {logits.shape[1]} cells at {width} x {height} px; expected the net's "
                f"{spec.num_anchors}, at the same places"
            )
        centres = torch.from_numpy(spec.anchors_cxcywh[:, :2].copy())
        self._places[spec.input_wh] = (centres.to(device), torch.from_numpy(spec.anchor_strides).to(device))

    def _same_centres(self, spec: ModelSpec) -> bool:
        """Whether its cells and the student's lie at the same places at the size that the file was written for."""
        if "centres" not in self.graph.constants:
            return True
        centres = self.graph.constant("centres").cpu().reshape(self.spec.num_anchors, -1)[:, :2].numpy()
        width, height = self.spec.input_wh
        hws = [(-(-height // int(grid.stride)), -(-width // int(grid.stride))) for grid in spec.grids if grid.stride]
        if len(hws) != len(spec.grids):
            return False
        students = spec.resized(self.spec.input_wh, hws).anchors_cxcywh[:, :2]
        return students.shape == centres.shape and bool(np.abs(students - centres).max() < SAME_PLACE)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> DenseTargets:
        """What it says of the views, on their device."""
        centres, strides = self._places[(batch.pixels_bgr.shape[2], batch.pixels_bgr.shape[1])]
        mean = torch.tensor(self.spec.mean_bgr, device=self.device)
        images = (batch.pixels_bgr.float() - mean) * self.spec.scale
        images = (images.flip(3) if self.spec.rgb else images).permute(0, 3, 1, 2)
        logits, bins = self._engine(images)(images)
        shares = bins.unflatten(2, (4, -1)).softmax(dim=3)
        distances = (shares * torch.arange(shares.shape[3], device=bins.device)).sum(dim=3) * strides[:, None]
        boxes_xyxy = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=2)
        return DenseTargets(logits[..., self.order].sigmoid(), boxes_xyxy)

    def _engine(self, images: Tensor) -> Callable[[Tensor], tuple[Tensor, ...]]:
        if self.device.type != "cpu":
            return self.graph
        shape = tuple(images.shape)
        if shape not in self._engines:
            self._engines[shape] = fast_engine(self.graph, images)
        return self._engines[shape].run
