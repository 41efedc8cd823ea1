"""Where frames come from: an image, a folder, a glob, a video, a camera or a stream.

>>> for source in find_sources(["images", "clip.mp4", "0"]):  # doctest: +SKIP
...     for frame in source.frames():
...         print(source, frame.index, frame.image_bgr.shape)
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import cv2
import numpy as np

from ..errors import SourceError
from ..util.opencv_errors import error_text
from ..util.stderr import muted_stderr

# What a folder or glob picks up. A file that is named outright may have any suffix.
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .png .bmp .dib .webp .tif .tiff .gif .avif .jp2 .ppm .pgm .pbm .pnm".split()
)
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv".split())

STREAM_TIMEOUT_MS = 10_000  # OpenCV's own 30 s is long to look at, and Ctrl-C waits for it

EXPECTED = "an image, folder, glob, video file, camera number or stream URL"


@dataclass(frozen=True, eq=False)
class Frame:
    """An image of a source.

    Attributes:
        image_bgr: (H, W, 3) uint8.
        index: position in its source, from 0.
        fps: frames per second; None for a still and where the source does not know it.
        frame_count: frames in the source (1 for a still; what a video's header says); None for a camera or stream.
    """

    image_bgr: np.ndarray
    index: int
    fps: float | None
    frame_count: int | None


@dataclass(frozen=True)
class Source:
    """An image, video file, camera or stream.

    Attributes:
        address: path, camera number or URL, as OpenCV wants it.
        name: relative path with "/", for files about it: "sub/cat.jpg", "camera-0", "stream-192.168.0.7".
        is_still: True for an image, False for a video file, a camera or a stream.
    """

    address: str | int
    name: str
    is_still: bool

    @property
    def is_live(self) -> bool:
        """True for a camera or stream, which may have no end."""
        return isinstance(self.address, int) or _is_url(self.address)

    def __str__(self) -> str:
        if isinstance(self.address, int):
            return f"camera {self.address}"
        return re.sub(r"//[^/@]*@", "//***@", self.address) if self.is_live else self.address  # no password in logs

    def frames(self) -> Generator[Frame, None, None]:
        """Its frames, to the end.

        Raises:
            SourceError: it cannot be opened, or gives no frame at all.
        """
        if self.is_still:
            yield Frame(read_image(str(self.address)), 0, None, 1)
            return
        capture = self._open()
        try:
            fps, frame_count = self._timing(capture)
            index = 0
            while True:
                ok, image_bgr = capture.read()
                if not ok:
                    break
                yield Frame(_to_bgr(image_bgr), index, fps, frame_count)
                index += 1
            if index == 0:
                raise SourceError(f"{self}: opened, but not one frame could be read from it")
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
        is_stream = self.is_live and isinstance(self.address, str)
        with muted_stderr():
            # Only stream backends take the timeouts; a camera would be refused for them.
            capture = cv2.VideoCapture(self.address, cv2.CAP_ANY, timeouts if is_stream else [])
        if capture.isOpened():
            return capture
        if is_stream:
            raise SourceError(f"{self}: the stream does not open; expected a URL that answers with video")
        if self.is_live:
            raise SourceError(f"{self} does not open; expected a connected camera that no other program is using")
        raise SourceError(f"{self}: not an image or video that this OpenCV can read; expected {EXPECTED}")

    def _timing(self, capture: cv2.VideoCapture) -> tuple[float | None, int | None]:
        """Frame rate and number of frames, each None where OpenCV's answer is of no use."""
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        known_fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else None
        known_count = int(count) if not self.is_live and math.isfinite(count) and count > 0 else None
        return known_fps, known_count


def find_sources(arguments: Iterable[str]) -> list[Source]:
    """The sources that the arguments of a command line stand for: each file once, in the order given, folders sorted.

    Opens nothing. A folder is searched with all its sub-folders; files and folders that begin with a dot are left
    out. Digits are a camera number; a file called "0" is "./0".

    Raises:
        SourceError: a file is missing or empty, or a folder or glob has no images or videos.

    >>> [source.name for source in find_sources(["images", "0"])]  # doctest: +SKIP
    ['cat.jpg', 'sub/dog.png', 'camera-0']
    """
    sources: dict[str | int, Source] = {}
    for argument in arguments:
        for source in _expand(str(argument)):
            sources.setdefault(source.address, source)
    return list(sources.values())


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 BGR, turned upright as its EXIF says; grey, 16 bit and alpha are converted.

    Raises:
        SourceError: the file is missing, empty or damaged, or this OpenCV cannot decode it; names the file.

    >>> read_image("cat.jpg").shape  # doctest: +SKIP
    (480, 640, 3)
    """
    try:
        data = Path(path).read_bytes()  # cv2.imread cannot open every path on Windows
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> np.ndarray:
    """As `read_image`, from the bytes of an image file; `name` is for the error.

    Raises:
        SourceError: there are none, they are damaged, or this OpenCV cannot decode them.
    """
    if not data:
        raise SourceError(f"{name}: empty; expected an image")
    try:
        with muted_stderr():
            image_bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # a header that asks for more pixels than OpenCV allows, or a codec not built in
        raise SourceError(f"{name}: OpenCV refuses to decode it: {error_text(error)}") from None
    if image_bgr is None:
        raise SourceError(f"{name}: damaged, or not an image that this OpenCV can decode")
    return image_bgr


def _expand(argument: str) -> list[Source]:
    if not argument:  # a shell variable that is not set; Path would take it for the current folder
        raise SourceError(f"an empty name; expected {EXPECTED}")
    if argument.isascii() and argument.isdigit():
        return [Source(int(argument), f"camera-{int(argument)}", is_still=False)]
    if _is_url(argument):
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
    paths = sorted(path for path in folder.rglob("*") if _is_medium(path.relative_to(folder)) and path.is_file())
    if not paths:
        raise SourceError(f"{folder}: the folder holds no image or video ({_suffixes()})")
    return [_file(path, path.relative_to(folder).as_posix(), check=False) for path in paths]


def _in_glob(pattern: str) -> list[Source]:
    fixed = []  # the part before the first wildcard: results keep their sub-folders below it
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    base = Path(*fixed)
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    paths = [path for path in found if _is_medium(path.relative_to(base)) and path.is_file()]
    if not paths:
        raise SourceError(f"{pattern}: the pattern matches no image or video ({_suffixes()})")
    return [_file(path, path.relative_to(base).as_posix(), check=False) for path in paths]


def _file(path: Path, name: str, check: bool = True) -> Source:
    # Within a folder an empty file is one damaged image of many, which must not keep the others from being read.
    if check and path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty; expected an image or video")
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES and _is_text(path):
        raise SourceError(f"{path}: a text file; expected {EXPECTED}")
    is_still = suffix in IMAGE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and _has_image_header(path))
    return Source(str(path), str(PurePosixPath(name)), is_still)


def _has_image_header(path: Path) -> bool:
    with muted_stderr():
        return cv2.haveImageReader(str(path))


def _is_text(path: Path) -> bool:
    # FFmpeg would play a .txt or .nfo as a video of its letters.
    with path.open("rb") as file:
        head = file.read(4096)
    return b"\0" not in head and not any(byte < 9 or byte > 126 for byte in head)


def _is_medium(relative: Path) -> bool:
    visible = not any(part.startswith(".") and part != ".." for part in relative.parts)
    return visible and relative.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES


def _suffixes() -> str:
    return "looked for .jpg, .png, .webp, .mp4, .avi, .mkv and the like"


def _is_url(address: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


def _stream_name(url: str) -> str:
    # The host and path, without user and password, as one file name.
    parts = urlsplit(url)
    host_and_path = parts.netloc.rpartition("@")[2] + parts.path
    return "stream-" + (re.sub(r"[^A-Za-z0-9.]+", "-", host_and_path).strip("-.") or "0")


def _to_bgr(image: np.ndarray) -> np.ndarray:
    # Some cameras (infrared, depth) deliver one channel or 16 bits, whatever is asked of them.
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 or image.shape[2] == 1 else image
