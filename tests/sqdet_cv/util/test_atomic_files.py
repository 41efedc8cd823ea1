from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sqdet_cv.util.atomic_files import atomic_path, write_all_atomically, write_bytes_atomically, write_text_atomically


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


def test_the_mode_of_a_replaced_file_stays(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    write_bytes_atomically(tmp_path / "a", b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_the_umask_is_not_touched_while_other_threads_make_files(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("other threads' files get this mode meanwhile"))
    write_bytes_atomically(tmp_path / "a", b"x")


def test_a_name_as_long_as_the_system_takes(tmp_path):
    name = "x" * 251 + ".txt"
    write_bytes_atomically(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no /dev/shm")
def test_a_disk_in_memory_is_a_folder_like_any_other():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for text in ("first", "second"):
            write_text_atomically(Path(folder, "a.txt"), text)
        assert Path(folder, "a.txt").read_text() == "second"


def test_folders_are_made_and_text_is_utf8(tmp_path):
    write_text_atomically(tmp_path / "a" / "b" / "c.txt", "grün\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grün\n".encode()


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("old")
    for name, points_to in (("link.txt", "data/a.txt"), ("dangling.txt", "data/new.txt")):
        (tmp_path / name).symlink_to(points_to)
        write_text_atomically(tmp_path / name, "new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / points_to).read_text() == "new"
    assert sorted(os.listdir(tmp_path / "data")) == ["a.txt", "new.txt"]


def test_a_pipe_is_written_to(tmp_path):
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer finds one
    try:
        write_bytes_atomically(path, b"found")
        assert os.read(reader, 100) == b"found"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe.json"]


def test_a_device_name_of_a_file_is_written_to(tmp_path):
    """As `sqdet detect ... --json /dev/stdout > out.txt`: what others wrote there stays."""
    with (tmp_path / "out.txt").open("w") as file:
        file.write("first ")
        file.flush()
        write_text_atomically(f"/dev/fd/{file.fileno()}", "second")
    assert (tmp_path / "out.txt").read_text() == "first second"


def test_a_full_device_stays_and_is_named():
    with pytest.raises(OSError, match="/dev/full") as caught:
        write_bytes_atomically("/dev/full", b"x")
    assert caught.value.errno == errno.ENOSPC
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_folder_is_refused_before_the_work(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, atomic_path(tmp_path):
        pytest.fail("the block was entered")
    assert caught.value.filename == str(tmp_path)


def test_an_error_names_the_file_and_not_its_temporary(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        write_bytes_atomically(tmp_path / "file" / "a.txt", b"x")
    assert caught.value.filename == str(tmp_path / "file" / "a.txt")


@pytest.mark.parametrize("bad", ["a", "b", "c"])
def test_files_that_belong_together_are_all_replaced_or_none(tmp_path, bad: str):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"old")
    write_all_atomically(dict.fromkeys(paths, b"new"))
    assert [path.read_bytes() for path in paths] == [b"new"] * 3
    (tmp_path / bad).unlink()
    (tmp_path / bad).mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_all_atomically(dict.fromkeys(paths, b"newer"))
    assert caught.value.filename == str(tmp_path / bad)
    assert {path.read_bytes() for path in paths if path.is_file()} == {b"new"}
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
