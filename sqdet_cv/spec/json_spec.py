"""A spec as a JSON file: the fields of its dataclass, and a key that says which kind and version of spec it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..errors import SpecError
from ..util.atomic_files import write_text_atomically

Spec = TypeVar("Spec", bound="JsonSpec")


class JsonSpec:
    """Base of the frozen dataclasses that are saved beside a model.

    Attributes:
        KIND: what the errors call it, "model spec".
        VERSION_KEY, VERSIONS: the JSON key that tells this kind from the others, and its values that can be read.
    """

    KIND: ClassVar[str]
    VERSION_KEY: ClassVar[str]
    VERSIONS: ClassVar[tuple[int, ...]]

    def to_json(self) -> str:
        """The spec as JSON text; `from_json` gives an equal spec back."""
        # Letters as they are: cv::FileStorage, by which a C++ program reads the file, knows no \uXXXX.
        return json.dumps({self.VERSION_KEY: self.version} | self._to_values(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls: type[Spec], text: str) -> Spec:
        """Reads what `to_json` wrote. Raises SpecError if the text is not a spec of this kind."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
            raise SpecError(f"the {cls.KIND} is not JSON: {error}") from None
        if not isinstance(values, dict) or cls.VERSION_KEY not in values:
            raise SpecError(f"the JSON is not a {cls.KIND}: it has no key {cls.VERSION_KEY!r}")
        version = values.pop(cls.VERSION_KEY)
        if version not in cls.VERSIONS:
            known = " and ".join(map(str, cls.VERSIONS))
            raise SpecError(f"{cls.KIND} version {version!r}; this sqdet_cv reads version {known}")
        keys = cls._keys(version)
        if unknown := sorted(values.keys() - keys.keys()):
            raise SpecError(f"unknown keys in the {cls.KIND}: {', '.join(unknown)}")
        if missing := sorted({name for name, required in keys.items() if required} - values.keys()):
            raise SpecError(f"keys missing from the {cls.KIND}: {', '.join(missing)}")
        return cls._from_values(values, version)

    def save(self, path: str | Path) -> None:
        """Writes the JSON file at once or not at all."""
        write_text_atomically(path, self.to_json())

    @classmethod
    def load(cls: type[Spec], path: str | Path) -> Spec:
        """Reads a JSON file. Raises SpecError that names the file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(f"{path}: cannot read the {cls.KIND}: {error.strerror}") from None
        except (SpecError, UnicodeDecodeError) as error:
            raise SpecError(f"{path}: {error}") from None

    @property
    def version(self) -> int:
        """Of the file that `to_json` writes."""
        return self.VERSIONS[-1]

    @classmethod
    def _keys(cls, version: int) -> dict[str, bool]:
        """The keys of a file of that version, and whether each must be there."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # all subclasses are dataclasses
        return {field.name: field.default is dataclasses.MISSING for field in fields}

    def _to_values(self) -> dict[str, Any]:
        """The fields as JSON can hold them; a spec with others overrides this and `_from_values`."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]  # as above

    @classmethod
    def _from_values(cls: type[Spec], values: dict[str, Any], version: int) -> Spec:
        return cls(**values)
