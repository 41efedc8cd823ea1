"""Where frames come from: an image, a video, a camera or a stream. `find_sources` finds them."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import SourceError
from ..util.log_level import quiet_opencv
from ..util.opencv_errors import error_text
from ..util.opencv_text import is_unicode
from ..util.stderr import muted_stderr
from .live import POLL_SECONDS, LiveReader, Stalled

STREAM_TIMEOUT_MS = 10_000  # OpenCV's own 30 s is long to look at
STALL_SECONDS = 8.0  # less, or OpenCV says first that a stalled stream has ended
MOST_DAMAGED = 100  # unreadable frames in a row, after which a file counts as ended, whatever its header says

DEFAULT_FPS = 25.0  # for a source that does not know its own

EXPECTED = "an image, folder, glob, video file, camera number or stream URL"


@dataclass(frozen=True, eq=False)
class Frame:
    """An image of a source.

    Attributes:
        image_bgr: (H, W, 3) uint8.
        index: position in its source, from 0.
        fps: frames per second; None for a still and where the source does not know it.
        seconds: since the first frame: by the file's time stamps, or by the clock for a camera or stream; a still: 0.
        skipped: frames just before it that were not given: a file's damaged ones; those that a camera or stream sent
            while the frame before was worked on.
        frame_count: frames in the source (1 for a still; what a video's header says); None for a camera or stream.
    """

    image_bgr: np.ndarray
    index: int
    fps: float | None
    frame_count: int | None
    seconds: float = 0.0
    skipped: int = 0


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
        return isinstance(self.address, int) or is_url(self.address) or self.address.startswith("/dev/video")

    def __str__(self) -> str:
        if isinstance(self.address, int):
            return f"camera {self.address}"
        return without_password(self.address) if self.is_live else self.address

    def frames(
        self, reconnect: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Generator[Frame, None, None]:
        """Its frames, to the end. Of a camera or stream always the newest one.

        Args:
            reconnect: seconds after which a camera or stream that ended, stalled or does not open is opened again, for
                ever; None: it is not.
            stop: asked while waiting; True ends the frames.

        Raises:
            SourceError: it cannot be opened, gives no frame at all, or (a camera or stream) stalls.
        """
        if self.is_still:
            yield Frame(read_image(str(self.address)), 0, None, 1)
        elif self.is_live:
            with quiet_opencv():  # which says in its words that a stream stalls
                yield from self._live_frames(reconnect, stop)
        else:
            yield from self._file_frames()

    def _file_frames(self) -> Generator[Frame, None, None]:
        capture = self._open()
        try:
            fps, frame_count = self._timing(capture)
            index = damaged = 0
            while damaged < MOST_DAMAGED:
                with muted_stderr():  # FFmpeg's words about a damaged frame
                    ok, image_bgr = capture.read()
                if ok:
                    milliseconds = capture.get(cv2.CAP_PROP_POS_MSEC)
                    known = math.isfinite(milliseconds) and milliseconds >= 0
                    seconds = milliseconds / 1000 if known else (index + damaged) / (fps or DEFAULT_FPS)
                    index += damaged
                    yield Frame(_to_bgr(image_bgr), index, fps, frame_count, seconds, damaged)
                    index, damaged = index + 1, 0
                elif index + damaged >= (frame_count or 0):
                    break
                else:  # perhaps one frame of many; what follows may be read
                    damaged += 1
            if index == 0:
                raise SourceError(f"{self}: opened, but not one frame could be read from it")
        finally:
            capture.release()

    def _live_frames(self, reconnect: float | None, stop: Callable[[], bool]) -> Generator[Frame, None, None]:
        index, start = 0, None
        while True:
            failure = None
            try:
                for image_bgr, fps, skipped in self._connection(stop):
                    index += skipped
                    now = time.monotonic()
                    start = now if start is None else start
                    yield Frame(_to_bgr(image_bgr), index, fps, None, now - start, skipped)
                    index += 1
            except SourceError as error:
                failure = error
            if stop():
                return
            if reconnect is None:
                if failure:
                    raise failure
                return
            end = time.monotonic() + reconnect
            while time.monotonic() < end:
                if stop():
                    return
                time.sleep(min(POLL_SECONDS, reconnect))

    def _connection(self, stop: Callable[[], bool]) -> Generator[tuple[np.ndarray, float | None, int], None, None]:
        """Frames, frame rates and numbers of frames passed over, until the camera or stream ends."""
        capture = self._open()
        fps, _ = self._timing(capture)
        reader, is_first = LiveReader(capture), True
        try:
            while taken := reader.take(STALL_SECONDS, stop):
                image_bgr, skipped = taken
                yield image_bgr, fps, skipped
                is_first = False
            if is_first and not stop():
                raise SourceError(f"{self}: opened, but not one frame could be read from it")
        except Stalled:
            raise SourceError(f"{self}: stalled: no frame for {STALL_SECONDS:g} s") from None
        finally:
            reader.close()

    def _open(self) -> cv2.VideoCapture:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
        is_stream = self.is_live and isinstance(self.address, str)
        if not is_unicode(str(self.address)):
            raise SourceError(f"{self}: a name that is not UTF-8; expected one that is, as OpenCV opens no other video")
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


def read_image(path: str | Path) -> np.ndarray:
    """An image file, or standard input for "-", as (H, W, 3) uint8 BGR, turned upright as its EXIF says; grey, 16 bit
    and alpha are converted.

    Raises:
        SourceError: the file is missing, empty or damaged, or this OpenCV cannot decode it; names the file.

    >>> read_image("cat.jpg").shape  # doctest: +SKIP
    (480, 640, 3)
    """
    if str(path) == "-":
        return decode_image(sys.stdin.buffer.read(), "standard input")
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


def without_password(url: str) -> str:
    """A stream's URL for messages and logs: no user, password or token, wherever they stand.

    >>> without_password("rtsp://me:p@ss/w@10.0.0.5/live?token=1&n=2")
    'rtsp://***@10.0.0.5/live?token=***&n=2'
    """
    address, mark, query = url.partition("?")
    address = re.sub(r"//.*@", "//***@", address)  # to the last @: a password may have one, and a slash
    secret = r"((?:^|&)[^=&]*(?:pass|pwd|user|login|token|key|secret|auth|sig)[^=&]*=)[^&]*"
    return address + mark + re.sub(secret, r"\1***", query, flags=re.IGNORECASE)


def is_url(address: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


def _to_bgr(image: np.ndarray) -> np.ndarray:
    # Some cameras (infrared, depth) deliver one channel or 16 bits, whatever is asked of them.
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 or image.shape[2] == 1 else image
