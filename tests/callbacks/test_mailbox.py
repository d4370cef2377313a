from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.callbacks.mailbox import ENTRY_BYTES, LetterBox, Posted
from batch_scan.callbacks.table import CallbacksTable
from batch_scan.errors import EndpointError, Failure
from batch_scan.ledger import Ledger
from tests.callbacks.posting import RUN, by_id, callback
from tests.ledger_kit import rows_of

if TYPE_CHECKING:
    from pathlib import Path


def box_of(ledger: Ledger, **bounds: Any) -> LetterBox:
    table = CallbacksTable(**bounds)
    return LetterBox("toy", by_id, "http://127.0.0.1:1/path", run_id=RUN, rows=ledger.callbacks, table=table)


async def post(box: LetterBox, body: bytes) -> Posted:
    return await box.post({}, body)


async def test_beyond_what_is_kept_of_one_thing_its_answer_is_incomplete_and_others_go_on(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_per_subject=3)
        posted = [await post(box, callback("a", number)) for number in range(5)]
        assert posted == [Posted.KEPT] * 3 + [Posted.FULL] * 2
        assert await post(box, callback("a", 1)) is Posted.KNOWN
        assert await post(box, callback("b")) is Posted.KEPT
        assert [await box.next("a", 0.0) for _ in range(3)] == [callback("a", number) for number in range(3)]
        with pytest.raises(EndpointError, match=r"max_per_subject = 3") as lost:
            await box.next("a", 20.0)
        assert lost.value.failure is Failure.REFUSED
        assert lost.value.maybe_charged
        assert await box.next("b", 0.0) == callback("b")
        assert rows_of(tmp_path, "SELECT count(*) FROM callbacks") == [(4,)]


async def test_beyond_what_is_kept_in_all_nothing_is_kept_and_everybody_learns_it(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_kept_bytes=1_000_000)
        waiting = asyncio.create_task(box.next("waiting", 20.0))
        posted = [await post(box, callback(f"a-{number}", padding=250_000)) for number in range(6)]
        assert posted == [Posted.KEPT] * 3 + [Posted.FULL] * 3
        with pytest.raises(EndpointError, match="max_kept_bytes") as lost:
            await waiting
        assert lost.value.failure is Failure.FATAL
        assert await box.next("a-0", 0.0) == callback("a-0", padding=250_000)
        with pytest.raises(EndpointError, match="max_kept_bytes"):
            await box.next("a-5", 20.0)


async def test_what_is_forgotten_makes_room_and_comes_no_more(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_kept_bytes=1_000_000)
        size = len(callback("a", 1, padding=600_000)) + ENTRY_BYTES
        assert size < 1_000_000 < 2 * size
        for round_number in range(4):
            assert await post(box, callback(f"a-{round_number}", padding=600_000)) is Posted.KEPT
            box.forget(f"a-{round_number}")
            assert await post(box, callback(f"a-{round_number}", 1)) is Posted.IGNORED
        await ledger.flush()
        assert rows_of(tmp_path, "SELECT count(*) FROM callbacks") == [(0,)]


async def test_what_is_forgotten_while_it_is_written_is_gone_too(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger)
        posting = asyncio.create_task(post(box, callback("a")))
        await asyncio.sleep(0)  # it waits for the disk now
        box.forget("a")
        assert await posting is Posted.IGNORED
        await ledger.flush()
        assert rows_of(tmp_path, "SELECT count(*) FROM callbacks") == [(0,)]


async def test_asking_again_for_what_was_forgotten_takes_what_comes_from_then_on(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger)
        await post(box, callback("a", 1))
        box.forget("a")
        waiting = asyncio.create_task(box.next("a", 20.0))
        await asyncio.sleep(0)
        assert await post(box, callback("a", 2)) is Posted.KEPT
        assert await waiting == callback("a", 2)


async def test_several_who_wait_for_one_thing_get_one_each(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger)
        waiting = [asyncio.create_task(box.next("a", 20.0)) for _ in range(3)]
        await asyncio.sleep(0)
        for number in range(3):
            await post(box, callback("a", number))
        assert sorted(await asyncio.gather(*waiting)) == sorted(callback("a", number) for number in range(3))


async def test_the_bounds_hold_across_processes(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_per_subject=2)
        for number in range(2):
            await post(box, callback("a", number))
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_per_subject=2)
        assert await post(box, callback("a", 2)) is Posted.FULL


async def test_a_flood_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Ledger.open(tmp_path) as ledger:
        box = box_of(ledger, max_per_subject=1)
        for number in range(20):
            await post(box, callback("a", number))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("batch_scan")] == [
        "callbacks for toy: more came about one thing than [callbacks] max_per_subject = 1"
    ]
