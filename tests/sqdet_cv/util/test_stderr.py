from __future__ import annotations

import os
import threading

import pytest

from sqdet_cv.util.stderr import muted_stderr, own_descriptors

from ..threads import in_forked_child, in_threads


def test_what_is_written_within_is_gone_and_what_follows_is_not(capfd):
    with muted_stderr():
        os.write(2, b"within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_blocks_that_overlap_in_threads_leave_stderr_as_it_was(capfd):
    """The first to come in is the first to go out, which put /dev/null in stderr's place for good."""
    inside, may_go = threading.Event(), threading.Event()

    def first() -> None:
        with muted_stderr():
            inside.set()
            may_go.wait()

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with muted_stderr():
        may_go.set()
        thread.join()
        os.write(2, b"still within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_who_captures_is_alone():
    busy: list[str] = []

    def work(i: int) -> bool:
        with own_descriptors() if i % 3 == 0 else muted_stderr():
            busy.append("captures" if i % 3 == 0 else "mutes")
            seen = list(busy)
            busy.remove(seen[-1])
        return i % 3 != 0 or seen == ["captures"]

    assert all(in_threads(work, range(60)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_forked_while_it_is_muted_can_write(capfd):
    def writes() -> bool:
        os.write(2, b"child ")
        with muted_stderr():
            os.write(2, b"muted ")
        os.write(2, b"again")
        return True

    with muted_stderr():
        assert in_forked_child(writes)
    assert capfd.readouterr().err == "child again"
