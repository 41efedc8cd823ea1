from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from sqdet_cv.files import atomic_path, write_bytes_atomically, write_text_atomically


@pytest.fixture(params=[None, b"old"], ids=["new file", "old file"])
def target(request, tmp_path):
    path = tmp_path / "model.npz"
    if request.param is not None:
        path.write_bytes(request.param)
    return path, request.param


def test_a_block_that_ends_well_replaces_the_file(target):
    path, _ = target
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        np.savez(temporary, a=np.arange(3))  # np.savez would append .npz to a name without it
    assert np.load(path)["a"].tolist() == [0, 1, 2]
    assert os.listdir(path.parent) == ["model.npz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_all_as_it_was(target, error: type[BaseException]):
    path, old = target
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert os.listdir(path.parent) == ([] if old is None else ["model.npz"])
    assert old is None or path.read_bytes() == old


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask: int, mode: int):
    before = os.umask(umask)
    try:
        write_bytes_atomically(tmp_path / "a", b"x")
        assert os.umask(umask) == umask  # the writer put it back
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_folders_are_made_and_text_is_utf8(tmp_path):
    write_text_atomically(tmp_path / "a" / "b" / "c.txt", "grün\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grün\n".encode()
