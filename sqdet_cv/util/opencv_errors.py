"""What OpenCV says in an error, short enough for the end of a one-line message."""

from __future__ import annotations

import re

import cv2

# OpenCV(4.14.0) /io/modules/imgcodecs/src/loadsave.cpp:79: error: (-215:Assertion failed) size > 0 in function 'f'
# A reason of several lines follows the function:  ... error: (-2:Unspecified error) in function 'f'\n> reason\n>  ...
_PLACE = re.compile(r"^OpenCV\(\S+\) .*?: error: \(-?\d+:[^)]*\) ?(?:in function '[^']*'(?=\s*>))?")
_FUNCTION = re.compile(r" in function '[^']*'\s*$")


def error_text(error: cv2.error) -> str:
    """OpenCV's reason in one line, without its version, source file and function.

    It is read from the message: `error.err` belongs to the class, and is that of whichever error came last.
    """
    reason = _FUNCTION.sub("", _PLACE.sub("", str(error)))
    return " ".join(re.sub(r"^>", "", reason, flags=re.MULTILINE).split())
