"""Text that OpenCV can take: its Python binding ends the process, by SIGSEGV, at a str that is no Unicode."""

from __future__ import annotations


def is_unicode(text: str) -> bool:
    """False for a file name whose bytes are not UTF-8: Python gives it with lone surrogates in their place.

    >>> is_unicode("k\\u00f6ter"), is_unicode("k\\udcf6ter")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """The text with "?" for what is no Unicode."""
    return text.encode(errors="replace").decode()
