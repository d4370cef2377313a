from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import LockedError
from batch_scan.ledger import InDoubt, Ledger, RunStart, Twin, answer_key
from batch_scan.model import RunId
from tests.ledger_kit import ANSWER, NOW, STAT, ask, request_of, rows_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RUN = RunStart(RunId("run-1"), "job", "manifest.csv", "abc", "reports", NOW)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def ledger(state: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(state) as opened:
        yield opened


# --------------------------------------------------------------------------------------------------------- answers


async def test_an_answer_is_found_under_every_key_of_its_request(ledger: Ledger) -> None:
    await ask(ledger, "r-1", ["k-1", "k-2"])
    found = ledger.answers(["k-2", "unknown", "k-1"])
    assert set(found) == {"k-1", "k-2"}
    assert [found[key].position for key in ("k-1", "k-2")] == [0, 1]
    stored = found["k-1"]
    assert (stored.request_id, stored.operation, stored.endpoint, stored.tokens_charged) == (
        "r-1",
        "image",
        "safecomms",
        3,
    )
    assert stored.samples == 1
    assert stored.answer == ANSWER


async def test_what_was_remembered_anew_is_known_at_once_among_thousands(ledger: Ledger) -> None:
    await ledger.remember_file("again", STAT, "old")
    for number in range(1_999):
        await ledger.remember_file(str(number), STAT, "digest")
    await ledger.remember_file("again", STAT, "new")
    for number in range(3):
        assert ledger.known_file("again", STAT) == "new"
        await ledger.remember_file(f"later {number}", STAT, "digest")


async def test_many_keys_are_looked_up_at_once(ledger: Ledger) -> None:
    keys = [f"key {number}" for number in range(1234)]
    await ask(ledger, "r-1", keys)
    found = ledger.answers([*keys, *keys[:10]])
    assert {key: stored.position for key, stored in found.items()} == {key: at for at, key in enumerate(keys)}
    assert ledger.answers([]) == {}


async def test_a_request_that_is_only_sent_or_failed_has_no_answer(ledger: Ledger) -> None:
    await ledger.sending("run-1", request_of("r-1"), ["k-1"])
    assert ledger.answers(["k-1"]) == {}
    await ledger.failed("r-1", maybe_charged=False, error="503")
    assert ledger.answers(["k-1"]) == {}


async def test_a_later_answer_to_the_same_question_is_the_one_that_counts(ledger: Ledger) -> None:
    await ask(ledger, "r-1", ["k-1"])
    await ask(ledger, "r-2", ["k-1"], replace(ANSWER, raw='{"clean": false}'))
    assert ledger.answers(["k-1"])["k-1"].answer.raw == '{"clean": false}'


async def test_what_was_out_when_its_process_died_counts_as_spent_beside_its_second_asking(state: Path) -> None:
    async with Ledger.open(state) as ledger:
        await ledger.sending("run-1", request_of("r-1", tokens_max=5), ["k-1"])
    async with Ledger.open(state) as ledger:
        assert ledger.spent("run-1") == {"safecomms": 5}
        await ask(ledger, "r-1", ["k-1"])
        assert ledger.spent("run-1") == {"safecomms": 5 + ANSWER.tokens_charged}


async def test_what_a_run_paid_for_is_told_whichever_process_asked(state: Path) -> None:
    async with Ledger.open(state) as ledger:
        await ask(ledger, "r-1", ["k-1"])
        await ask(ledger, "other", ["k-2"], run_id="run-2")
    async with Ledger.open(state) as ledger:
        await ledger.sending("run-1", request_of("r-2"), ["k-3"])
        (paid,) = ledger.paid("run-1")
    assert (paid.request_id, paid.attempts, paid.tokens_estimated, paid.tokens_charged) == ("r-1", 1, 5, 3)
    assert (paid.latency_ms, paid.answered_at) == (12.5, NOW)


async def test_answers_outlive_the_process_and_the_run(state: Path) -> None:
    async with Ledger.open(state) as first:
        await ask(first, "r-1", ["k-1"])
    async with Ledger.open(state) as second:
        assert second.answers(["k-1"])["k-1"].answer == ANSWER


async def test_an_answer_that_was_never_written_down_as_sent_is_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(LookupError, match="r-9"):
        await ledger.answered("r-9", ["k-1"], ANSWER, 1.0, NOW)
    assert ledger.answers(["k-1"]) == {}


async def test_text_that_is_not_utf8_is_stored_all_the_same(ledger: Ledger) -> None:
    answer = replace(ANSWER, raw='{"text": "\ud800 \udcff"}', vendor_code="\ud800", vendor_request_id="\udcff")
    await ask(ledger, "r-1", ["k-1"], answer)
    stored = ledger.answers(["k-1"])["k-1"].answer
    assert (stored.raw, stored.vendor_code, stored.vendor_request_id) == (answer.raw, "?", "?")
    await ledger.failed("r-1", maybe_charged=False, error="\ud800")
    await ledger.remember_twin("run-1", "d-1", Twin("name\udcff", "uri", b"row"))
    await ledger.flush()


async def test_a_request_keeps_what_an_auditor_asks_of_it(state: Path) -> None:
    async with Ledger.open(state) as ledger:
        await ledger.sending("run-1", request_of("r-1"), ["k-1", "k-2"])
        await ledger.failed("r-1", maybe_charged=False, error="reset by peer")
        await ledger.sending("run-1", request_of("r-1"), ["k-1", "k-2"])
    columns = "state, attempts, error, content_keys"
    assert rows_of(state, f"SELECT {columns} FROM requests") == [("sending", 2, "reset by peer", "k-1\nk-2")]  # noqa: S608
    async with Ledger.open(state) as ledger:
        await ledger.answered("r-1", ["k-1", "k-2"], ANSWER, 12.5, NOW)
    columns = "state, attempts, error, content_keys, latency_ms, answered_at, http_status"
    assert rows_of(state, f"SELECT {columns} FROM requests") == [  # noqa: S608
        ("answered", 2, "", "", 12.5, NOW.isoformat(), 200)
    ]


def test_the_key_of_an_answer_depends_on_content_operation_and_settings_alone() -> None:
    key = answer_key("digest", "image", "settings")
    assert key == answer_key("digest", "image", "settings")
    others = {answer_key("other", "image", "settings"), answer_key("digest", "audio", "settings")}
    others |= {answer_key("digest", "image", "other"), answer_key("digesti", "mage", "settings")}
    assert len(others | {key}) == 5


# ----------------------------------------------------------------------------------------------- doubt and spending


async def test_what_an_earlier_process_left_unanswered_is_in_doubt_until_it_is_answered(state: Path) -> None:
    async with Ledger.open(state) as first:
        for name in ("answered", "failed", "open-1", "open-2"):
            await first.sending("run-1", request_of(name), [])
        await first.sending("run-2", request_of("of another run"), [])
        await first.answered("answered", [], ANSWER, 1.0, NOW)
        await first.failed("failed", maybe_charged=True, error="timeout")
        assert first.in_doubt("run-1") == InDoubt(0, 0)
    async with Ledger.open(state) as second:
        await second.sending("run-1", request_of("mine"), [])
        assert second.in_doubt("run-1") == InDoubt(requests=2, tokens=10)
        await second.answered("open-1", [], ANSWER, 1.0, NOW)
        assert second.in_doubt("run-1") == InDoubt(requests=1, tokens=5)


async def test_spent_is_what_was_charged_and_at_most_what_may_have_been(state: Path) -> None:
    async with Ledger.open(state) as first:
        await ask(first, "answered", ["k-1"])
        await first.sending("run-1", request_of("open", tokens_max=7), [])
        await first.sending("run-1", request_of("free", tokens_max=0, endpoint="local"), [])
        await first.sending("run-1", request_of("refused"), [])
        await first.failed("refused", maybe_charged=False, error="400")
        await first.sending("run-1", request_of("timed out", tokens_max=11, endpoint="deepgram"), [])
        await first.failed("timed out", maybe_charged=True, error="timeout")
        await ask(first, "other", ["k-2"], run_id="run-2")
    async with Ledger.open(state) as second:
        assert second.spent("run-1") == {"safecomms": 3 + 7, "local": 0, "deepgram": 11}
        assert second.spent("run-2") == {"safecomms": 3}
        assert second.spent("never begun") == {}


async def test_an_attempt_that_may_have_been_charged_counts_beside_the_one_that_was_answered(ledger: Ledger) -> None:
    await ledger.sending("run-1", request_of("r-1"), ["k-1"])
    await ledger.failed("r-1", maybe_charged=True, error="timeout")
    await ask(ledger, "r-1", ["k-1"])
    assert ledger.spent("run-1") == {"safecomms": 5 + 3}


# ----------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("is_flushed", [False, True])
async def test_a_file_is_known_while_size_time_and_version_are_the_same(ledger: Ledger, is_flushed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert ledger.known_file("/a", STAT) is None
    await ledger.remember_file("/a", STAT, "digest")
    if is_flushed:
        await ledger.flush()
    assert ledger.known_file("/a", STAT) == "digest"
    for changed in (replace(STAT, size_bytes=11), replace(STAT, modified_ns=21), replace(STAT, version="inode 8")):
        assert ledger.known_file("/a", changed) is None


async def test_a_file_that_changed_is_known_by_its_new_content(state: Path) -> None:
    changed = replace(STAT, modified_ns=99)
    async with Ledger.open(state) as first:
        await first.remember_file("/a", STAT, "old")
        await first.remember_file("/a", changed, "new")
    async with Ledger.open(state) as second:
        assert second.known_file("/a", STAT) is None
        assert second.known_file("/a", changed) == "new"


async def test_an_extraction_is_kept_per_content_and_settings(ledger: Ledger) -> None:
    record = b'{"frames": []}' * 1000
    await ledger.remember_extraction("digest", "settings", record)
    assert ledger.extraction("digest", "settings") == record
    assert ledger.extraction("digest", "other") is None
    assert ledger.extraction("other", "settings") is None
    await ledger.remember_extraction("digest", "settings", b"newer")
    assert ledger.extraction("digest", "settings") == b"newer"


async def test_far_more_than_fits_between_two_commits_is_remembered(state: Path) -> None:
    async with Ledger.open(state) as first:
        for number in range(25_000):
            await first.remember_file(f"/{number}", STAT, str(number))
        assert first.known_file("/0", STAT) == "0"
    async with Ledger.open(state) as second:
        assert all(second.known_file(f"/{number}", STAT) == str(number) for number in range(25_000))


async def test_files_that_are_durable_are_held_in_memory_no_longer(state: Path) -> None:
    async with Ledger.open(state) as ledger:
        await ledger.remember_file("/first", STAT, "digest")  # what is made once
        tracemalloc.start()
        try:
            for number in range(20_000):
                await ledger.remember_file(f"/{number}", replace(STAT, modified_ns=number), f"{number:064}")
            await ledger.flush()
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held_bytes < 2e6, "20,000 of them take 10 MB"


# ------------------------------------------------------------------------------------------------------------ runs


async def test_an_unfinished_run_is_found_by_the_same_job_over_the_same_source_into_the_same_report(
    state: Path,
) -> None:
    async with Ledger.open(state) as first:
        await first.begin_run(RUN)
    async with Ledger.open(state) as second:
        assert second.unfinished_run("job", "manifest.csv", "abc", "reports") == RUN
        for other in (
            ("other", "manifest.csv", "abc", "reports"),
            ("job", "other", "abc", "reports"),
            ("job", "manifest.csv", "other", "reports"),
            ("job", "manifest.csv", "abc", "other"),
        ):
            assert second.unfinished_run(*other) is None


async def test_a_finished_run_is_not_continued_and_neither_is_one_before_it(ledger: Ledger) -> None:
    await ledger.begin_run(RUN)
    await ledger.begin_run(replace(RUN, run_id=RunId("run-2")))
    await ledger.finish_run("run-2", 0, NOW)
    assert ledger.unfinished_run("job", "manifest.csv", "abc", "reports") is None


async def test_beginning_a_continued_run_again_changes_nothing(ledger: Ledger) -> None:
    await ledger.begin_run(RUN)
    await ledger.begin_run(replace(RUN, started_at=datetime.now(UTC)))
    assert ledger.unfinished_run("job", "manifest.csv", "abc", "reports") == RUN


@pytest.mark.parametrize("is_flushed", [False, True])
async def test_twins_are_known_within_their_run_until_it_is_finished(ledger: Ledger, is_flushed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    twin = Twin("identity\udcff", "/a", b"row")
    await ledger.begin_run(RUN)
    await ledger.remember_twin("run-1", "digest", twin)
    if is_flushed:
        await ledger.flush()
    assert ledger.twin("run-1", "digest") == twin
    assert ledger.twin("run-1", "other") is None
    assert ledger.twin("run-2", "digest") is None
    await ledger.finish_run("run-1", 0, NOW)
    assert ledger.twin("run-1", "digest") is None


async def test_twins_survive_an_interruption(state: Path) -> None:
    twin = Twin("identity\udcff", "/a", b"row")
    async with Ledger.open(state) as first:
        await first.remember_twin("run-1", "digest", twin)
    async with Ledger.open(state) as second:
        assert second.twin("run-1", "digest") == twin


async def test_what_was_left_open_at_a_vendor_is_known_after_a_crash(state: Path) -> None:
    async with Ledger.open(state) as first:
        await first.opened("visionular", "stream", "s-1")
        await first.opened("visionular", "task", "t-1")
        await first.opened("stream", "call", "c-1")
        await first.closed("visionular", "stream", "s-1")
    async with Ledger.open(state) as second:
        assert [(left.kind, left.handle) for left in second.left_open("visionular")] == [("task", "t-1")]
        assert second.left_open("visionular")[0].opened_at.tzinfo is not None
        assert second.left_open("deepcleer") == []
        assert {left.service for left in second.left_open()} == {"stream", "visionular"}


# ---------------------------------------------------------------------------------------------- one at a time


async def test_two_ledgers_over_one_directory_are_refused(state: Path) -> None:
    async with Ledger.open(state):
        with pytest.raises(LockedError, match="another run is using"):
            async with Ledger.open(state):
                pass


async def test_a_second_ledger_waits_for_the_first_when_asked_to(state: Path) -> None:
    async def second() -> None:
        async with Ledger.open(state, wait_s=60.0) as ledger:
            assert "k-1" in ledger.answers(["k-1"])

    async with Ledger.open(state) as ledger:
        waiting = asyncio.create_task(second())
        await ask(ledger, "r-1", ["k-1"])
        assert not waiting.done()
    await waiting


async def test_looking_up_from_another_thread_is_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.ProgrammingError):
        await asyncio.to_thread(ledger.answers, ["k-1"])
