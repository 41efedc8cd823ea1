"""`python -m export classifier`: a SqueezeNet's weights to a classifier for cv2.dnn, with its spec beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from sqdet_cv.spec.classifier_spec import ClassifierSpec
from train.checkpoints.classifier import (
    CROP,
    SQUARE,
    center_crop_spec,
    squeezenet_from_exported,
    squeezenet_from_weights,
)
from train.checkpoints.exported import SUFFIXES
from train.checkpoints.native import classifier_from_checkpoint, is_classifier_checkpoint
from train.models.squeezenet import LAYOUTS, SqueezeNet

from ..classifier import check_suffix, export_classifier
from ..errors import ExportError
from .class_names import read_class_names
from .options import size_wh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weights",
        help="a checkpoint of `train classify` (.pt), an ImageNet archive (.npz, Caffe names), a SqueezeNet's "
        "state_dict (.pt), or a classifier of this project (.onnx, .sqdet)",
    )
    parser.add_argument(
        "--out",
        required=True,
        help="file to write, NAME.onnx or NAME.caffemodel (with NAME.prototxt); NAME.json goes beside",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help='class names, one a line: "goldfish" or "n01443537 goldfish" (default: those of the checkpoint)',
    )
    parser.add_argument("--version", choices=sorted(LAYOUTS), help="refuse weights of another (default: take either)")
    parser.add_argument(
        "--size",
        type=size_wh,
        metavar="WxH",
        help=f"input size, e.g. 416 or 320x240 (default: the checkpoint's, or {CROP})",
    )
    parser.add_argument(
        "--stretch",
        action="store_true",
        help=f"stretch the whole image to the input, as the 2017 sample does at 416 (default: squeeze it to a square "
        f"{SQUARE}/{CROP} as large and take the middle)",
    )
    parser.add_argument("--half", action="store_true", help="round the weights to float16: half the bytes")


def run(args: argparse.Namespace) -> None:
    out = Path(args.out)
    check_suffix(out)
    net, version, trained = _read_weights(args)
    spec = _choose_spec(args, net.conv10.out_channels, trained)
    error = export_classifier(net, spec, out, half=args.half)
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, SqueezeNet {version}, {spec.num_classes} classes; OpenCV "
        f"agrees with PyTorch to {error:.1e} in probabilities"
    )


def _read_weights(args: argparse.Namespace) -> tuple[SqueezeNet, str, ClassifierSpec | None]:
    """The net, its version, and what a checkpoint or an exported model says of labels and input."""
    if Path(args.weights).suffix.lower() in SUFFIXES:
        return squeezenet_from_exported(args.weights, args.version)
    if not is_classifier_checkpoint(args.weights):
        return *squeezenet_from_weights(args.weights, args.version), None
    net, version, trained = classifier_from_checkpoint(args.weights)
    if args.version not in (None, version):
        raise ExportError(f"{args.weights}: the weights of SqueezeNet {version}, not {args.version}")
    return net, version, trained


def _choose_spec(args: argparse.Namespace, classes: int, trained: ClassifierSpec | None) -> ClassifierSpec:
    """The options, and for those not given what the checkpoint says."""
    if args.labels is None and trained is None:
        raise ExportError(f"{args.weights}: holds no class names; give them by --labels FILE")
    labels = trained.labels if args.labels is None else read_class_names(args.labels, classes)
    input_wh = args.size or (trained.input_wh if trained else (CROP, CROP))
    stretch = args.stretch or (trained is not None and trained.resize == "stretch")
    return ClassifierSpec(labels, input_wh) if stretch else center_crop_spec(labels, input_wh)
