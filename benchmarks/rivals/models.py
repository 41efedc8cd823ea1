"""Which models `benchmarks.rivals` compares: their files, and how many parameters and bytes they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqdet_cv.dnn import packed
from sqdet_cv.dnn.model_file import embedded_file, read_model_file
from sqdet_cv.dnn.outline import onnx_outline
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import atomic_path
from train.common.errors import TrainError

EMBEDDED_NAME = "sqdet (embedded)"


@dataclass(frozen=True)
class Model:
    """A detector on disk; `files` are all it consists of, the one to open first."""

    name: str
    ours: bool
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def digest(self) -> str:
        """The same for the same files under any name."""
        contents = hashlib.sha256()
        for path in self.files:
            contents.update(hashlib.sha256(path.read_bytes()).digest())
        return contents.hexdigest()[:16]

    @property
    def parameters(self) -> int:
        """As stored. A Darknet file holds mean and variance of each BatchNorm, ours are folded into the weights."""
        path = self.files[0]
        if path.suffix == ".cfg":
            return darknet_parameters(self.files[1].read_bytes(), str(self.files[1]))
        return onnx_outline(read_model_file(path).data).parameters


def darknet_parameters(weights: bytes, name: str) -> int:
    """The float32 numbers behind the header: version (3 int32), then the images seen, int64 from version 0.2 on."""
    header = 12
    if len(weights) >= header:
        major, minor, _ = np.frombuffer(weights, "<i4", 3).tolist()
        header += 8 if 10 * major + minor >= 2 else 4
    if len(weights) <= header or (len(weights) - header) % 4:
        raise TrainError(f"{name}: {len(weights)} bytes are no Darknet weights: a header and float32 numbers")
    return (len(weights) - header) // 4


def find_rivals(folder: Path) -> list[Model]:
    """A model for every NAME.cfg with NAME.weights in the folder, sorted by name."""
    if not folder.is_dir():
        raise TrainError(f"--rivals {folder}: no such folder")
    models = [Model(cfg.stem, False, (cfg, cfg.with_suffix(".weights"))) for cfg in sorted(folder.glob("*.cfg"))]
    if not models:
        raise TrainError(f"--rivals {folder}: no .cfg in it; expected Darknet detectors, NAME.cfg with NAME.weights")
    return models


def find_ours(arguments: Sequence[str], out: Path) -> list[Model]:
    """The embedded model and those named as PATH or NAME=PATH; a checkpoint is exported to OUT/NAME.onnx."""
    models = [_our_model(EMBEDDED_NAME, Path(str(embedded_file(ModelSpec))), out)]
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or Path(argument).exists():  # a path may hold one too
            name, path = Path(argument).stem, argument
        models.append(_our_model(name, Path(path), out))
    return models


def _our_model(name: str, path: Path, out: Path) -> Model:
    if path.suffix not in (".pt", ".onnx", packed.SUFFIX):
        raise TrainError(f"--ours {path}: expected a checkpoint (.pt), an .onnx or a {packed.SUFFIX} file")
    if path.suffix == ".pt":
        path = _export(path, out / f"{name}.onnx")
    files = (path,) if path.suffix == packed.SUFFIX else (path, path.with_suffix(".json"))
    return Model(name, True, files)


def _export(checkpoint: Path, out: Path) -> Path:
    """As `python -m export onnx` writes it, without its check."""
    # imported here: timing must run where there is neither torch nor onnx
    import onnx

    from export.graph.trace import trace
    from export.onnx.model import INPUT, detector_model
    from train.checkpoints.native import net_from_checkpoint

    net, spec = net_from_checkpoint(checkpoint)
    with atomic_path(out) as temporary:
        onnx.save(detector_model(trace(net, INPUT), spec, "convdet"), temporary)
    spec.save(out.with_suffix(".json"))
    return out


def check_models(models: Sequence[Model]) -> None:
    """Raises TrainError where a file is missing or two models have one name."""
    for path in (path for model in models for path in model.files):
        if not path.is_file():
            raise TrainError(
                f"{path}: no such file; a model is NAME.cfg with NAME.weights, or NAME.onnx with NAME.json"
            )
    for name, count in Counter(model.name for model in models).items():
        if count > 1:
            raise TrainError(f"{count} models are called {name!r}; give them names: --ours NAME=PATH")
