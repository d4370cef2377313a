from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Needs, Quota
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Score, Shortfall, Utterance
from batch_scan.vocabulary import Medium, Outcome, Reason
from tests.asking_kit import (
    BREAKS_ADAPTER,
    SPEC,
    UNREADABLE,
    Desk,
    Hold,
    Step,
    ToyEndpoint,
    ToyTranscriber,
    desk_of,
    ledger_in,
    sample_of,
    without_data,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.asked import Asked
    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.model import Sample
    from batch_scan.transcribe.interface import Transcriber

PRICED = ServiceConfig(token_price=0.5)


def labels_of(asked: Asked) -> list[tuple[float, str]]:
    """When, and what was said of it."""
    return sorted((one.start_s, one.vendor_label) for one in asked.readings if isinstance(one, Score))


async def ask_once(
    directory: Path, service: Endpoint | Transcriber, samples: Sequence[Sample], tokens: int | None = None
) -> tuple[Asked, Desk]:
    async with ledger_in(directory) as ledger:
        desk = desk_of(ledger, service, tokens)
        asked = await desk.asker.ask(samples)
        assert (desk.in_flight, desk.reserved) == (0, 0)
    return asked, desk


# ------------------------------------------------------------------------------------------------------- asked once


async def test_an_answer_gives_scores_a_record_and_the_charge(tmp_path: Path) -> None:
    asked, desk = await ask_once(tmp_path, ToyEndpoint(config=PRICED), [sample_of("a", 1), sample_of("b", 2)])
    assert labels_of(asked) == [(1, "a"), (2, "b")]
    assert (len(asked.answered), asked.unanswered, asked.shortfalls) == (2, (), ())
    (record,) = asked.records
    assert record.outcome is Outcome.ANSWERED
    assert (record.samples, record.attempts, record.start_s, record.end_s) == (2, 1, 1, 2)
    assert (record.tokens_estimated, record.tokens_charged, record.cost, record.bytes_sent) == (4, 2, 1.0, 10)
    assert (record.http_status, record.vendor_code, record.vendor_request_id, record.cached) == (
        200,
        "ok",
        "v-1",
        False,
    )
    assert record.answer == '["a", "b"]'
    assert desk.asker.delivery.charged_tokens == 2


async def test_two_files_that_ask_the_same_at_once_ask_it_once(tmp_path: Path) -> None:
    hold = Hold()
    service = ToyEndpoint(hold)
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, service).asker
        first = asyncio.create_task(asker.ask([sample_of("a", 1)]))
        await hold.arrived.wait()
        second = asyncio.create_task(asker.ask([sample_of("a", 7), sample_of("b", 8)]))
        await asyncio.sleep(0)
        hold.let_go.set()
        one, other = await first, await second
    assert [len(request.samples) for request in service.submitted] == [1, 1]
    assert [sample.data for request in service.submitted for sample in request.samples] == [b"a", b"b"]
    assert labels_of(one) == [(1, "a")]
    assert labels_of(other) == [(7, "a"), (8, "b")]
    assert [record.cached for record in other.records] == [True, False]
    assert sum(record.tokens_charged for record in (*one.records, *other.records)) == 2


async def test_a_question_whose_asker_was_cancelled_is_not_asked_again_while_its_answer_is_on_its_way(
    tmp_path: Path,
) -> None:
    hold = Hold()
    service = ToyEndpoint(hold)
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, service).asker
        first = asyncio.create_task(asker.ask([sample_of("a")]))
        await hold.arrived.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(asker.ask([sample_of("a", 7)]))
        await asyncio.sleep(0)
        hold.let_go.set()
        other = await second
    assert len(service.submitted) == 1
    assert labels_of(other) == [(7, "a")]


async def test_the_same_content_at_several_places_of_one_batch_is_sent_once_and_read_for_each(tmp_path: Path) -> None:
    service = ToyEndpoint()
    samples = [sample_of("a", 1), sample_of("b", 2), sample_of("a", 3), sample_of("a", 4)]
    asked, _ = await ask_once(tmp_path, service, samples)
    (request,) = service.submitted
    assert [sample.start_s for sample in request.samples] == [1, 2]
    assert labels_of(asked) == [(1, "a"), (2, "b"), (3, "a"), (4, "a")]
    assert sorted(sample.start_s for sample in asked.answered) == [1, 2, 3, 4]
    assert len(asked.records) == 1


async def test_two_samples_that_are_alike_in_everything_are_both_accounted_for(tmp_path: Path) -> None:
    asked, _ = await ask_once(tmp_path, ToyEndpoint(), [sample_of("a", 1), sample_of("a", 1)])
    assert len(asked.answered) == 2


async def test_repeats_of_a_content_that_was_not_answered_are_unanswered_too(tmp_path: Path) -> None:
    service = ToyEndpoint(EndpointError(Failure.REFUSED, "no"))
    asked, _ = await ask_once(tmp_path, service, [sample_of("a", 1), sample_of("a", 3)])
    assert (asked.answered, len(asked.unanswered), len(asked.shortfalls)) == ((), 2, 1)


# ------------------------------------------------------------------------------------------------ remembered answers


async def test_what_is_remembered_is_not_sent_and_takes_its_new_times(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        await desk_of(ledger, service).asker.ask([sample_of("a", 1), sample_of("b", 2), sample_of("c", 3)])
        desk = desk_of(ledger, service, tokens=0, run_id="run-2")
        asked = await desk.asker.ask([without_data(sample_of("c", 30)), without_data(sample_of("a", 10))])
    assert len(service.submitted) == 1
    assert labels_of(asked) == [(10, "a"), (30, "c")]
    (record,) = asked.records
    assert (record.cached, record.attempts, record.samples, record.tokens_charged) == (True, 0, 2, 0)
    assert (record.start_s, record.end_s, record.outcome) == (10, 30, Outcome.ANSWERED)
    assert record.request_id == service.submitted[0].request_id
    assert desk.asker.delivery.charged_tokens == 0


async def test_a_batch_that_is_partly_remembered_sends_the_rest(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        await desk_of(ledger, service).asker.ask([sample_of("a", 1), sample_of("b", 2)])
        asked = await desk_of(ledger, service).asker.ask([sample_of("c", 5), sample_of("b", 6), sample_of("d", 7)])
    assert [sample.data for sample in service.submitted[1].samples] == [b"c", b"d"]
    assert labels_of(asked) == [(5, "c"), (6, "b"), (7, "d")]
    assert [(record.cached, record.samples) for record in asked.records] == [(True, 1), (False, 2)]


async def test_a_remembered_answer_that_can_no_longer_be_read_is_not_clean(tmp_path: Path) -> None:
    class Newer(ToyEndpoint):
        def read(self, request: object, answer: object) -> list[Score]:
            raise ValueError("a field is missing")

    async with ledger_in(tmp_path) as ledger:
        await desk_of(ledger, ToyEndpoint()).asker.ask([sample_of("a")])
        asked = await desk_of(ledger, Newer()).asker.ask([sample_of("a")])
    assert (asked.answered, len(asked.unanswered)) == ((), 1)
    assert [gap.reason for gap in asked.shortfalls] == [Reason.UNRECOGNISED_ANSWER]


async def test_an_answer_belongs_to_service_operation_and_settings(tmp_path: Path) -> None:
    class Stricter(ToyEndpoint):
        @property
        def settings(self) -> dict[str, int]:
            return {"adapter": 2}

    async with ledger_in(tmp_path) as ledger:
        keys = {
            desk_of(ledger, service).asker.key(sample)
            for service in (ToyEndpoint(), ToyEndpoint(name="other"), Stricter())
            for sample in (sample_of("a"), sample_of("b"), sample_of("a", medium=Medium.UTTERANCE))
        }
        again = desk_of(ledger, ToyEndpoint(config=PRICED)).asker
        assert again.key(sample_of("a", 99)) in keys
    assert len(keys) == 9


async def test_what_a_sandbox_on_this_machine_says_is_never_the_vendors_word(tmp_path: Path) -> None:
    class Hosted(ServiceConfig):
        base_url: str

    urls = ["https://api.example.com", "https://eu.example.com", "http://127.0.0.1:8000", "http://localhost:9"]
    async with ledger_in(tmp_path) as ledger:
        askers = [desk_of(ledger, ToyEndpoint(config=Hosted(base_url=url))).asker for url in urls]
        world, europe, trial, other_trial = (asker.key(sample_of("a")) for asker in askers)
        assert world == europe == desk_of(ledger, ToyEndpoint()).asker.key(sample_of("a"))
        assert trial == other_trial != world
        await askers[2].ask([sample_of("a")])
        assert not askers[0].knows([sample_of("a")])


async def test_all_is_known_only_where_every_sample_is(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, ToyEndpoint()).asker
        await asker.ask([sample_of("a")])
        assert asker.knows([])
        assert asker.knows([sample_of("a", 4), sample_of("a", 5)])
        assert not asker.knows([sample_of("a"), sample_of("b")])


# -------------------------------------------------------------------------------------------------- words and gaps


async def test_words_that_were_not_understood_are_a_shortfall_beside_the_utterances(tmp_path: Path) -> None:
    chunk = sample_of("hello foreign", 10, Medium.AUDIO, 2)
    async with ledger_in(tmp_path) as ledger:
        for _ in range(2):  # from the service, then from memory
            asked = await desk_of(ledger, ToyTranscriber()).asker.ask([chunk])
            words = [(one.start_s, one.text) for one in asked.readings if isinstance(one, Utterance)]
            assert words == [(10, "hello"), (11, "foreign")]
            assert [gap.reason for gap in asked.shortfalls] == [Reason.NOT_UNDERSTOOD]


# ------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("failure", "attempts", "reason"),
    [
        (Failure.TRANSIENT, 3, Reason.REQUEST_FAILED),
        (Failure.RATE_LIMITED, 3, Reason.REQUEST_FAILED),
        (Failure.REFUSED, 1, Reason.SAMPLE_REFUSED),
        (Failure.FATAL, 1, Reason.ENDPOINT_STOPPED),
    ],
)
async def test_each_kind_of_failure_is_tried_as_often_as_helps(
    tmp_path: Path, failure: Failure, attempts: int, reason: Reason
) -> None:
    limit = LimitTable(max_attempts=3)
    errors = [EndpointError(failure, "no\x1b[31m", http_status=499, vendor_code="e") for _ in range(5)]
    service = ToyEndpoint(*errors, config=ServiceConfig(limit=limit))
    asked, desk = await ask_once(tmp_path, service, [sample_of("a"), sample_of("b")])
    assert len(service.submitted) == attempts
    (record,), (gap,) = asked.records, asked.shortfalls
    assert (record.outcome, record.attempts, record.tokens_charged) == (Outcome.FAILED, attempts, 0)
    assert (record.http_status, record.vendor_code, record.error) == (499, "e", "no\N{REPLACEMENT CHARACTER}[31m")
    assert (gap.reason, gap.error_type) == (reason, f"EndpointError.{failure}")
    assert "\x1b" not in gap.detail
    assert (len(asked.unanswered), asked.readings) == (2, ())
    assert (desk.asker.delivery.stopped is not None) == (failure is Failure.FATAL)


async def test_a_passing_trouble_is_retried_until_the_answer_comes(tmp_path: Path) -> None:
    errors = [
        EndpointError(Failure.TRANSIENT, "reset", maybe_charged=True),
        EndpointError(Failure.RATE_LIMITED, "slow", retry_after_s=20),
    ]
    service = ToyEndpoint(*errors)
    asked, desk = await ask_once(tmp_path, service, [sample_of("a")])
    (record,) = asked.records
    assert (record.outcome, record.attempts, record.error) == (Outcome.ANSWERED, 3, "")
    assert len({request.request_id for request in service.submitted}) == 1
    assert desk.clock.now_s >= 1020


async def test_what_finds_no_connection_is_tried_as_often_and_counts_as_not_sent(tmp_path: Path) -> None:
    errors = [EndpointError(Failure.TRANSIENT, "no route", was_sent=False) for _ in range(5)]
    service = ToyEndpoint(*errors, config=ServiceConfig(limit=LimitTable(max_attempts=3)))
    asked, _ = await ask_once(tmp_path, service, [sample_of("a")])
    (record,), (gap,) = asked.records, asked.shortfalls
    assert (len(service.submitted), record.outcome, record.attempts) == (3, Outcome.FAILED, 0)
    assert (gap.reason, gap.detail) == (Reason.REQUEST_FAILED, "toy did not answer after 3 attempts: no route")


async def test_what_finds_no_connection_after_something_was_paid_counts_as_sent(tmp_path: Path) -> None:
    error = EndpointError(Failure.REFUSED, "no route", was_sent=False, maybe_charged=True)
    asked, _ = await ask_once(tmp_path, ToyEndpoint(error), [sample_of("a")])
    assert [record.attempts for record in asked.records] == [1]


async def test_a_request_is_not_retried_beyond_its_time(tmp_path: Path) -> None:
    limit = LimitTable(max_attempts=1000, max_retry_s=100)
    service = ToyEndpoint(*[EndpointError(Failure.TRANSIENT, "5xx")] * 1000, config=ServiceConfig(limit=limit))
    asked, desk = await ask_once(tmp_path, service, [sample_of("a")])
    assert desk.clock.now_s <= 1100
    assert asked.records[0].attempts == len(service.submitted) < 1000


async def test_a_far_retry_after_stops_the_service_and_lets_nobody_wait_for_it(tmp_path: Path) -> None:
    limit = LimitTable(concurrency=1, max_retry_s=60)
    error = EndpointError(Failure.RATE_LIMITED, "come back tomorrow", retry_after_s=80_000)
    service = ToyEndpoint(error, config=ServiceConfig(limit=limit))
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        desk.clock.stands_still = True
        async with asyncio.timeout(10):
            both = await asyncio.gather(desk.asker.ask([sample_of("a")]), desk.asker.ask([sample_of("b")]))
            later = await desk.asker.ask([sample_of("c")])
    assert len(service.submitted) == 1
    assert (desk.in_flight, desk.reserved) == (0, 0)
    assert [gap.reason for asked in (*both, later) for gap in asked.shortfalls] == [Reason.ENDPOINT_STOPPED] * 3
    assert "22 h 13 min" in later.shortfalls[0].detail
    assert [asked.records[0].outcome for asked in (*both, later)] == [
        Outcome.FAILED,
        Outcome.NOT_SENT,
        Outcome.NOT_SENT,
    ]


async def test_a_refusal_for_good_stops_what_was_not_sent_yet(tmp_path: Path) -> None:
    config = ServiceConfig(limit=LimitTable(concurrency=1))
    service = ToyEndpoint(EndpointError(Failure.FATAL, "the key was revoked"), config=config)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        many = await asyncio.gather(*(desk.asker.ask([sample_of(str(number))]) for number in range(20)))
    assert len(service.submitted) == 1
    assert {gap.reason for asked in many for gap in asked.shortfalls} == {Reason.ENDPOINT_STOPPED}
    assert all("the key was revoked" in asked.shortfalls[0].detail for asked in many)
    assert (desk.in_flight, desk.reserved) == (0, 0)


@pytest.mark.parametrize("raw", [UNREADABLE, BREAKS_ADAPTER])
async def test_an_unreadable_answer_is_charged_not_remembered_and_not_clean(tmp_path: Path, raw: str) -> None:
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(raw, config=PRICED))
        asked = await desk.asker.ask([sample_of("a"), sample_of("b")])
        assert not desk.asker.knows([sample_of("a")])
    (record,), (gap,) = asked.records, asked.shortfalls
    assert (record.outcome, record.tokens_charged, record.cost, record.answer) == (Outcome.FAILED, 2, 1.0, raw)
    assert (gap.reason, asked.answered, asked.readings) == (Reason.UNRECOGNISED_ANSWER, (), ())
    assert desk.asker.delivery.charged_tokens == 2


@pytest.mark.parametrize(
    "step", [UNREADABLE, BREAKS_ADAPTER, EndpointError(Failure.REFUSED, "no JSON", http_status=200, maybe_charged=True)]
)
async def test_what_was_answered_in_vain_is_asked_once_in_a_run_and_again_in_the_next(
    tmp_path: Path, step: Step
) -> None:
    service = ToyEndpoint(step)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        await desk.asker.ask([sample_of("a", 1)])
        twice = await desk.asker.ask([sample_of("a", 7), sample_of("b", 8)])
        assert [sample.data for request in service.submitted for sample in request.samples] == [b"a", b"b"]
        assert labels_of(twice) == [(8, "b")]
        assert [sample.start_s for sample in twice.unanswered] == [7]
        (gap,) = twice.shortfalls
        assert gap.reason is Reason.UNRECOGNISED_ANSWER
        assert "not asked again in this run" in gap.detail
        left, sent = twice.records
        assert (left.outcome, left.attempts, left.tokens_charged) == (Outcome.NOT_SENT, 0, 0)
        assert (sent.outcome, sent.samples) == (Outcome.ANSWERED, 1)
        later = await desk_of(ledger, service, run_id="run-2").asker.ask([sample_of("a", 1)])
    assert (labels_of(later), len(service.submitted)) == ([(1, "a")], 3)


async def test_what_was_answered_in_vain_is_not_asked_again_where_its_asker_was_cancelled(tmp_path: Path) -> None:
    class Vain(ToyEndpoint):
        def read(self, request: object, answer: object) -> list[Score]:
            raise EndpointError(Failure.REFUSED, "isClean is missing")

    hold = Hold()
    service = Vain(hold)
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, service).asker
        first = asyncio.create_task(asker.ask([sample_of("a")]))
        await hold.arrived.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(asker.ask([sample_of("a", 7)]))
        await asyncio.sleep(0)
        hold.let_go.set()
        other = await second
    assert len(service.submitted) == 1
    assert [gap.reason for gap in other.shortfalls] == [Reason.UNRECOGNISED_ANSWER]


async def test_a_refusal_that_cost_nothing_may_be_asked_again(tmp_path: Path) -> None:
    service = ToyEndpoint(EndpointError(Failure.REFUSED, "bad request", http_status=400))
    async with ledger_in(tmp_path) as ledger:
        asker = desk_of(ledger, service).asker
        assert (await asker.ask([sample_of("a")])).shortfalls[0].reason is Reason.SAMPLE_REFUSED
        assert labels_of(await asker.ask([sample_of("a", 7)])) == [(7, "a")]


async def test_what_may_be_charged_each_time_is_sent_three_times_and_what_is_not_as_often_as_allowed(
    tmp_path: Path,
) -> None:
    free, paid = (EndpointError(Failure.TRANSIENT, "5xx", maybe_charged=charged) for charged in (False, True))
    for script, attempts in (([paid] * 9, 3), ([free] * 9, 6), ([free, free, free, paid, None], 5)):
        service = ToyEndpoint(*script)
        asked, _ = await ask_once(tmp_path / str(attempts), service, [sample_of("a")])
        assert asked.records[0].attempts == len(service.submitted) == attempts
    assert asked.answered


async def test_an_adapter_that_stumbles_takes_only_its_request_down(tmp_path: Path) -> None:
    asked, _ = await ask_once(tmp_path, ToyEndpoint(RuntimeError("oops")), [sample_of("a")])
    assert asked.shortfalls[0].reason is Reason.REQUEST_FAILED
    assert "RuntimeError: oops" in asked.shortfalls[0].detail


async def test_a_sample_larger_than_is_taken_is_not_sent(tmp_path: Path) -> None:
    service = ToyEndpoint(needs=Needs(frame=BatchLimits(sample_bytes=3)))
    asked, _ = await ask_once(tmp_path, service, [sample_of("abcd")])
    sound = ToyEndpoint(needs=Needs(audio=replace(SPEC, max_bytes=3)))
    heard, _ = await ask_once(tmp_path, sound, [sample_of("abcd", medium=Medium.AUDIO)])
    assert service.submitted == sound.submitted == []
    assert [gap.reason for gap in (*asked.shortfalls, *heard.shortfalls)] == [Reason.SAMPLE_TOO_LARGE] * 2
    assert (asked.records[0].outcome, len(asked.unanswered)) == (Outcome.NOT_SENT, 1)


async def test_what_the_budget_refuses_is_not_sent(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service, tokens=3)
        first = await desk.asker.ask([sample_of("a")])
        second = await desk.asker.ask([sample_of("b"), sample_of("c")])
        third = await desk.asker.ask([sample_of("d")])
    assert [len(asked.answered) for asked in (first, second, third)] == [1, 0, 1]
    assert (second.shortfalls[0].reason, second.records[0].outcome) == (Reason.BUDGET, Outcome.NOT_SENT)
    assert desk.asker.delivery.broke is not None
    assert len(service.submitted) == 2


async def test_a_shut_gate_sends_nothing_but_serves_what_is_remembered(tmp_path: Path) -> None:
    service = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        await desk.asker.ask([sample_of("a")])
        desk.gate.shut = Shortfall(Reason.TIME_LIMIT, "late")
        asked = await desk.asker.ask([sample_of("a"), sample_of("b")])
    assert [sample.data for sample in asked.answered] == [b"a"]
    assert [gap.reason for gap in asked.shortfalls] == [Reason.TIME_LIMIT]
    assert len(service.submitted) == 1


async def test_opening_takes_over_the_rate_that_the_service_names(tmp_path: Path) -> None:
    service = ToyEndpoint()
    service.quota = Quota(requests_per_minute=30, tokens_used=7)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        assert await desk.asker.open() == service.quota
    assert desk.limiter.of("toy").requests_per_minute == 30


# -------------------------------------------------------------------------------------------------- conservation


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.none(),
    st.sampled_from([UNREADABLE, BREAKS_ADAPTER]),
    st.just(RuntimeError("oops")),
    st.builds(
        EndpointError,
        st.sampled_from(Failure),
        st.just("no"),
        retry_after_s=st.sampled_from([None, 1.0, 10_000.0]),
        maybe_charged=st.booleans(),
    ),
)
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "bad"]), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=12), st.lists(WORDS, min_size=1, max_size=6), st.sampled_from([None, 6]))
def test_every_sample_is_answered_or_has_a_reason_and_never_more_is_spent_than_allowed(
    script: list[Step], files: list[list[str]], tokens: int | None
) -> None:
    service = ToyEndpoint(*script, config=ServiceConfig(limit=LimitTable(concurrency=2, max_attempts=3)))

    async def main(directory: Path) -> None:
        async with ledger_in(directory) as ledger:
            desk = desk_of(ledger, service, tokens)
            batches = [[sample_of(word, at) for at, word in enumerate(words)] for words in files]
            everything = await asyncio.gather(*(desk.asker.ask(batch) for batch in batches))
            for batch, asked in zip(batches, everything, strict=True):
                parts = sorted(asked.answered + asked.unanswered, key=lambda sample: sample.start_s)
                assert parts == batch
                assert bool(asked.unanswered) == bool(asked.shortfalls)
                assert desk.asker.knows(asked.answered)
                labels = [(sample.start_s, (sample.data or b"").decode()) for sample in asked.answered]
                assert labels_of(asked) == sorted(labels)
            records = [record for asked in everything for record in asked.records]
            assert sum(record.tokens_charged for record in records) == desk.asker.delivery.charged_tokens
            assert sum(record.attempts for record in records) == len(service.submitted)
            assert sum(ledger.spent("run-1").values()) == desk.budget.spent()
            assert tokens is None or desk.budget.spent() <= tokens
            assert (desk.in_flight, desk.reserved) == (0, 0)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))
