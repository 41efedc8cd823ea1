"""A window to show images in."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np

from ..errors import SqdetError

QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc

# Run in a process of its own: with no display to reach, Qt aborts the process that asks.
_PROBE = "import cv2; cv2.namedWindow('sqdet'); cv2.destroyAllWindows()"


class Window:
    """A resizable window.

    Raises:
        SqdetError: there is no display, or this OpenCV was built without windows.

    >>> window = Window("found")           # doctest: +SKIP
    >>> window.show(image_bgr)             # doctest: +SKIP
    >>> while window.poll(50) not in QUIT_KEYS:  # doctest: +SKIP
    ...     pass
    """

    def __init__(self, title: str) -> None:
        require_display()
        self.title = title
        try:
            # GUI_NORMAL: without Qt's tool bar, whose buttons are not ours
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error:
            raise SqdetError(f"no window: OpenCV {cv2.__version__} was built without one ({_ADVICE})") from None
        self._sized = False

    def show(self, image_bgr: np.ndarray) -> None:
        """Puts an (H, W, 3) uint8 image into the window; the first one sets its size, at most 1280 x 720."""
        if not self._sized:
            height, width = image_bgr.shape[:2]
            shrink = min(1.0, 1280 / width, 720 / height)
            cv2.resizeWindow(self.title, max(1, round(width * shrink)), max(1, round(height * shrink)))
            self._sized = True
        cv2.imshow(self.title, image_bgr)

    def poll(self, milliseconds: int) -> int | None:
        """Waits up to `milliseconds` for a key (0: without end).

        Returns:
            the code of the key, that of q if the window was closed; None: no key was pressed.
        """
        key = cv2.waitKeyEx(milliseconds)
        try:
            is_closed = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt, whose last window is gone
            is_closed = True
        if is_closed:
            return QUIT_KEYS[0]
        return None if key < 0 else key & 0xFFFF  # without GTK's shift and lock bits; 0xFF51 is an arrow and no Q

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


_ADVICE = "opencv-python has windows, opencv-python-headless has none"


def require_display() -> None:
    """Raises SqdetError where OpenCV would abort or fail on its first window. On Linux it costs an import of cv2."""
    if not sys.platform.startswith("linux"):
        return
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not display:
        raise SqdetError("no window: neither DISPLAY nor WAYLAND_DISPLAY is set; expected a desktop session")
    try:
        subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=60, check=True)
    except subprocess.SubprocessError:  # it failed or aborted, or a display that does not answer held it
        raise SqdetError(f"no window: OpenCV {cv2.__version__} opens none on display {display!r} ({_ADVICE})") from None
