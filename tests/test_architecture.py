"""The table of docs/architecture.md is true: every room is in it, says what it holds, and imports only what it may."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOPS = ("sqdet_cv", "train", "export", "benchmarks", "samples")
ROW = re.compile(r"^\| `([\w/.]+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def read_table(page: str) -> dict[str, tuple[str, list[str]]]:
    """{room: (what is in it, rooms it may import)}; a room is a folder, or a file that stands beside the folders."""
    return {room: (sentence, re.findall(r"`([\w/.]+)`", allowed)) for room, sentence, allowed in ROW.findall(page)}


TABLE = read_table((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
FILES = sorted(path.relative_to(ROOT) for top in TOPS for path in (ROOT / top).rglob("*.py"))


def contains(room: str, path: str) -> bool:
    return path == room or path.startswith(f"{room.removesuffix('.py')}/")


def room_of(path: str, rooms: list[str]) -> str:
    """The innermost room that a file or folder lies in."""
    return max((room for room in rooms if contains(room, path)), key=len, default="")


def imported(path: Path) -> set[str]:
    """The files of this project that a file imports; `import train` imports "train/__init__.py"."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = list(path.parts[: len(path.parts) - node.level]) if node.level else []
            base = package + (node.module.split(".") if node.module else [])
            modules = [[*base, alias.name] for alias in node.names]
        else:
            continue
        found |= {file for parts in modules if parts[0] in TOPS for file in [_resolved(parts)] if file}
    return found


def _resolved(parts: list[str]) -> str:
    """The file that defines a dotted name; "" where it is none of ours."""
    for end in range(len(parts), 0, -1):
        place = Path(*parts[:end])
        if (ROOT / place).with_suffix(".py").is_file():
            return f"{place}.py"
        if (ROOT / place).is_dir():
            return f"{place}/__init__.py"
    return ""


def forbidden(path: Path) -> list[str]:
    room = room_of(str(path), list(TABLE))
    allowed = [room, *TABLE[room][1]]
    return sorted(target for target in imported(path) if not any(contains(one, target) for one in allowed))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_what_its_room_may(path: Path):
    assert room_of(str(path), list(TABLE)), f"{path}: its folder has no row in docs/architecture.md"
    assert forbidden(path) == []


def test_every_folder_has_a_row():
    folders = {str(path.parent) for path in FILES if path.parts[0] != "samples"}
    assert sorted(folders - TABLE.keys()) == []


@pytest.mark.parametrize("room", [room for room in TABLE if not room.endswith(".py") and room != "samples"])
def test_a_room_says_what_the_page_says(room: str):
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring and docstring.splitlines()[0].rstrip(".") == TABLE[room][0].rstrip(".")


def test_every_row_is_of_something_that_exists():
    named = {name for room, (_, allowed) in TABLE.items() for name in (room, *allowed)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_runtime_needs_numpy_and_cv2_only():
    outside: set[str] = set()
    for path in FILES:
        if path.parts[0] == "sqdet_cv":
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    outside |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    outside.add(node.module.split(".")[0])
    assert outside - sys.stdlib_module_names - {"sqdet_cv"} == {"numpy", "cv2"}


def test_a_forbidden_import_is_found(monkeypatch: pytest.MonkeyPatch):
    path = Path("train/engine/trainer.py")
    assert any(target.startswith("train/common") for target in imported(path))
    monkeypatch.setitem(TABLE, "train/engine", ("", []))
    assert "train/common/errors.py" in forbidden(path)
