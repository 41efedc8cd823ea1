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
        VERSION_KEY, VERSION: the JSON key that tells this kind from the others, and its value.
    """

    KIND: ClassVar[str]
    VERSION_KEY: ClassVar[str]
    VERSION: ClassVar[int]

    def to_json(self) -> str:
        """The spec as JSON text; `from_json` gives an equal spec back."""
        return json.dumps({self.VERSION_KEY: self.VERSION} | self._to_values(), indent=1) + "\n"

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
        if version != cls.VERSION:
            raise SpecError(f"{cls.KIND} version {version!r}; this sqdet_cv reads version {cls.VERSION}")
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # all subclasses are dataclasses
        if unknown := sorted(values.keys() - fields.keys()):
            raise SpecError(f"unknown keys in the {cls.KIND}: {', '.join(unknown)}")
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        if missing := sorted(required - values.keys()):
            raise SpecError(f"keys missing from the {cls.KIND}: {', '.join(missing)}")
        return cls._from_values(values)

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

    def _to_values(self) -> dict[str, Any]:
        """The fields as JSON can hold them; a spec with others overrides this and `_from_values`."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]  # as above

    @classmethod
    def _from_values(cls: type[Spec], values: dict[str, Any]) -> Spec:
        return cls(**values)
