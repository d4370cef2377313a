from __future__ import annotations

import contextlib
import os
import pty
import select
import termios
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch_scan.model import RunTotals
from batch_scan.progress import Progress
from tests.report.made import plain, run

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal:
    """A pseudo-terminal in the place of standard error."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")

    def shown(self) -> str:
        """Return what was written so far."""
        self.stream.flush()
        parts = []
        while select.select([self._ours], [], [], 0)[0]:
            parts.append(os.read(self._ours, 1 << 16))
        return b"".join(parts).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def go_through(progress: Progress, total: int | None) -> None:
    progress.started(run(totals=RunTotals(items=2, requests=10, tokens_charged=100)), total)
    for index in range(3):
        result = plain(index)
        progress.result(replace(result, row=replace(result.row, requests=2, tokens_charged=7)))
    progress.finished()


def test_without_a_terminal_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    go_through(Progress(enabled=True), 5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("total", [None, 5, 0])
def test_on_a_terminal_one_line_says_how_it_goes(terminal: Terminal, total: int | None) -> None:
    with contextlib.redirect_stderr(terminal.stream):
        go_through(Progress(enabled=True), total)
    last = terminal.shown().rstrip().rpartition("\r")[2]
    assert ("5/5" if total == 5 else "5file") in last
    assert "media=0.01h, requests=16" in last.replace("h r", "h, r")
    assert "tokens=121" in last


def test_switched_off_nothing_is_shown_on_a_terminal_either(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.stream):
        go_through(Progress(enabled=False), 5)
    assert terminal.shown() == ""


def test_a_duplicate_is_a_file_but_no_more_media(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.stream):
        progress = Progress(enabled=True)
        progress.started(run(), None)
        for index in range(300):
            result = plain(index)
            progress.result(replace(result, row=replace(result.row, duplicate_of="/archive/twin" if index else "")))
        progress.finished()
    last = terminal.shown().rstrip().rpartition("\r")[2]
    assert "300file" in last
    assert "media=0.00h requests=300" in last


def test_a_plan_that_never_said_it_starts_is_counted_all_the_same(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.stream):
        progress = Progress(enabled=True)
        for index in range(3):
            progress.result(plain(index))
        progress.finished()
    assert "3file" in terminal.shown().replace(" ", "")
