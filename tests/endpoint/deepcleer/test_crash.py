"""Killed in the middle, then the same again: nothing is paid twice, nothing stays open."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.sandbox.deepcleer.server import DEFAULT_KEY, DeepCleerServer
from tests.endpoint.deepcleer.kit import GOOD_HZ, KEY_VARIABLE, judge
from tests.endpoint.pulled import MediaHost, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
HOUR_S = 3600.0


@contextlib.contextmanager
def asking(state: Path, server: DeepCleerServer, what: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, KEY_VARIABLE: DEFAULT_KEY, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "tests.endpoint.deepcleer.asking_child", str(state), server.url, what]
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_until(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    ends_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < ends_s, "it does not come to pass"
        time.sleep(0.01)


def written_down(state: Path) -> list[str]:
    """Return the streams that stand in the ledger as open: what a process that is killed now leaves to the next."""
    book = f"file:{state / 'ledger.sqlite3'}?mode=ro"
    with contextlib.closing(sqlite3.connect(book, uri=True)) as ledger:
        return [handle for (handle,) in ledger.execute("SELECT handle FROM open_handles")]


def answer_of(state: Path, server: DeepCleerServer, what: str) -> str:
    with asking(state, server, what) as child:
        told, _ = child.communicate(timeout=100)
        assert child.returncode == 0
        return told


def test_killed_between_submission_and_result_the_next_start_takes_the_result_and_pays_nothing_again(
    tmp_path: Path,
) -> None:
    with DeepCleerServer(judge=judge()) as server:
        server.results_held = True
        with asking(tmp_path, server, "sound") as child:
            wait_until(lambda: any(one.polls for one in server.submissions.values()))
            child.kill()
        server.results_held = False
        assert answer_of(tmp_path, server, "sound") == "tokens 12\n"
        assert (len(server.calls), server.tokens_used) == (1, 12)
        (submission,) = server.submissions.values()
        assert submission.times == 1


def test_killed_with_a_stream_open_the_next_start_closes_it(tmp_path: Path) -> None:
    with DeepCleerServer(judge=judge(), stream_pause_s=HOUR_S) as server, MediaHost() as host:
        url = host.put("a.wav", sound((GOOD_HZ, 12.0)), "?sig=0123456789")
        with asking(tmp_path, server, url) as child:
            wait_until(lambda: server.open_streams and written_down(tmp_path) == list(server.open_streams))
            child.kill()
        (lost,) = server.open_streams
        server.stream_pause_s = 0.0
        assert answer_of(tmp_path, server, url) == "tokens 12\n"
        assert not server.open_streams
        closings = [seen.fields["requestId"] for seen in server.requests if "finish" in seen.path]
        assert closings[0] == lost
        assert len(closings) == 2
        assert [seen.path for seen in server.calls] == ["/audiostream/v4"] * 2
