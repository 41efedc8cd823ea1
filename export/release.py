"""One detector as all that is released of it: ONNX, packed and, with OpenCV 4, Caffe."""

from __future__ import annotations

from pathlib import Path

from sqdet_cv.dnn.caffe import has_caffe_importer

from .caffe.export import export_caffe
from .errors import ExportError
from .geometry import load_detector
from .onnx.export import export_onnx
from .packed.export import PackReport, pack_file
from .report import ExportReport


def export_release(
    checkpoint: str, out: str | Path, input_wh: tuple[int, int] | None = None
) -> tuple[ExportReport, PackReport, ExportReport | None]:
    """Writes OUT.onnx, OUT.sqdet and OUT.caffemodel with what belongs to them. The last is not written, and
    None returned for it, where OpenCV has no Caffe importer to run it.

    Raises:
        ExportError: `out` has an ending, or an export fails.
    """
    out = Path(out)
    if out.suffix:
        raise ExportError(f"--out {out}: expected a name without an ending")
    net, spec = load_detector(checkpoint, input_wh)
    onnx = export_onnx(net, spec, out.with_suffix(".onnx"))
    packed = pack_file(onnx.path)
    caffe = export_caffe(net, spec, out.with_suffix(".caffemodel")) if has_caffe_importer() else None
    return onnx, packed, caffe
