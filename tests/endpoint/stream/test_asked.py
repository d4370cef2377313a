"""Stream as the core asks it: paid once, read from memory, one sample at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from batch_scan.sandbox import faults
from batch_scan.vocabulary import Outcome, Reason
from tests.asking_kit import desk_of, ledger_in, without_data
from tests.endpoint.stream.kit import StreamHarness, text_sample

if TYPE_CHECKING:
    from pathlib import Path

SAID = ("a fine day", "you idiot", "good bread")


async def test_what_was_asked_together_is_remembered_apart(harness: StreamHarness, tmp_path: Path) -> None:
    samples = [text_sample(text, 10.0 * number) for number, text in enumerate(SAID)]
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, harness.endpoint())
        await desk.asker.open()
        asked = await desk.asker.ask(samples)
        (record,) = asked.records
        assert (record.tokens_estimated, record.tokens_charged, harness.tokens_charged()) == (4, 4, 4)
        again = [text_sample(text, 100.0 - 10.0 * number) for number, text in enumerate(SAID)]
        later = await desk_of(ledger, desk.asker.service, run_id="run-2").asker.ask(
            [without_data(one) for one in again]
        )
        await desk.asker.service.close()
    assert [reading.start_s for reading in asked.readings] == [10.0]
    assert [reading.start_s for reading in later.readings] == [90.0]
    assert (len(later.answered), harness.tokens_charged()) == (3, 4)


async def test_a_rate_limit_in_the_midst_is_waited_out_and_nothing_is_paid_twice(
    harness: StreamHarness, tmp_path: Path
) -> None:
    harness.server.faults.at(3, faults.rate_limited("30"))
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, harness.endpoint())
        await desk.asker.open()
        asked = await desk.asker.ask([text_sample(text) for text in SAID])
        await desk.asker.service.close()
    (record,) = asked.records
    assert (record.outcome, record.attempts, record.tokens_charged) == (Outcome.ANSWERED, 2, 4)
    assert (harness.tokens_charged(), len(harness.server.calls), desk.reserved) == (4, 5, 0)


async def test_a_check_without_an_end_leaves_its_samples_unanswered_and_is_not_asked_again(
    harness: StreamHarness, tmp_path: Path
) -> None:
    harness.server.async_texts, harness.server.async_delay_s = True, math.inf
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, harness.endpoint(follow_up_s=0.1))
        await desk.asker.open()
        asked = [await desk.asker.ask([text_sample("a fine day")]) for _ in range(2)]
        await desk.asker.service.close()
    assert [one.answered for one in asked] == [(), ()]
    assert [one.shortfalls[0].reason for one in asked] == [Reason.UNRECOGNISED_ANSWER] * 2
    assert "was not final within follow_up_s" in asked[0].shortfalls[0].detail
    assert len(harness.server.calls) == 1
