from __future__ import annotations

import sys

import pytest

from benchmarks import train_step


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train_step", *words])
    train_step.main()


def test_all_ways_are_timed_in_processes_of_their_own(monkeypatch, capfd):
    run(monkeypatch, "--batch=1", "--steps=1", "--rounds=1")
    title, *_, given_back, kept, amp = capfd.readouterr().out.splitlines()
    assert "PyTorch" in title
    assert given_back.startswith("| given back | ") and given_back.endswith(" | 1.00 |")
    assert kept.startswith("| kept | ") and amp.startswith("| kept, --amp | ")
    assert all(float(row.split("|")[2]) > 0 for row in (given_back, kept, amp))


def test_a_wrong_path_is_named_in_a_line(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"^error: .*x\.sqdet: no such model file"):
        run(monkeypatch, str(tmp_path / "x.sqdet"))
