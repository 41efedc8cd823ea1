"""How a command ends: its exit code, and one line where its input, or the system, is at fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def exit_code(work: Callable[[], int], user_errors: tuple[type[Exception], ...], say: Callable[[str], None]) -> int:
    """Runs `work` and returns the exit code of the program.

    It is what `work` returns; 2 after one of `user_errors` or an error of the system (a full disk, a folder without
    permission); 130 after Ctrl-C; 141 if the pipe that took the output was closed.

    Args:
        say: prints the message of an error.

    Raises:
        Exception: anything else that `work` raises: a bug, which needs its traceback.
    """
    try:
        code = work()
        sys.stdout.flush()  # a closed pipe shows here, not at exit where nobody can catch it
        return code
    except user_errors as error:
        say(str(error))
    except BrokenPipeError:  # `sqdet detect images | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (open until exit, for Python's last flush)
        return 141
    except OSError as error:
        if error.errno is None:  # not the system's
            raise
        say(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 2
