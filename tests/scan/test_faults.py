"""Whatever a vendor does: the right exit code, a row per entry, no false keep, and afterwards the whole truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.sandbox.faults import (
    Fault,
    Kind,
    bad_gateway,
    changed,
    garbage,
    hang,
    huge,
    rate_limited,
    status,
    without_verdict,
)
from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import BAD_HZ, JUDGE, stretches
from tests.scan.harness import Ended, Place, comparable, job_text

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"clean.mp4", "red.mp4", "bad.flac", "sound.flac"}
TOKENS = 20 * 5 + 50 * 3
REQUESTS = 8
CLEAN = {"clean.mp4", "sound.flac"}
SMALL_FILES = (
    sys.executable,
    "-c",
    """import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
from batch_scan.cli import entry_point
entry_point()""",
)
"""The command where no file can grow beyond what a ledger takes for its first answers, as on a disk that is full."""
PAID = ("requests", "cached_requests", "tokens_estimated", "tokens_charged", "cost")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files, two of them clean: 8 requests, 250 tokens."""
    directory = tmp_path_factory.mktemp("faults") / "media"
    directory.mkdir()
    stretches(directory / "clean.mp4", (("gray", 1), ("navy", 1)), "sine=f=440:d=2")
    stretches(directory / "red.mp4", (("olive", 1), ("red", 1), ("teal", 1)))
    tone(directory / "sound.flac", 1, hz=500)
    tone(directory / "bad.flac", 1, hz=BAD_HZ)
    return directory


@pytest.fixture(scope="module")
def undisturbed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url))
        ended = place.run()
        assert (ended.code, len(server.calls), server.tokens_used) == (1, REQUESTS, TOKENS)
        return report_of(place, ended)


def report_of(place: Place, ended: Ended) -> dict[str, Any]:
    return {table: comparable(place.rows(table, ended.run_id), *PAID) for table in ("files", "findings", "scores")}


def check_rows(place: Place, ended: Ended) -> dict[str, dict[str, Any]]:
    """Return the rows by name, once it is sure that there is one per file, and no keep that was not earned."""
    rows = place.rows("files", ended.run_id)
    assert sorted(row["uri"].rpartition("/")[2] for row in rows) == sorted(FILES)
    by_name = place.files(ended.run_id)
    asked = place.rows("requests", ended.run_id)
    for name, row in by_name.items():
        lost = [one for one in asked if one["uri"] == row["uri"] and one["outcome"] != "answered"]
        assert not lost or row["status"] != "complete", name
        if row["verdict"] == "keep":
            assert (name in CLEAN, row["status"], row["reason"]) == (True, "complete", None), name
            assert row["frames_answered"] == row["frames_planned"], name
        if row["status"] != "complete":
            assert row["reason"], name
            assert row["error"], name
    return by_name


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong, and what has to come of it."""

    fault: Fault
    code: int
    first: int = 2
    """The first request that goes wrong, from 1."""
    last: int = 2
    """The last one that does."""
    reason: str | None = None
    """The reason that some row has to have."""
    limit: str = "max_attempts = 1"
    says: str = ""
    """What has to be said on standard error."""


EVER = 1_000_000
CASES = {
    "429 with Retry-After": Case(rate_limited("1"), 1, limit=""),
    "429 with a Retry-After of a day": Case(rate_limited("86400"), 6, last=EVER, reason="endpoint_stopped", limit=""),
    "500 twice": Case(status(500), 1, last=3, limit=""),
    "502 as a page of HTML, for ever": Case(bad_gateway(), 3, last=EVER, reason="request_failed"),
    "503 with Retry-After": Case(status(503, retry_after="1"), 1, limit=""),
    "reset during the upload": Case(Fault(Kind.RESET_MID_UPLOAD), 3, reason="request_failed"),
    "reset before the answer, charged": Case(
        Fault(Kind.RESET_BEFORE_ANSWER).charged(), 3, reason="request_failed", says="may have been charged"
    ),
    "reset during the answer": Case(Fault(Kind.RESET_MID_ANSWER), 3, reason="request_failed"),
    "garbage": Case(garbage(), 3, reason="unrecognised_answer", limit="", says="may have been charged"),
    "half an answer": Case(Fault(Kind.TRUNCATE), 3, reason="request_failed"),
    "no answer": Case(hang(), 3, reason="request_failed", limit="max_attempts = 1\ntimeout_s = 1"),
    "no answer after the head": Case(
        Fault(Kind.HANG_AFTER_HEADERS), 3, reason="request_failed", limit="max_attempts = 1\ntimeout_s = 1"
    ),
    "401 in mid-run": Case(status(401), 6, last=EVER, reason="endpoint_stopped", says="stopped"),
    "402 in mid-run": Case(status(402), 6, last=EVER, reason="endpoint_stopped", says="stopped"),
    "403 in mid-run": Case(status(403), 6, last=EVER, reason="endpoint_stopped", says="stopped"),
    "404 for ever": Case(status(404), 6, last=EVER, reason="endpoint_stopped"),
    "413": Case(status(413), 3, reason="sample_refused"),
    "a redirect": Case(status(302, location="http://127.0.0.1:9/elsewhere"), 6, last=EVER),
    "an answer of 50 MB": Case(huge(50_000_000), 3, reason="unrecognised_answer", limit=""),
    "isClean missing": Case(without_verdict(), 3, reason="unrecognised_answer"),
    "isClean is no boolean": Case(changed(isClean="yes"), 3, reason="unrecognised_answer"),
    "an answer that is a list": Case(
        Fault(Kind.CHANGE, change=lambda answer: [answer]), 3, reason="unrecognised_answer"
    ),
    "nothing at all": Case(Fault(Kind.ANSWER, 200, {"content-type": "application/json"}), 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_fault_costs_no_row_and_no_truth(
    case: Case, archive: Path, place: Place, undisturbed: dict[str, Any]
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        for number in range(case.first, min(case.last, 40) + 1):
            server.faults.at(number, case.fault)
        place.write_job(job_text(archive, server.url, limit=case.limit))
        ended = place.run()
        assert ended.code == case.code, ended.stderr
        assert case.says in ended.stderr
        rows = check_rows(place, ended)
        reasons = {row["reason"] for row in rows.values()} - {None}
        assert not case.reason or case.reason in reasons, rows
        if case.code == 1:
            assert report_of(place, ended) == undisturbed
        server.faults.clear()
        server.release()
        healthy = place.run()
        assert healthy.code == 1, healthy.stderr
        assert report_of(place, healthy) == undisturbed
        assert len({seen.digest for seen in server.answered if seen.fault is None}) == REQUESTS
    assert place.left_behind() == []


def test_a_429_without_retry_after_is_waited_for(archive: Path, place: Place, undisturbed: dict[str, Any]) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(2, rate_limited())
        place.write_job(job_text(archive, server.url))
        ended = place.run()
        arrived = [seen.arrived_s for seen in server.calls]
    assert ended.code == 1
    longest_s = max(later_s - earlier_s for earlier_s, later_s in pairwise(arrived))
    assert longest_s == pytest.approx(15, abs=2), "a quarter of the minute that vendors count in"
    assert report_of(place, ended) == undisturbed


def test_a_service_that_refuses_at_the_start_scans_nothing_and_names_no_report(archive: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url))
        place.key = "another"
        ended = place.run()
        assert ended.code == 6
        assert (ended.said["run_id"], ended.said["report"], ended.said["items"]) == (None, None, 0)
        assert "nothing was scanned, and no report was written: safecomms answered 401" in ended.stderr
        assert "batch-scan report" not in ended.stderr
        assert not (place.report / "runs").exists()
        assert server.calls == []


def test_where_nobody_listens_nothing_is_said_to_have_been_sent(archive: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url, limit="max_attempts = 2\nmax_retry_s = 5"))
    ended = place.run()
    assert (ended.code, ended.said["requests"]) == (3, 0)
    assert "0 requests sent" in ended.stderr
    assert {(row["outcome"], row["attempts"]) for row in place.rows("requests", ended.run_id)} == {("failed", 0)}
    assert {row["reason"] for row in check_rows(place, ended).values()} == {"request_failed"}


def test_a_full_disk_names_the_run_that_the_next_command_goes_on_with(
    archive: Path, place: Place, undisturbed: dict[str, Any]
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url))
        ended = place.start(place.job, program=SMALL_FILES).wait()
        assert ended.code == 7, ended.stderr
        assert ended.said["report"] == str(place.report)
        assert "run the same command again: what was answered so far is kept" in ended.stderr
        healthy = place.run()
        assert healthy.code == 1, healthy.stderr
        assert healthy.run_id == ended.run_id
        assert without_evidence(report_of(place, healthy)) == without_evidence(undisturbed)


def without_evidence(report: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is cut while a file is open, and is not cut again of one whose answers are all there."""
    return report | {"findings": [row | {"evidence": None} for row in report["findings"]]}


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"categoryScores": {"Violence": "Extreme"}}, None),
        ({"categoryScores": {"Gambling": "High"}}, "flag"),
        ({"severity": "Colossal"}, None),
        ({"isClean": False}, "flag"),
    ],
    ids=str,
)
def test_words_that_nobody_knows_are_never_clean(
    archive: Path, place: Place, fields: dict[str, Any], verdict: str | None
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.when(lambda seen: "audio" in seen.path, changed(**fields))
        place.write_job(job_text(archive, server.url))
        ended = place.run()
        assert ended.code in {1, 3}, ended.stderr
        row = check_rows_of_what_was_answered(place, ended)["sound.flac"]
    assert row["verdict"] != "keep"
    assert verdict is None or row["verdict"] in {verdict, "remove"}


def check_rows_of_what_was_answered(place: Place, ended: Ended) -> dict[str, dict[str, Any]]:
    by_name = place.files(ended.run_id)
    assert set(by_name) == FILES
    return by_name


# ---------------------------------------------------------------------------------------------------- budget, key


def job_with_budget(archive: Path, url: str, tokens: int, when_reached: str) -> str:
    budget = f'[budget]\ntokens = {tokens}\nwhen_reached = "{when_reached}"'
    return job_text(archive, url, budget, limit="concurrency = 2")


@pytest.mark.parametrize("tokens", [0, 10, 130, 200])
def test_a_cautious_budget_is_never_exceeded_and_the_next_runs_do_the_rest(
    archive: Path, place: Place, undisturbed: dict[str, Any], tokens: int
) -> None:
    with SafeCommsServer(judge=JUDGE, delay_s=0.1) as server:
        place.write_job(job_with_budget(archive, server.url, tokens, "cautious"))
        ended = place.run()
        assert ended.code == 4, ended.stderr
        assert server.tokens_used == ended.said["tokens_charged"] <= tokens
        assert server.tokens_used > tokens - 50, "what fits is spent"
        rows = check_rows(place, ended)
        assert "budget" in {row["reason"] for row in rows.values()}
        more = place.run(place.job, "--max-tokens", str(TOKENS - server.tokens_used))
        assert more.code == 1, more.stderr
        assert server.tokens_used == TOKENS
        assert report_of(place, more) == undisturbed


def test_a_soft_budget_finishes_what_is_in_flight(archive: Path, place: Place, undisturbed: dict[str, Any]) -> None:
    with SafeCommsServer(judge=JUDGE, delay_s=0.1) as server:
        place.write_job(job_with_budget(archive, server.url, 30, "soft"))
        ended = place.run()
        assert ended.code == 4, ended.stderr
        assert 30 <= server.tokens_used == ended.said["tokens_charged"] < TOKENS
        check_rows(place, ended)
        runs = 1
        while place.run().code == 4:
            runs += 1
            assert runs < 10, "every run gets on"
        assert server.tokens_used == TOKENS
        ended = place.run()
        assert report_of(place, ended) == undisturbed


def test_a_killed_run_does_not_forget_what_it_may_have_spent(archive: Path, place: Place) -> None:
    """What was out at a kill may have been charged: a cautious budget counts it, and what asking again costs too."""
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_with_budget(archive, server.url, 200, "cautious"))
        for _ in range(3):
            server.faults.when(lambda _: True, hang().charged())
            calls = len(server.calls)
            running = place.start()
            server.wait_for_calls(calls + 1)
            running.process.kill()
            running.process.wait()
        server.faults.clear()
        ended = place.run()
        assert server.tokens_used <= 200
    assert ended.code == 4, ended.stderr


def test_a_wrong_key_at_the_start_ends_with_6_and_nothing_scanned(archive: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE, key="another-key") as server:
        place.write_job(job_text(archive, server.url))
        ended = place.run()
        assert ended.code == ended.said["exit_code"] == 6
        assert server.calls == []
        assert ended.said["items"] == 0
        assert not list(place.report.glob("files/*")), "there is no run to speak of"


def test_a_server_that_is_not_there_is_retried_and_given_up(archive: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url, limit="max_attempts = 2\ntimeout_s = 2"))
    ended = place.run()
    assert ended.code == 3, ended.stderr
    rows = check_rows(place, ended)
    assert {(row["verdict"], row["status"], row["reason"]) for row in rows.values()} == {
        ("unknown", "failed", "request_failed")
    }


def test_the_time_limit_leaves_the_rest_to_the_next_run(
    archive: Path, place: Place, undisturbed: dict[str, Any]
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.when(lambda seen: seen.number > 2, Fault(Kind.DELAY, seconds=2.0))
        place.write_job(job_text(archive, server.url, limit="concurrency = 1"))
        ended = place.run(place.job, "--max-time", "1s")
        assert ended.code == 5, ended.stderr
        assert server.tokens_used == ended.said["tokens_charged"] < TOKENS
        check_rows(place, ended)
        server.faults.clear()
        after = place.run()
        assert (after.code, server.tokens_used) == (1, TOKENS)
        assert report_of(place, after) == undisturbed
