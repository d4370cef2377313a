from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.ledger import Ledger
from tests.ledger_kit import ANSWER, NOW, STAT, request_of, rows_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKER = Path(__file__).with_name("ledger_worker.py")
WORKER_CONCURRENCY = 8


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def ledger(state: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(state) as opened:
        yield opened


async def test_one_bad_write_does_not_take_its_neighbours_with_it(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.sending("run-1", request_of(f"r-{number}"), []) for number in range(20)))
    too_much = replace(ANSWER, tokens_charged=2**70)
    ends = await asyncio.gather(
        *(
            ledger.answered(f"r-{number}", [f"k-{number}"], too_much if number == 7 else ANSWER, 1.0, NOW)
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert [number for number, end in enumerate(ends) if end is not None] == [7]
    assert isinstance(ends[7], OverflowError)
    assert len(ledger.answers([f"k-{number}" for number in range(20)])) == 19


async def test_a_write_whose_waiter_was_cancelled_still_happens(ledger: Ledger) -> None:
    await ledger.sending("run-1", request_of("r-1"), ["k-1"])
    waiting = asyncio.create_task(ledger.answered("r-1", ["k-1"], ANSWER, 1.0, NOW))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ledger.flush()
    assert "k-1" in ledger.answers(["k-1"])


async def test_leaving_by_an_exception_writes_what_was_queued(state: Path) -> None:
    async def crash() -> None:
        async with Ledger.open(state) as ledger:
            for number in range(3000):
                await ledger.remember_file(f"/{number}", STAT, "digest")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    async with Ledger.open(state) as ledger:
        assert ledger.known_file("/2999", STAT) == "digest"


async def test_what_could_not_be_remembered_is_told_at_the_next_flush_and_on_leaving(state: Path) -> None:
    async def remember() -> None:
        async with Ledger.open(state) as ledger:
            await ledger.remember_file("/not\ud800storable", STAT, "digest")
            await ledger.remember_file("/neighbour", STAT, "digest")
            with pytest.raises(UnicodeEncodeError):
                await ledger.flush()

    with pytest.raises(UnicodeEncodeError):
        await remember()
    async with Ledger.open(state) as ledger:
        assert ledger.known_file("/neighbour", STAT) == "digest"


async def test_every_commit_waits_for_the_disk(ledger: Ledger) -> None:
    assert ledger._reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def start_worker(what: str, state: Path, run_id: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), what, str(state), run_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(WORKER.parent.parent)},
    )


def kill_after(worker: subprocess.Popen[str], lines: int) -> list[list[str]]:
    """Kill the worker once it has said so much, and return all that it said, a torn last line left out."""
    assert worker.stdout is not None
    said = [worker.stdout.readline() for _ in range(lines)]
    worker.kill()
    said += worker.communicate(timeout=60)[0].splitlines(keepends=True)
    return [line.split() for line in said if line.endswith("\n")]


async def test_killed_a_dozen_times_no_acknowledged_answer_is_lost_and_doubt_is_bounded(state: Path) -> None:
    source = random.Random(20)
    acknowledged: set[str] = set()
    for kill in range(12):
        said = kill_after(start_worker("work", state, f"run-{kill}"), source.randrange(1, 300))
        sent = {name for word, name in said if word == "sent"}
        acknowledged |= {name for word, name in said if word == "answered"}
        async with Ledger.open(state) as ledger:
            stored = ledger.answers([f"{name}-key-2" for name in acknowledged])
            assert {found.answer.raw for found in stored.values()} == {
                f'{{"answer to": "{name}", "padding": ""}}' for name in acknowledged
            }
            doubt = ledger.in_doubt(f"run-{kill}")
            assert doubt.requests <= WORKER_CONCURRENCY
            assert doubt.tokens == 5 * doubt.requests
        of_run = rows_of(state, f"SELECT request_id FROM requests WHERE run_id = 'run-{kill}'")  # noqa: S608
        assert sent <= {name for (name,) in of_run}
        assert rows_of(state, "PRAGMA integrity_check") == [("ok",)]
    assert len(acknowledged) > 100


async def test_a_full_disk_is_an_error_that_says_so_and_what_was_answered_is_kept(state: Path) -> None:
    worker = start_worker("fill", state, "run-1")
    output, errors = await asyncio.to_thread(worker.communicate)
    said = output.splitlines()
    kept = [line.split()[1] for line in said if line.startswith("answered")]
    refusal = next(line for line in said if line.startswith("refused"))
    assert len(kept) > 5
    assert "cannot be written or read" in refusal
    assert "run the same command again" in refusal
    assert "lost " in said
    assert kept[-1] == "after"  # it goes on as soon as there is room
    assert errors.splitlines()[-1].startswith("batch_scan.errors.LedgerError")  # and says on leaving that a row is lost
    async with Ledger.open(state) as ledger:
        assert len(ledger.answers([f"{name}-key-0" for name in kept])) == len(kept)
