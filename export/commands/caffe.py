"""`python -m export caffe`: a checkpoint to NAME.caffemodel and NAME.prototxt for OpenCV 4, spec beside them."""

from __future__ import annotations

import argparse

from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.dnn.caffe import require_caffe_importer

from ..caffe.detection_output import Suppression
from ..caffe.export import export_caffe
from ..errors import ExportError
from ..geometry import load_detector
from .options import add_common_arguments, output_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument(
        "--out",
        help="file to write, NAME.caffemodel; NAME.prototxt and NAME.json go beside it (default: as CHECKPOINT)",
    )
    head = parser.add_mutually_exclusive_group()
    head.add_argument(
        "--infer-bbox",
        action="store_true",
        help="for the unchanged C++ class cv::dnn_objdetect::InferBbox; size and crop default to what it needs",
    )
    head.add_argument(
        "--detection-output",
        action="store_true",
        help="suppress inside the net: for cv2.dnn.DetectionModel(caffemodel, prototxt)",
    )
    defaults = Suppression()
    add = parser.add_argument
    add("--score", type=float, help=f"of --detection-output (default: {defaults.score_threshold})")
    add("--nms", type=float, help=f"IoU, of --detection-output (default: {defaults.nms_threshold})")
    add("--keep", type=int, help=f"rows of --detection-output (default: {defaults.keep})")


def run(args: argparse.Namespace) -> None:
    require_caffe_importer("python -m export caffe, which runs what it writes")
    out = output_path(args.out, args.checkpoint, ".caffemodel")
    suppression = _suppression(args)
    size = args.size or (VOC_2017_SPEC.input_wh if args.infer_bbox else None)
    net, spec = load_detector(args.checkpoint, size)
    head = "infer-bbox" if args.infer_bbox else "detection-output" if args.detection_output else "layers"
    report = export_caffe(net, spec, out, head=head, crop=args.crop, half=args.half, suppression=suppression)
    print(
        f"{out}, {out.with_suffix('.prototxt').name}: {report.bytes / 1e6:.2f} MB, {head}, {report.anchors} "
        f"anchors; OpenCV agrees with PyTorch to {report}"
    )


def _suppression(args: argparse.Namespace) -> Suppression:
    fields = {"score": "score_threshold", "nms": "nms_threshold", "keep": "keep"}
    given = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    if given and not args.detection_output:
        raise ExportError(f"--{', --'.join(given)}: needs --detection-output, which alone suppresses inside the net")
    chosen = Suppression(**{fields[name]: value for name, value in given.items()})
    if not 0 <= chosen.score_threshold < 1:
        raise ExportError(f"--score {args.score}: expected 0 to 1")
    if not 0 < chosen.nms_threshold <= 1:
        raise ExportError(f"--nms {args.nms}: expected above 0, at most 1")
    if chosen.keep < 1:
        raise ExportError(f"--keep {args.keep}: expected 1 or more")
    return chosen
