"""What every command of `train` and `export` has in common."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from sqdet_cv.cli.frame import run_command
from train.common.errors import TrainError


def run_with(action) -> int:
    def run(args: argparse.Namespace) -> None:
        action()

    module = SimpleNamespace(__doc__="does it", add_arguments=lambda parser: None, run=run)
    return run_command("program", {"do": (module, "does it")}, ["do"], (TrainError,))


def raiser(error: BaseException):
    def action() -> None:
        raise error

    return action


WORKER = TrainError(
    "Caught TrainError in worker\nOriginal Traceback (...)\n  File x\ntrain.errors.TrainError: a.jpg: damaged"
)
LINES = TrainError(
    "Caught TrainError in worker\nOriginal Traceback (...)\ntrain.errors.TrainError: a.jpg:\nexpected a jpg"
)
ENDS = {
    "done": (lambda: None, 0, ""),
    "user error": (raiser(TrainError("a.jpg: missing")), 2, "error: a.jpg: missing\n"),
    "user error in a worker process": (raiser(WORKER), 2, "error: a.jpg: damaged\n"),
    "the last line of one in a worker process": (raiser(LINES), 2, "error: expected a jpg\n"),
    "no permission": (
        raiser(PermissionError(13, "Permission denied", "/root/x")),
        2,
        "error: /root/x: Permission denied\n",
    ),
    "a full disk behind stdout": (raiser(OSError(28, "No space left")), 2, "error: No space left\n"),
    "a closed pipe": (raiser(BrokenPipeError(32, "Broken pipe")), 141, ""),
    "Ctrl-C": (raiser(KeyboardInterrupt()), 130, "interrupted\n"),
}


@pytest.mark.parametrize(("action", "code", "said"), ENDS.values(), ids=ENDS)
def test_how_a_command_ends(capsys, action, code, said):
    assert run_with(action) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("about no file")])
def test_a_bug_is_not_hidden(error: Exception):
    with pytest.raises(type(error)):
        run_with(raiser(error))


@pytest.mark.parametrize("words", [["do", "--such"], ["do", "more"]])
def test_what_a_command_does_not_know_is_one_line_that_names_the_command(capsys, words):
    module = SimpleNamespace(__doc__="does it", add_arguments=lambda parser: None, run=None)
    with pytest.raises(SystemExit, match="2"):
        run_command("program", {"do": (module, "does it")}, words, ())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("program do: ") and words[1] in line and "program do --help" in line
