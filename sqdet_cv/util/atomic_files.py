"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path to write to; its file takes the place of `path` if the block ends well.

    The temporary lies beside `path` and keeps the suffix, since cv2 and numpy choose a format by it. If `path` is a
    symbolic link, the file that it points to is replaced. A pipe or a device such as /dev/stdout is written to.

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
        folder = None if stream else target.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with _about(path):
            if stream:
                with temporary.open("rb") as source, path.open("ab") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                umask = os.umask(0)
                os.umask(umask)
                temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
                os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _is_stream(path: Path) -> bool:
    """Pipes and devices; also /dev/stdout and /dev/fd/N when a file stands behind them: others write to it too."""
    is_device_name = os.path.abspath(path).startswith(("/dev/", "/proc/"))
    return path.exists() and (is_device_name or not path.is_file())


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


def write_text_atomically(path: str | Path, text: str) -> None:
    """As `write_bytes_atomically`, in UTF-8."""
    write_bytes_atomically(path, text.encode("utf-8"))
