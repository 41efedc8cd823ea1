"""A SqueezeNet to a classifier file for cv2.dnn, ONNX or Caffe, with its spec beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from sqdet_cv.dnn.caffe import read_caffe
from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.util.atomic_files import write_all_atomically
from train.models.squeezenet import SqueezeNet

from .caffe.builder import INPUT as CAFFE_INPUT
from .caffe.classifier import OUTPUT as PREDICTIONS
from .caffe.classifier import classifier_net
from .caffe.proto import to_text
from .check import check_classifier
from .errors import ExportError
from .graph.trace import trace
from .onnx import model as onnx_model
from .onnx.model import PROBABILITIES, classifier_model


@dataclass
class _Converted:
    """A classifier in a file format, not yet written.

    Attributes:
        files: suffix to content.
        opencv_net: the same, read by OpenCV.
        output: the layer of it that gives the probabilities.
    """

    files: dict[str, bytes]
    opencv_net: cv2.dnn.Net
    output: str

    def probabilities(self, blob: np.ndarray) -> np.ndarray:
        """OpenCV's, for a (1, 3, height, width) blob."""
        self.opencv_net.setInput(blob)
        return self.opencv_net.forward(self.output)


def export_classifier(net: SqueezeNet, spec: ClassifierSpec, path: str | Path, *, half: bool = False) -> float:
    """Writes PATH, NAME.onnx or NAME.caffemodel (with NAME.prototxt), and the spec beside it.

    Args:
        half: round the weights to float16: half the bytes.

    Returns:
        the largest difference between OpenCV's and PyTorch's probabilities in a few images.

    Raises:
        ExportError: another ending, or OpenCV differs from PyTorch; nothing is written.
    """
    path = Path(path)
    check_suffix(path)
    if half:
        net = net.half().float()  # computes with what the file will hold
    converted = FORMATS[path.suffix](str(path), net, spec, half)
    error = check_classifier(str(path), converted.probabilities, net, spec)
    files = converted.files | {".json": spec.to_json().encode("utf-8")}
    write_all_atomically({path.with_suffix(suffix): content for suffix, content in files.items()})
    return error


def check_suffix(path: Path) -> None:
    """Raises ExportError for a file of no known format."""
    if path.suffix not in FORMATS:
        raise ExportError(f"--out {path}: expected a name that ends in {' or '.join(FORMATS)}")


def _to_onnx(name: str, net: nn.Module, spec: ClassifierSpec, half: bool) -> _Converted:
    """As `sqdet_cv.Classifier` reads it."""
    content = classifier_model(trace(net, onnx_model.INPUT), spec, half=half).SerializeToString()
    return _Converted({".onnx": content}, read_onnx(content, name), PROBABILITIES)


def _to_caffe(name: str, net: nn.Module, spec: ClassifierSpec, half: bool) -> _Converted:
    """For OpenCV 4 and the 2017 module's sample image_classification.cpp, unchanged."""
    message = classifier_net(trace(net, CAFFE_INPUT), spec.input_wh, half)
    prototxt, caffemodel = to_text(message).encode(), message.SerializeToString()
    files = {".caffemodel": caffemodel, ".prototxt": prototxt}
    return _Converted(files, read_caffe(prototxt, caffemodel, name), PREDICTIONS)


FORMATS = {".onnx": _to_onnx, ".caffemodel": _to_caffe}
