from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.media.ways import FrameWork
from batch_scan.model import Coverage, FileResult, FileRow, Item, MediaInfo, RequestId, RequestRecord
from batch_scan.pace.retry import RetryPolicy
from batch_scan.plan import PlanOutcome, Quoter, ServiceQuote
from batch_scan.plan_text import plan_dict, plan_text
from batch_scan.vocabulary import Medium, Outcome, Reason, Status, Verdict
from tests.asking_kit import ToyEndpoint, desk_of, ledger_in, sample_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch_scan.ledger import Ledger
    from batch_scan.model import Sample


def quoter_of(ledger: Ledger, service: ToyEndpoint) -> Quoter:
    desk = desk_of(ledger, service)
    return Quoter(service.name, service, desk.asker._meters, RetryPolicy.of(service.config.limit), desk.gate)


def record(endpoint: str, tokens: int, *, cached: bool = False, error: str = "") -> RequestRecord:
    return RequestRecord(
        RequestId("r"),
        endpoint,
        "judge",
        Medium.FRAME,
        0,
        0,
        1,
        Outcome.ANSWERED if cached else Outcome.NOT_SENT,
        cached=cached,
        tokens_estimated=tokens,
        error=error,
    )


def result(
    status: Status = Status.COMPLETE,
    reason: Reason | None = None,
    duplicate_of: str = "",
    requests: tuple[RequestRecord, ...] = (),
) -> FileResult:
    row = FileRow(
        Item(0, "/a", "0:/a", "/a"),
        Verdict.UNKNOWN,
        status,
        reason,
        media=MediaInfo("mp3", 1800.0) if status is Status.COMPLETE else None,
        coverage=Coverage(frames_planned=10, frames_extracted=10, frames_deduplicated=4),
        duplicate_of=duplicate_of,
    )
    return FileResult(row, requests=requests)


def plan() -> PlanOutcome:
    outcome = PlanOutcome(
        services={
            "safecomms": ServiceQuote(requests_per_minute=30, token_price=0.01, tokens_saved=7),
            "local": ServiceQuote(),
        }
    )
    sent = (record("safecomms", 20), record("safecomms", 8), record("safecomms", 0, cached=True), record("local", 0))
    outcome.add(result(requests=sent))
    outcome.add(result(duplicate_of="/a"))
    outcome.add(result(Status.FAILED, Reason.NOT_MEDIA))
    return outcome


# ------------------------------------------------------------------------------------------------------------ quoting


async def test_each_content_is_quoted_once_and_nothing_is_sent(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        quoter = quoter_of(ledger, service)
        first = await quoter.ask([sample_of("a", 1), sample_of("b", 2)])
        second = await quoter.ask([sample_of("b", 3), sample_of("c", 4)])
    assert service.submitted == []
    assert [sum(one.tokens_estimated for one in asked.records) for asked in (first, second)] == [4, 2]
    assert [len(asked.answered) for asked in (first, second)] == [2, 2]
    assert [one.outcome for one in first.records] == [Outcome.NOT_SENT]


async def test_the_same_content_twice_in_one_batch_is_quoted_once(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        asked = await quoter_of(ledger, ToyEndpoint()).ask([sample_of("a", 1), sample_of("b", 2), sample_of("a", 3)])
    assert [one.tokens_estimated for one in asked.records] == [4]
    assert len(asked.answered) == 3


async def test_near_twins_save_what_they_would_cost(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        quoter = quoter_of(ledger, ToyEndpoint())
        alone, thrice = sample_of("a", 1), replace(sample_of("b", 2), stands_for=3)
        asked = await quoter.ask([alone, thrice])
        await quoter.ask([thrice])
    assert quoter.tokens_saved == 2 * sum(one.tokens_estimated for one in asked.records) / 2


def test_a_plan_tells_of_the_ways_of_files() -> None:
    work = FrameWork(0, 5.0, packets=250, keyframes=5, group_s=2.0, sent=50, decoded=30, taken=2, cpu_s=1.0)
    outcome = PlanOutcome()
    outcome.add(replace(result(), frame_works=(work,)))
    assert outcome.ways.values["tracks"] == {"selective": 1}
    assert "pictures       1 film, 1 in one pass" in plan_text(outcome)


async def test_what_is_remembered_costs_nothing(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        await desk_of(ledger, service).asker.ask([sample_of("a")])
        asked = await quoter_of(ledger, service).ask([sample_of("a", 5), sample_of("b", 6)])
    assert [(one.cached, one.tokens_estimated) for one in asked.records] == [(True, 0), (False, 2)]


async def test_a_plan_counts_what_the_scan_would_send(tmp_path: Path) -> None:
    needs = Needs(frame=BatchLimits(samples=2, sample_bytes=4))
    config = ServiceConfig(limit=LimitTable(requests_per_minute=60))
    words = [["a", "b"], ["b", "c"], ["toolarge"], ["c", "c"], ["d", "d"]]
    batches = [[sample_of(word, at) for at, word in enumerate(batch)] for batch in words]
    outcome = PlanOutcome(services={"toy": ServiceQuote()})
    service = ToyEndpoint(needs=needs, config=config)
    async with ledger_in(tmp_path) as ledger:
        quoter, asker = quoter_of(ledger, service), desk_of(ledger, service).asker
        for batch in batches:
            outcome.add(result(requests=(await quoter.ask(batch)).records))
        for batch in batches:
            await asker.ask(batch)
    quote = outcome.services["toy"]
    assert (quote.requests, quote.tokens) == (len(service.submitted), 2 * asker.delivery.charged_tokens)


# ------------------------------------------------------------------------------------------------------------- counts


def test_a_plan_adds_up() -> None:
    outcome = plan()
    assert (outcome.files, outcome.to_scan, outcome.duplicates) == (3, 1, 1)
    assert (outcome.media_s, outcome.frames, outcome.frames_deduplicated, outcome.tokens) == (1800, 6, 4, 28)
    quote = outcome.services["safecomms"]
    assert (quote.requests, quote.cached_requests, quote.tokens) == (2, 1, 28)
    assert quote.time_s == 4.0
    assert quote.cost == pytest.approx(0.28)
    assert (outcome.services["local"].time_s, outcome.services["local"].cost) == (None, None)
    assert outcome.not_examined == {Reason.NOT_MEDIA: 1}


def test_a_plan_reads_as_text() -> None:
    assert plan_text(plan()).splitlines() == [
        "files          3 (1 to scan, 1 with the content of another)",
        "media          0.50 hours",
        "frames         6 to judge, 4 share the answer of a near-twin, which saves 7 tokens",
        "local          1 requests, 0 tokens",
        "safecomms      2 requests, 1 answered already, 28 tokens, cost 0.28, 4.0 s at 30 requests a minute",
        "not examined   1 files: not_media",
        "nothing was sent; words are counted only once they have been transcribed",
    ]


def test_a_plan_is_values_for_a_program() -> None:
    assert plan_dict(plan()) == {
        "items": 3,
        "to_scan": 1,
        "duplicates": 1,
        "media_hours": 0.5,
        "frames": 6,
        "frames_deduplicated": 4,
        "tokens_saved": 7,
        "decoding": {"tracks": {}, "pictures": 0, "pictures_decoded": 0, "cpu_s": 0.0, "whole_cpu_s": 0.0},
        "requests": 3,
        "cached_requests": 1,
        "tokens": 28,
        "services": {
            "local": {
                "requests": 1,
                "cached_requests": 0,
                "tokens": 0,
                "tokens_saved": 0,
                "cost": None,
                "time_s": None,
            },
            "safecomms": {
                "requests": 2,
                "cached_requests": 1,
                "tokens": 28,
                "tokens_saved": 7,
                "cost": pytest.approx(0.28),
                "time_s": 4.0,
            },
        },
        "not_examined": {"not_media": 1},
        "not_examined_examples": {"not_media": ""},
    }


async def test_what_is_played_at_its_own_speed_takes_its_time_shared_by_those_at_once(tmp_path: Path) -> None:
    class Player(ToyEndpoint):
        def lasts_s(self, medium: Medium, samples: Sequence[Sample]) -> float:
            return sum(sample.duration_s for sample in samples)

    service = Player(needs=Needs(stream=StreamNeeds(pictures=True)))
    async with ledger_in(tmp_path) as ledger:
        quoter = quoter_of(ledger, service)
        for name in ("first", "second", "first"):
            await quoter.ask([replace(sample_of(name, 0.0, Medium.STREAM, 5400.0), data=None)])
    assert quoter.live_s == 10_800.0
    outcome = PlanOutcome(services={"toy": ServiceQuote(requests=2, live_s=quoter.live_s, concurrency=2)})
    assert outcome.services["toy"].time_s == 5400.0
    assert "1 h 30 min to play" in plan_text(outcome)
    assert "to play 3 h 00 min at its own speed, 2 at a time" in plan_text(outcome)


def test_a_rate_slower_than_the_playing_is_what_takes_the_time() -> None:
    quote = ServiceQuote(requests=60, requests_per_minute=1.0, live_s=600.0, concurrency=2)
    assert quote.time_s == 3600.0
