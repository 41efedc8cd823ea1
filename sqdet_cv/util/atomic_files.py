"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path to write to; its file takes the place of `path` if the block ends well.

    The temporary lies beside `path` and keeps the suffix, since cv2 and numpy choose a format by it. If `path` is a
    symbolic link, the file that it points to is replaced. A replaced file keeps its mode, a new one follows the umask.
    A pipe or a device such as /dev/stdout is written to.

    Raises:
        OSError: `path` is a folder (known before the block is entered) or cannot be written; names `path`, not the
            temporary.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with _about(path):
        stream = _is_stream(path)
        target = path if stream else Path(os.path.realpath(path))
        if not stream:
            target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_file(Path(tempfile.gettempdir()) if stream else target.parent, path.suffix)
    try:
        yield temporary
        with _about(path):
            if stream:
                with temporary.open("rb") as source, path.open("ab") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _new_file(folder: Path, suffix: str) -> Path:
    """An empty file whose name is short, however long that of the file is which it will replace."""
    while True:
        path = folder / f".sqdet-{secrets.token_hex(4)}{suffix}"
        try:
            # not mkstemp, which makes it private: here the system applies the umask, which only setting it would tell
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        except FileExistsError:
            continue
        return path


def _is_stream(path: Path) -> bool:
    """Pipes and devices; also /dev/stdout and /dev/fd/N when a file stands behind them: others write to it too."""
    is_descriptor = os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return path.exists() and (is_descriptor or not path.is_file())


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """An OSError in the block names `path`."""
    try:
        yield
    except BrokenPipeError:
        raise  # nothing is wrong with the path; the command line ends quietly
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Writes the whole file or nothing; errors as `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_all_atomically(contents: Mapping[Path, bytes]) -> None:
    """Writes several files that belong together: all are made before the first takes its place; errors as
    `atomic_path`."""
    with ExitStack() as stack:
        temporaries = [stack.enter_context(atomic_path(path)) for path in contents]
        for path, temporary, data in zip(contents, temporaries, contents.values()):
            with _about(path):
                temporary.write_bytes(data)


def write_text_atomically(path: str | Path, text: str) -> None:
    """As `write_bytes_atomically`, in UTF-8."""
    write_bytes_atomically(path, text.encode("utf-8"))
