"""`python -m export onnx`: a checkpoint to an ONNX file for cv2.dnn, with its spec beside it."""

from __future__ import annotations

import argparse

import onnx

from sqdet_cv.util.atomic_files import atomic_path

from ..check import EXACT, HALF, check_detector
from ..errors import ExportError
from ..graph.trace import trace
from ..int8.calibrate import calibration_pictures, collect_ranges
from ..int8.check import check_int8
from ..int8.quantize import Int8Builder, choose_quantisers
from ..int8.reference import Int8Net
from ..onnx.model import HEADS, INPUT, build_detector, detector_model
from .options import add_common_arguments, cropped, load, output_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument("--out", help="file to write; NAME.json goes beside it (default: that of a .pt with .onnx)")
    parser.add_argument(
        "--head",
        choices=sorted(HEADS),
        default="convdet",
        help="convdet: deltas, class_scores, confidence; decoded: boxes_xyxy in input pixels, scores",
    )
    parser.add_argument("--int8", action="store_true", help="quantise weights and activations: a quarter of the bytes")
    parser.add_argument(
        "--calibrate",
        metavar="LIST",
        help="for --int8: a folder of images like those to detect in, or a text file with the path of one a line",
    )


def run(args: argparse.Namespace) -> None:
    out = output_path(args.out, args.checkpoint, ".onnx")
    if args.int8 and args.half:
        raise ExportError("--int8 --half: the weights are stored either as int8 or as float16")
    if args.int8 != (args.calibrate is not None):
        raise ExportError("--int8 and --calibrate LIST need each other: the images show which range to quantise")
    pictures = calibration_pictures(args.calibrate) if args.int8 else []
    crop = args.crop or 0
    net, spec = load(args.checkpoint, args.size)
    spec = cropped(spec, crop)
    layers = trace(net, INPUT)
    if args.int8:
        quantisers = choose_quantisers(layers, collect_ranges(layers, spec, pictures))
        model = build_detector(Int8Builder(quantisers), layers, spec, args.head, crop)
    else:
        model = detector_model(layers, spec, args.head, crop=crop, half=args.half)
    with atomic_path(out) as temporary:
        onnx.save(model, temporary)
        if args.int8:
            int8_net = Int8Net(net, layers, quantisers)
            score_error, box_error = check_int8(temporary, net, int8_net, spec, args.head, crop)
            result = "every layer is as quantised; from the float net it differs by up to"
        else:
            tolerance = HALF if args.half else EXACT
            score_error, box_error = check_detector(temporary, net, spec, args.head, crop, tolerance)
            result = "OpenCV agrees with PyTorch to"
    spec.save(out.with_suffix(".json"))
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, {args.head} head, {spec.num_anchors} anchors; {result} "
        f"{score_error:.1e} in scores and {box_error:.1e} px in boxes"
    )
