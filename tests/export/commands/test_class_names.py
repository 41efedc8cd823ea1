from __future__ import annotations

from pathlib import Path

import pytest

from export.commands.class_names import read_class_names
from export.errors import ExportError

LISTS = {
    "plain": ("cat\ndog\n", ("cat", "dog")),
    "with spaces": ("  great white shark \n\ncrane\n", ("great white shark", "crane")),
    "WordNet ids": ("n01440764 tench\nn01443537\tgoldfish, a carp", ("tench", "goldfish, a carp")),
    "an id that is a name": ("n01440764 tench\ngoldfish\n", ("n01440764 tench", "goldfish")),
    "a name twice": ("crane\ncrane\n", ("crane", "crane")),
    "Windows": ("caf\u00e9\r\ndog\r\n", ("caf\u00e9", "dog")),
}


@pytest.mark.parametrize(("text", "names"), LISTS.values(), ids=LISTS)
def test_names_a_line(tmp_path: Path, text: str, names: tuple[str, ...]):
    (tmp_path / "names.txt").write_bytes(text.encode())
    assert read_class_names(tmp_path / "names.txt", 2) == names


BAD = {
    "missing": (None, "cannot read the class names: No such file"),
    "too few": (b"cat\n", "1 class names; the weights are for 2 classes"),
    "not text": (b"\xff\xfe\x00", "not a text file"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_errors_name_the_file(tmp_path: Path, content: bytes | None, message: str):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=message) as caught:
        read_class_names(path, 2)
    assert str(caught.value).startswith(f"{path}: ")
