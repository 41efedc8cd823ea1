"""A model on disk: an ONNX or Caffe file with its spec beside it, a packed one, or the one in the package."""

from __future__ import annotations

import os
import zlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import cv2
import numpy as np

from ..errors import ModelFileError, SpecError
from ..spec.classifier_spec import ClassifierSpec
from ..spec.detector_spec import ModelSpec
from ..spec.json_spec import Spec
from ..util.atomic_files import write_all_atomically
from . import packed
from .caffe import read_caffe, require_caffe_importer
from .finite import require_finite_layers, require_finite_onnx
from .importers import import_network

if TYPE_CHECKING:
    from importlib.abc import Traversable

# In the package, by kind of model.
EMBEDDED = {ModelSpec: "sqdet_voc.sqdet", ClassifierSpec: "squeezenet_imagenet.sqdet"}


def embedded_file(spec_type: type[Spec]) -> Traversable:
    """The model file of that kind in the package."""
    return resources.files("sqdet_cv") / "models" / EMBEDDED[spec_type]


@overload
def load_model(path: str | Path | None = None) -> tuple[cv2.dnn.Net, ModelSpec]: ...


@overload
def load_model(path: str | Path | None, spec_type: type[Spec]) -> tuple[cv2.dnn.Net, Spec]: ...


def load_model(path: str | Path | None = None, spec_type: type[Any] = ModelSpec) -> tuple[cv2.dnn.Net, Any]:
    """The network and spec of `NAME.onnx` with `NAME.json` beside it, of a packed `NAME.sqdet`, which holds both, or of
    `NAME.caffemodel` with `NAME.prototxt` and `NAME.json` (OpenCV 4); None: the embedded model of the
    kind that `spec_type` describes.

    Raises:
        ModelFileError: a file is missing, not what it should be, or holds weights that are not finite; names the file.
    """
    file = embedded_file(spec_type) if path is None else Path(path)
    name = f"embedded {file.name}" if path is None else str(path)
    stem, suffix = os.path.splitext(file.name)
    suffix = suffix.lower()  # Windows shows and copies names in capitals
    if suffix == ".caffemodel":
        require_caffe_importer(name)
    if not file.is_file():
        what = "a folder, not a model file" if file.is_dir() else "no such model file"
        raise ModelFileError(f"{name}: {what}")
    spec_name = f"{stem}.json"
    data = file.read_bytes()
    if suffix == packed.SUFFIX:
        spec_name = "its spec"
        data, spec_json = packed.unpack(data, name)
        if spec_json is None:
            raise ModelFileError(f"{name}: packed without a model spec, so that only `sqdet unpack` can use it")
    elif suffix in (".onnx", ".caffemodel"):
        spec_json = _read_beside(file, spec_name, "model spec", name)
    else:
        raise ModelFileError(
            f"{name}: expected an .onnx or .caffemodel file as `python -m export` writes it, or a {packed.SUFFIX} file"
        )
    try:
        spec = spec_type.from_json(spec_json)
    except SpecError as error:
        raise ModelFileError(f"{name}: {spec_name}: {error}") from None
    if suffix == ".caffemodel":
        net = read_caffe(_read_beside(file, f"{stem}.prototxt", "prototxt", name).encode(), data, name)
        require_finite_layers(net, name)
        return net, spec
    require_finite_onnx(data, name)
    return read_onnx(data, name), spec


def fingerprint(path: Path | None, spec: Spec) -> tuple[Spec, int]:
    """What a pickle knows a model by: the spec, and the CRC-32 of the model file; None: the embedded one."""
    file = embedded_file(type(spec)) if path is None else path
    return spec, zlib.crc32(file.read_bytes())


def require_same(name: str, found: tuple[Spec, int], pickled: tuple[Spec, int]) -> None:
    """Raises ModelFileError unless the model is the one that was pickled, by its `fingerprint`."""
    if found != pickled:
        raise ModelFileError(f"{name}: another model lies there now; expected the one that was pickled")


def unpack_file(path: str | Path, onnx_path: str | Path) -> Path | None:
    """Writes the ONNX model in a packed `.sqdet` file, bit for bit as it was packed, and its spec beside it.

    Returns:
        the path of the spec, `onnx_path` with the suffix .json; None: it was packed without a spec.

    Raises:
        ModelFileError: the file is missing, damaged or not a `.sqdet`; nothing is written then.

    >>> unpack_file("mine.sqdet", "mine.onnx")  # doctest: +SKIP
    PosixPath('mine.json')
    """
    path, onnx_path = Path(path), Path(onnx_path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    onnx, spec_json = packed.unpack(path.read_bytes(), str(path))
    spec_path = onnx_path.with_suffix(".json")
    spec = {} if spec_json is None else {spec_path: spec_json.encode("utf-8")}
    write_all_atomically({onnx_path: onnx} | spec)
    return spec_path if spec else None


def _read_beside(file: Path | Traversable, beside: str, what: str, name: str) -> str:
    try:
        return Path(str(file)).with_name(beside).read_text(encoding="utf-8")
    except OSError:
        raise ModelFileError(f"{name}: no {what} {beside} beside it") from None
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{name}: {beside}: {error}") from None


def read_onnx(data: bytes, name: str) -> cv2.dnn.Net:
    """A network from the bytes of an ONNX file; `name` is for the error."""
    if not data:
        raise ModelFileError(f"{name}: the file is empty")
    return import_network(lambda: cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8)), "ONNX", name)
