"""Memory that is freed is kept for the next step, instead of handed back to the system and fetched again."""

from __future__ import annotations

import ctypes
import platform

# mallopt(3), <malloc.h> of glibc
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
NEVER = -1
TOP_PAD = 256 << 20  # bytes asked for at a time


def keep_freed_memory() -> bool:
    """From here on this process, and those that it forks, give no memory back before they end.

    glibc fetches every array of 32 MiB or more from the system anew (mallopt(3), M_MMAP_THRESHOLD), and each 4 KiB page
    of it costs an interruption at its first touch: 51,500 in a training step of 16 images at 320 px, and a quarter of
    its time (docs/history.md, "Time of a training step").

    Returns:
        Whether there is a glibc to tell so. Elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: TOP_PAD}
    return all(libc.mallopt(name, value) == 1 for name, value in settings.items())
