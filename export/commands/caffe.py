"""`python -m export caffe`: a checkpoint to NAME.caffemodel and NAME.prototxt for OpenCV 4, spec beside them."""

from __future__ import annotations

import argparse
import dataclasses

from sqdet_cv.boxes.postprocess import NMS_THRESHOLD
from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.dnn.caffe import read_caffe, require_caffe_importer
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..caffe.check import check_caffe, check_detection_output
from ..caffe.model import INPUT, Suppression, detector_net, require_infer_bbox
from ..caffe.proto import to_text
from ..check import EXACT, HALF
from ..errors import ExportError
from ..graph.trace import trace
from .options import add_common_arguments, cropped, load, output_path


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
    add("--score", type=float, default=defaults.score_threshold, help="of --detection-output (default: %(default)s)")
    add("--nms", type=float, default=NMS_THRESHOLD, help="IoU, of --detection-output (default: %(default)s)")
    add("--keep", type=int, default=defaults.keep, help="rows of --detection-output (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    require_caffe_importer("python -m export caffe, which runs what it writes")
    out = output_path(args.out, args.checkpoint, ".caffemodel")
    suppression = _suppression(args)
    size = args.size or (VOC_2017_SPEC.input_wh if args.infer_bbox else None)
    net, own_spec = load(args.checkpoint, size)
    crop = args.crop
    if crop is None:
        crop = (own_spec.grid_hw[0] - VOC_2017_SPEC.grid_hw[0]) // 2 if args.infer_bbox else 0
        if crop < 0:
            raise ExportError(f"--infer-bbox: made for 416 px; at {own_spec.input_wh[0]} px there are too few cells")
    spec = cropped(own_spec, crop)
    head, written_spec = "layers", spec
    if args.infer_bbox:
        require_infer_bbox(spec)
        head, written_spec = "infer-bbox", _in_2017_geometry(spec)
    elif args.detection_output:
        head = "detection-output"
    message = detector_net(trace(net, INPUT), spec, head, crop=crop, half=args.half, suppression=suppression)
    prototxt, caffemodel = to_text(message).encode(), message.SerializeToString()

    opencv_net = read_caffe(prototxt, caffemodel, str(out))
    tolerance = HALF if args.half else EXACT
    score_error, box_error = check_caffe(opencv_net, str(out), net, spec, written_spec, crop, tolerance)
    if args.detection_output:
        check_detection_output(opencv_net, str(out), spec, tolerance)
    write_bytes_atomically(out, caffemodel)
    write_bytes_atomically(out.with_suffix(".prototxt"), prototxt)
    written_spec.save(out.with_suffix(".json"))
    print(
        f"{out}, {out.with_suffix('.prototxt').name}: {len(caffemodel) / 1e6:.2f} MB, {head}, {spec.num_anchors} "
        f"anchors; OpenCV agrees with PyTorch to {score_error:.1e} in scores and {box_error:.1e} px in boxes"
    )


def _suppression(args: argparse.Namespace) -> Suppression:
    if not 0 <= args.score < 1:
        raise ExportError(f"--score {args.score}: expected 0 to 1")
    if not 0 < args.nms <= 1:
        raise ExportError(f"--nms {args.nms}: expected above 0, at most 1")
    if args.keep < 1:
        raise ExportError(f"--keep {args.keep}: expected 1 or more")
    return Suppression(args.score, args.nms, args.keep)


def _in_2017_geometry(spec: ModelSpec) -> ModelSpec:
    """What the C++ class has hard-wired, with this model's preprocessing."""
    return dataclasses.replace(VOC_2017_SPEC, mean_bgr=spec.mean_bgr, scale=spec.scale, rgb=spec.rgb)
