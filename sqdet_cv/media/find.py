"""What the arguments of a command line stand for: images, folders, globs, videos, cameras, streams.

>>> for source in find_sources(["images", "clip.mp4", "0"]):  # doctest: +SKIP
...     for frame in source.frames():
...         print(source, frame.index, frame.image_bgr.shape)
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import cv2

from ..errors import SourceError
from ..util.opencv_text import is_unicode
from ..util.stderr import muted_stderr
from .sources import EXPECTED, Source, is_url, without_password

# What a folder or glob picks up. A file that is named outright may have any suffix.
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .png .bmp .dib .webp .tif .tiff .gif .avif .jp2 .ppm .pgm .pbm .pnm".split()
)
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv".split())
TYPESCRIPT = frozenset({".ts", ".mts"})  # also suffixes of its files, which are text


def find_sources(arguments: Iterable[str]) -> list[Source]:
    """The sources that the arguments of a command line stand for: each file once, in the order given, folders sorted.

    Opens nothing. A folder is searched with all its sub-folders; files and folders that begin with a dot are left
    out. Digits are a camera number, "-" an image from standard input; a file called "0" is "./0".

    Raises:
        SourceError: a file is missing or empty, or a folder or glob has no images or videos.

    >>> [source.name for source in find_sources(["images", "0"])]  # doctest: +SKIP
    ['cat.jpg', 'sub/dog.png', 'camera-0']
    """
    sources: dict[str | int, Source] = {}
    for argument in arguments:
        for source in _expand(str(argument)):
            key = source.address if source.is_live else str(Path(str(source.address)).resolve())
            sources.setdefault(key, source)
    return list(sources.values())


def _expand(argument: str) -> list[Source]:
    if not argument:  # a shell variable that is not set; Path would take it for the current folder
        raise SourceError(f"an empty name; expected {EXPECTED}")
    if argument == "-":
        return [Source("-", "stdin", is_still=True)]
    if argument.isascii() and argument.isdigit() and len(argument) < 6:  # a date is the name of a file
        return [Source(int(argument), f"camera-{int(argument)}", is_still=False)]
    if is_url(argument):
        return [Source(argument, _stream_name(argument), is_still=False)]
    path = Path(argument)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return [_file(path, path.name)]
        if path.exists():  # a device such as /dev/video2
            return [Source(str(path), path.name, is_still=False)]
        if glob.has_magic(argument):
            return _in_glob(argument)
    except OSError as error:  # no permission, a name too long
        raise SourceError(f"{argument}: cannot be looked up: {error.strerror}") from None
    raise SourceError(f"{argument}: no such file or folder; expected {EXPECTED}")


def _in_folder(folder: Path) -> list[Source]:
    paths = sorted(path for path in _all_files(folder) if _is_medium(path, folder))
    if not paths:
        raise SourceError(f"{folder}: the folder holds no image or video ({_suffixes()})")
    return [_file(path, path.relative_to(folder).as_posix(), check=False) for path in paths]


def _all_files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Also in sub-folders that are links, unless they lead back to a folder above."""
    above = (*above, folder.resolve())
    for path in folder.iterdir():
        if not path.is_dir():
            yield path
        elif path.resolve() not in above:
            yield from _all_files(path, above)


def _in_glob(pattern: str) -> list[Source]:
    fixed = []  # the part before the first wildcard: results keep their sub-folders below it
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    base = Path(*fixed)
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    paths = [path for path in found if _is_medium(path, base)]
    if not paths:
        raise SourceError(f"{pattern}: the pattern matches no image or video ({_suffixes()})")
    # without "..", by which results would leave their folder
    names = (PurePosixPath(*(part for part in path.relative_to(base).parts if part != "..")) for path in paths)
    return [_file(path, str(name), check=False) for path, name in zip(paths, names)]


def _file(path: Path, name: str, check: bool = True) -> Source:
    # Within a folder an empty file is one damaged image of many, which must not keep the others from being read.
    if check and path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty; expected an image or video")
    suffix = path.suffix.lower()
    if suffix not in (IMAGE_SUFFIXES | VIDEO_SUFFIXES) - TYPESCRIPT and _is_text(path):
        raise SourceError(f"{path}: a text file; expected {EXPECTED}")
    is_still = suffix in IMAGE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and _has_image_header(path))
    return Source(str(path), str(PurePosixPath(name)), is_still)


def _has_image_header(path: Path) -> bool:
    if not is_unicode(str(path)):  # neither can it be opened as a video
        return True
    with muted_stderr():
        return cv2.haveImageReader(str(path))


def _is_text(path: Path) -> bool:
    # FFmpeg would play a .txt or .nfo as a video of its letters.
    with path.open("rb") as file:
        head = file.read(4096)
    return b"\0" not in head and not any(byte < 9 or byte > 126 for byte in head)


def _is_medium(path: Path, folder: Path) -> bool:
    visible = not any(part.startswith(".") and part != ".." for part in path.relative_to(folder).parts)
    suffix = path.suffix.lower()
    if not visible or suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES or not path.is_file():
        return False
    return suffix not in TYPESCRIPT or not path.stat().st_size or not _is_text(path)


def _suffixes() -> str:
    return "looked for .jpg, .png, .webp, .mp4, .avi, .mkv and the like"


def _stream_name(url: str) -> str:
    # The host and path, without user and password, as one file name.
    host_and_path = without_password(url).partition("//")[2].removeprefix("***@").partition("?")[0]
    return "stream-" + (re.sub(r"[^A-Za-z0-9.]+", "-", host_and_path).strip("-.") or "0")
