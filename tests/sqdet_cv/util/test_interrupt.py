from __future__ import annotations

import signal
import threading

import pytest

from sqdet_cv.util.interrupt import CtrlC


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_first_press_is_a_request_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), CtrlC() as ctrl_c:
        assert not ctrl_c.pressed
        press()
        assert ctrl_c.pressed
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_no_press_raises_where_a_step_must_be_done_whole():
    with CtrlC(second_raises=False) as ctrl_c:
        press()
        press()
    assert ctrl_c.pressed


def test_sigterm_is_a_request_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGTERM)
        assert ctrl_c.pressed and ctrl_c.exit_code == 143
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_so():
    """As in a job that a script started with &."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with CtrlC() as ctrl_c:
            press()
            assert not ctrl_c.pressed
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_leaves_the_handler_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with CtrlC() as ctrl_c:
            seen.append((signal.getsignal(signal.SIGINT), ctrl_c.pressed))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
