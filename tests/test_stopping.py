"""Signals to a process of its own, which says on standard error how far it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batch_scan.stopping import run_until_signal

ROOT = Path(__file__).parents[1]
_CHILD = """
import asyncio, os, sys, threading
from batch_scan.job import LogFormat
from batch_scan.logs import set_up_logs
from batch_scan.stopping import run_until_signal

def say(word):
    print(word, file=sys.stderr, flush=True)

async def at_once(stop):
    say("ready")
    await asyncio.Event().wait()

async def saves(stop):
    say("ready")
    await stop.wait()
    return "saved"

async def waits(stop):
    say("ready")
    await stop.wait()
    say("waiting")
    await asyncio.Event().wait()

async def is_stuck(stop):
    say("ready")
    await stop.wait()
    say("waiting")
    await asyncio.to_thread(threading.Event().wait)

def leave(code):
    say(f"left with {code}")
    os._exit(code)

set_up_logs(LogFormat.TEXT)
run, begun = sys.argv[1:]
outcome, code = run_until_signal(globals()[run], lambda: begun == "begun", leave)
say(f"ended with {outcome}, {code}")
sys.exit(code)
"""


def said_after(run: str, *numbers: signal.Signals, begun: str = "begun") -> tuple[int, list[str]]:
    """Send signals, each once the process has said that it is ready for it; return exit code and last words."""
    command = [sys.executable, "-c", _CHILD, run, begun]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {}) as child:
        assert child.stderr is not None
        lines: list[str] = []
        for number, word in zip(numbers, ("ready", "waiting"), strict=False):
            while lines[-1:] != [word]:
                line = child.stderr.readline()
                assert line, lines
                lines.append(line.strip())
            child.send_signal(number)
        lines += [line.strip() for line in child.stderr]
    return child.returncode, [line for line in lines if line not in {"ready", "waiting"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_has_the_state_saved(number: signal.Signals) -> None:
    code, (told, ended) = said_after("saves", number)
    assert told.startswith(f"batch-scan: {number.name}: finishing what is in flight")
    assert (ended, code) == (f"ended with saved, {128 + number}", 128 + number)


def test_before_a_scan_has_begun_the_first_signal_ends_it() -> None:
    code, (told, ended) = said_after("at_once", signal.SIGTERM, begun="")
    assert told == "batch-scan: SIGTERM: nothing was scanned yet"
    assert (ended, code) == ("ended with None, 143", 143)


def test_the_second_signal_waits_no_longer_and_the_first_says_how_it_ends() -> None:
    code, (_, told, ended) = said_after("waits", signal.SIGTERM, signal.SIGINT)
    assert told.startswith("batch-scan: warning: SIGINT again: ending without waiting any longer")
    assert (ended, code) == ("ended with None, 143", 143)


def test_what_is_stuck_in_a_thread_does_not_keep_the_process_after_the_second_signal() -> None:
    code, (*_, left) = said_after("is_stuck", signal.SIGINT, signal.SIGINT)
    assert (left, code) == ("left with 130", 130)


def test_without_a_signal_there_is_no_exit_code() -> None:
    async def at_once(_: object) -> str:
        return "done"

    assert run_until_signal(at_once, lambda: True, lambda _: None) == ("done", 0)
