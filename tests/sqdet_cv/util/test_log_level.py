from __future__ import annotations

import os
import threading

import pytest

from sqdet_cv.util.log_level import INFO, _log, log_level, quiet_opencv

from ..threads import in_forked_child


@pytest.fixture
def inside():
    """The level outside of all blocks, while another thread is in a quiet one."""
    before, entered, may_go = _log.getLogLevel(), threading.Event(), threading.Event()

    def stay() -> None:
        with quiet_opencv():
            entered.set()
            may_go.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait()
    yield before
    may_go.set()
    thread.join()
    assert _log.getLogLevel() == before


def test_the_highest_of_overlapping_blocks_counts(inside: int):
    assert _log.getLogLevel() == 0
    with log_level(INFO):
        assert _log.getLogLevel() == INFO
    assert _log.getLogLevel() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_forked_meanwhile_is_not_silent_for_good(inside: int):
    def logs_again() -> bool:
        with quiet_opencv():
            quiet = _log.getLogLevel() == 0
        return quiet and _log.getLogLevel() == inside

    assert in_forked_child(logs_again)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_forked_within_the_block_leaves_it():
    before = _log.getLogLevel()

    def leaves() -> bool:
        block.__exit__(None, None, None)
        return _log.getLogLevel() == before

    with (block := quiet_opencv()):
        assert in_forked_child(leaves)
    assert _log.getLogLevel() == before
