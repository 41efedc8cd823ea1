"""A model on disk: an ONNX file with its spec inside or beside it, a packed one, a Caffe one, or the package's own."""

from __future__ import annotations

import dataclasses
import os
import zlib
from dataclasses import dataclass
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
from .onnx_spec import read_spec, with_spec

if TYPE_CHECKING:
    from importlib.abc import Traversable

CAFFE_SUFFIX = ".caffemodel"

# In the package, by kind of model.
EMBEDDED = {ModelSpec: "sqdet_voc.sqdet", ClassifierSpec: "squeezenet_imagenet.sqdet"}


def embedded_file(spec_type: type[Spec]) -> Traversable:
    """The model file of that kind in the package."""
    return resources.files("sqdet_cv") / "models" / EMBEDDED[spec_type]


@dataclass(frozen=True)
class ModelFile:
    """A model file as it was read; no network is made of it yet.

    Attributes:
        file: where it lies.
        name: what the errors call it.
        data: the ONNX file, unpacked if it was packed, or the .caffemodel.
        specs: the JSON texts of its spec, by where they stand: beside it, in the packed file, inside the ONNX file.
    """

    file: Path | Traversable
    name: str
    data: bytes
    specs: dict[str, str]

    @property
    def is_caffe(self) -> bool:
        """True for a .caffemodel, False for ONNX."""
        return self.file.name.lower().endswith(CAFFE_SUFFIX)

    @property
    def spec_type(self) -> type[ModelSpec] | type[ClassifierSpec] | None:
        """The kind of its spec; None where it has none."""
        for text in self.specs.values():
            return ClassifierSpec if f'"{ClassifierSpec.VERSION_KEY}"' in text else ModelSpec
        return None

    def spec(self, spec_type: type[Spec]) -> Spec:
        """The spec. Raises ModelFileError: there is none, one is not of this kind, or two contradict each other."""
        if not self.specs:
            if self.file.name.lower().endswith(packed.SUFFIX):
                what = "packed without a model spec, so that only `sqdet unpack` can use it"
            else:
                what = f"no model spec {_stem(self.file)}.json beside it" + ("" if self.is_caffe else ", nor inside it")
            raise ModelFileError(f"{self.name}: {what}")
        found = {}
        for where, text in self.specs.items():
            try:
                found[where] = spec_type.from_json(text)
            except SpecError as error:
                raise ModelFileError(f"{self.name}: {where}: {error}") from None
        (first, spec), *others = found.items()
        for other, other_spec in others:
            if names := _differences(spec, other_spec):
                raise ModelFileError(
                    f"{self.name}: {first} is of another model: it differs from {other} in {', '.join(names)}"
                )
        return spec

    def network(self) -> cv2.dnn.Net:
        """The network.

        Raises:
            ModelFileError: OpenCV cannot read it, its weights are not finite, or a .caffemodel has no .prototxt.
        """
        if self.is_caffe:
            prototxt = f"{_stem(self.file)}.prototxt"
            text = _read_beside(self.file, prototxt, self.name)
            if text is None:
                raise ModelFileError(f"{self.name}: no prototxt {prototxt} beside it")
            net = read_caffe(text.encode(), self.data, self.name)
            require_finite_layers(net, self.name)
            return net
        require_finite_onnx(self.data, self.name)
        return read_onnx(self.data, self.name)


def read_model_file(path: str | Path | None, spec_type: type[Any] = ModelSpec) -> ModelFile:
    """Reads a file as `load_model` does, of any kind, with a spec or without; None: the embedded one.

    Raises:
        ModelFileError: it is missing, damaged, or neither ONNX, packed nor Caffe by its name.
    """
    file = embedded_file(spec_type) if path is None else Path(path)
    name = f"embedded {file.name}" if path is None else str(path)
    if not file.is_file():
        what = "a folder, not a model file" if file.is_dir() else "no such model file"
        raise ModelFileError(f"{name}: {what}")
    suffix = os.path.splitext(file.name)[1].lower()  # Windows shows and copies names in capitals
    if suffix not in (".onnx", packed.SUFFIX, CAFFE_SUFFIX):
        raise ModelFileError(
            f"{name}: expected an .onnx or .caffemodel file as `python -m export` writes it, or a {packed.SUFFIX} file"
        )
    data = file.read_bytes()
    specs: dict[str, str | None]
    if suffix == packed.SUFFIX:
        data, spec_json = packed.unpack(data, name)
        specs = {"its spec": spec_json}
    else:
        beside = f"{_stem(file)}.json"
        specs = {beside: _read_beside(file, beside, name)}
    if suffix == ".onnx":
        try:
            specs[f"the spec inside {file.name}"] = read_spec(data)
        except ModelFileError as error:
            raise ModelFileError(f"{name}: not an ONNX file, or a damaged one: {error}") from None
    return ModelFile(file, name, data, {where: text for where, text in specs.items() if text is not None})


@overload
def load_model(path: str | Path | None = None) -> tuple[cv2.dnn.Net, ModelSpec]: ...


@overload
def load_model(path: str | Path | None, spec_type: type[Spec]) -> tuple[cv2.dnn.Net, Spec]: ...


def load_model(path: str | Path | None = None, spec_type: type[Any] = ModelSpec) -> tuple[cv2.dnn.Net, Any]:
    """The network and spec of `NAME.onnx`, which holds both (a file of before 0.2 needs `NAME.json` beside it), of a
    packed `NAME.sqdet`, or of `NAME.caffemodel` with `NAME.prototxt` and `NAME.json` (OpenCV 4); None: the embedded
    model of the kind that `spec_type` describes.

    Raises:
        ModelFileError: a file is missing, not what it should be, or holds weights that are not finite; or `NAME.json`
            is another model's. It names the file.
    """
    if path is not None and Path(path).suffix.lower() == CAFFE_SUFFIX:
        require_caffe_importer(str(path))
    model = read_model_file(path, spec_type)
    spec = model.spec(spec_type)
    return model.network(), spec


def fingerprint(path: Path | None, spec: Spec) -> tuple[Spec, int]:
    """What a pickle knows a model by: the spec, and the CRC-32 of the model file; None: the embedded one."""
    file = embedded_file(type(spec)) if path is None else path
    return spec, zlib.crc32(file.read_bytes())


def require_same(name: str, found: tuple[Spec, int], pickled: tuple[Spec, int]) -> None:
    """Raises ModelFileError unless the model is the one that was pickled, by its `fingerprint`."""
    if found != pickled:
        raise ModelFileError(f"{name}: another model lies there now; expected the one that was pickled")


def unpack_file(path: str | Path, onnx_path: str | Path) -> Path | None:
    """Writes the ONNX model in a packed `.sqdet` file, and its spec, inside it and beside it.

    What `python -m export` wrote and packed comes back bit for bit; an older file, without its spec inside, gets it.

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
    if spec_json is not None:
        try:
            onnx = with_spec(onnx, spec_json)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: not an ONNX file in it: {error}") from None
    spec_path = onnx_path.with_suffix(".json")
    spec = {} if spec_json is None else {spec_path: spec_json.encode("utf-8")}
    write_all_atomically({onnx_path: onnx} | spec)
    return spec_path if spec else None


def _read_beside(file: Path | Traversable, beside: str, name: str) -> str | None:
    """The text of a file beside the model; None where there is none that can be opened."""
    try:
        return Path(str(file)).with_name(beside).read_text(encoding="utf-8")
    except OSError:
        return None
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{name}: {beside}: {error}") from None


def _stem(file: Path | Traversable) -> str:
    return os.path.splitext(file.name)[0]


def _differences(one: Any, other: Any) -> list[str]:
    """The fields in which two specs differ."""
    fields = dataclasses.fields(one)
    return [field.name for field in fields if getattr(one, field.name) != getattr(other, field.name)]


def read_onnx(data: bytes, name: str) -> cv2.dnn.Net:
    """A network from the bytes of an ONNX file; `name` is for the error."""
    if not data:
        raise ModelFileError(f"{name}: the file is empty")
    return import_network(lambda: cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8)), "ONNX", name)
