"""The core by itself; tests/scan has whole scans through the command line."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.errors import LedgerError, UsageError
from batch_scan.model import Item, Refused, Shortfall, Stat
from batch_scan.vocabulary import Reason, Status, Verdict
from tests.asking_kit import Hold, ToyEndpoint, ledger_in
from tests.scan_kit import BOUNDS, Shelf, Words, rows_of, scan_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NAME_OF_BYTES = "caf\udce9.txt"
"""How Python shows a name that is not UTF-8."""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "archive").mkdir()
    return Shelf(tmp_path / "archive")


class SlowShelf(Shelf):
    """Waits before every entry but the first, until the first has its row or for as long as a slow store takes."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.has_row = threading.Event()
        self.late = 0
        """Entries that came while the first had none."""

    def entries(self) -> Iterator[Item | Refused]:
        for number, entry in enumerate(super().entries()):
            self.late += bool(number) and not self.has_row.wait(timeout=0.05)
            yield entry


# ---------------------------------------------------------------------------------------------------------- every row


async def test_every_entry_has_one_row_whatever_became_of_it(tmp_path: Path, shelf: Shelf) -> None:
    shelf.add("good", "fine words")
    shelf.add("bad", "fine bad")
    shelf.add("empty", "")
    shelf.add("missing")
    shelf.add("no_media", "refuse")
    shelf.add("twin", "fine bad")
    shelf.add("silent", " ")
    out = Refused(shelf.add("out"), Status.SKIPPED, Shortfall(Reason.EXCLUDED, "excluded"))
    shelf._entries[-1] = out
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint()))
    told = {name: (one.row.verdict, one.row.status, one.row.reason) for name, one in rows.items()}
    assert told == {
        "good": (Verdict.KEEP, Status.COMPLETE, None),
        "bad": (Verdict.REMOVE, Status.COMPLETE, None),
        "twin": (Verdict.REMOVE, Status.COMPLETE, None),
        "empty": (Verdict.UNKNOWN, Status.FAILED, Reason.EMPTY),
        "missing": (Verdict.UNKNOWN, Status.FAILED, Reason.MISSING),
        "no_media": (Verdict.UNKNOWN, Status.FAILED, Reason.NOT_MEDIA),
        "silent": (Verdict.UNKNOWN, Status.FAILED, Reason.NO_SAMPLES),
        "out": (Verdict.UNKNOWN, Status.SKIPPED, Reason.EXCLUDED),
    }
    twins = {rows["bad"].row.duplicate_of, rows["twin"].row.duplicate_of}
    assert len(twins) == 2
    assert "" in twins


async def test_entries_that_come_slowly_are_scanned_while_others_are_still_looked_up(tmp_path: Path) -> None:
    shelf = SlowShelf(tmp_path)
    for number in range(200):
        shelf.add(str(number), f"word{number}")
    async with ledger_in(tmp_path) as ledger:
        async for _ in scan_of(ledger, shelf, ToyEndpoint()).results(BOUNDS):
            shelf.has_row.set()
    assert shelf.late < 100


class LateLooks(Shelf):
    """Takes long to look at its first file."""

    def stat(self, item: Item) -> Stat | None:
        if item.index == 0:
            time.sleep(0.05)
        return super().stat(item)


async def test_of_known_copies_the_first_of_the_source_is_scanned(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    shelf, reader = LateLooks(tmp_path / "archive"), Words()
    for name in ("first", "second", "third"):
        shelf.add(name, "the same words")
    async with ledger_in(tmp_path) as ledger:
        await rows_of(scan_of(ledger, shelf, ToyEndpoint(), reader, run_id="run-0"))
        for run in ("run-1", "run-2", "run-3"):
            rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint(), reader, run_id=run))
            assert [name for name, one in rows.items() if not one.row.duplicate_of] == ["first"]


class Watched(Shelf):
    """Writes down in which threads its files are looked at."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.threads: set[threading.Thread] = set()

    def stat(self, item: Item) -> Stat | None:
        self.threads.add(threading.current_thread())
        return super().stat(item)

    @contextlib.asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        yield Path(item.locator)


async def test_no_file_is_looked_at_on_the_event_loop_which_a_dead_mount_would_stop(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    shelf = Watched(tmp_path / "archive")
    for name, words in (("a", "word a"), ("b", "word b"), ("twin", "word"), ("twin of twin", "word")):
        shelf.add(name, words)
    async with ledger_in(tmp_path) as ledger:
        for run_id in ("run-1", "run-2"):
            rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint(), run_id=run_id))
            assert {one.row.verdict for one in rows.values()} == {Verdict.KEEP}
    assert shelf.threads
    assert threading.current_thread() not in shelf.threads


async def test_a_file_swapped_under_us_is_changed_and_nothing_of_it_is_remembered(tmp_path: Path, shelf: Shelf) -> None:
    item = shelf.add("swapped", "fine swap")
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint()))
        assert rows["swapped"].row.reason is Reason.CHANGED
        assert rows["swapped"].row.verdict is Verdict.UNKNOWN
        stat = shelf.stat(item)
        assert stat is not None
        assert ledger.known_file(item.uri, stat) is None
        assert ledger.twin("run-1", digest_bytes(b"fine swap")) is None


async def test_a_name_that_is_not_utf8_is_a_file_like_any_other(tmp_path: Path, shelf: Shelf) -> None:
    shelf.add(NAME_OF_BYTES, "fine")
    shelf.add("copy", "fine")
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint()))
    assert [one.row.verdict for one in rows.values()] == [Verdict.KEEP] * 2


async def test_our_own_fault_is_a_row_that_names_it(tmp_path: Path, shelf: Shelf, expected_errors: list[str]) -> None:
    expected_errors.append("internal error at")
    shelf.add("broken", "a crash")
    shelf.add("good", "fine")
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, ToyEndpoint())
        rows = await rows_of(scan)
    row = rows["broken"].row
    assert (row.verdict, row.reason, row.error_type) == (Verdict.UNKNOWN, Reason.INTERNAL, "OSError")
    assert "the pipe broke" in row.error
    assert scan.internal_errors == 1
    assert rows["good"].row.verdict is Verdict.KEEP


async def test_a_file_that_changes_under_our_eyes_is_not_clean(tmp_path: Path, shelf: Shelf) -> None:
    item = shelf.add("growing", "a grow b")
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, ToyEndpoint()))
        stat = shelf.stat(item)
        assert stat is not None
        assert ledger.known_file(item.uri, stat) is None
    assert (rows["growing"].row.verdict, rows["growing"].row.reason) == (Verdict.UNKNOWN, Reason.CHANGED)


async def test_only_the_first_entries_are_scanned_and_what_was_published_is_passed_over(
    tmp_path: Path, shelf: Shelf
) -> None:
    for name in ("a", "b", "c", "d"):
        shelf.add(name, f"word {name}")
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, ToyEndpoint(), limit=3, already_done=lambda item: item.uri.endswith("b"))
        rows = await rows_of(scan)
    assert sorted(rows) == ["a", "c", "d"]
    assert (rows["d"].row.status, rows["d"].row.reason) == (Status.SKIPPED, Reason.LIMIT)


# ------------------------------------------------------------------------------------------------------------- again


async def test_what_is_unchanged_is_judged_again_without_opening_it(tmp_path: Path, shelf: Shelf) -> None:
    for name in ("a", "b", "c"):
        shelf.add(name, f"word {name}")
    service, reader = ToyEndpoint(), Words()
    async with ledger_in(tmp_path) as ledger:
        first = await rows_of(scan_of(ledger, shelf, service, reader))
        sent = len(service.submitted)
        (tmp_path / "archive" / "b").write_text("word other")
        second = await rows_of(scan_of(ledger, shelf, service, reader, run_id="run-2"))
    assert sorted(reader.opened) == ["a", "b", "b", "c"]
    assert len(service.submitted) == sent + 1
    assert [result.row.cached_requests for result in second.values()].count(0) == 0
    assert first["a"].row.verdict == second["a"].row.verdict == Verdict.KEEP


async def test_a_file_is_not_opened_for_services_that_are_all_closed(tmp_path: Path, shelf: Shelf) -> None:
    shelf.add("a", "word")
    reader = Words()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, ToyEndpoint(), reader)
        scan._scope.takers.askers[0].delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, "no key"))
        rows = await rows_of(scan)
    assert reader.opened == []
    assert (rows["a"].row.status, rows["a"].row.reason) == (Status.FAILED, Reason.ENDPOINT_STOPPED)


async def test_files_of_one_content_that_are_open_at_once_are_examined_once(tmp_path: Path, shelf: Shelf) -> None:
    for name in ("a", "b", "c", "d"):
        shelf.add(name, "the same")
    hold, reader = Hold(), Words()
    service = ToyEndpoint(hold)
    async with ledger_in(tmp_path) as ledger:
        running = asyncio.create_task(rows_of(scan_of(ledger, shelf, service, reader)))
        await hold.arrived.wait()
        hold.let_go.set()
        rows = await running
    assert len(reader.opened) == len(service.submitted) == 1
    assert sorted(bool(one.row.duplicate_of) for one in rows.values()) == [False, True, True, True]
    assert sum(one.row.tokens_charged for one in rows.values()) == 2


# ---------------------------------------------------------------------------------------------------------- ways out


def many(shelf: Shelf, count: int) -> None:
    for index in range(count):
        item = Item(index, f"/gone/{index}", str(index), f"/gone/{index}")
        shelf._entries.append(Refused(item, Status.FAILED, Shortfall(Reason.MISSING, "gone")))


async def test_leaving_early_ends_at_once_however_many_results_wait(tmp_path: Path, shelf: Shelf) -> None:
    many(shelf, 1000)
    async with ledger_in(tmp_path) as ledger:
        results = aiter(scan_of(ledger, shelf, ToyEndpoint()).results(BOUNDS))
        await anext(results)
        for _ in range(10):  # as many as may wait do so now
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await results.aclose()  # type: ignore[attr-defined]


async def test_a_consumer_that_is_slow_gets_everything(tmp_path: Path, shelf: Shelf) -> None:
    many(shelf, 1000)
    async with ledger_in(tmp_path) as ledger:
        assert len(await rows_of(scan_of(ledger, shelf, ToyEndpoint()))) == 1000


@pytest.mark.parametrize("error", [UsageError("row 7 is not UTF-8"), LedgerError("disk full")])
async def test_a_source_that_breaks_off_hands_on_what_it_had_and_then_its_error(
    tmp_path: Path, shelf: Shelf, error: Exception
) -> None:
    many(shelf, 300)
    shelf.broken = error
    async with ledger_in(tmp_path) as ledger:
        results = aiter(scan_of(ledger, shelf, ToyEndpoint()).results(BOUNDS))
        for _ in range(256):
            await anext(results)
        with pytest.raises(type(error), match=str(error)):
            await anext(results)


async def test_a_ledger_that_fails_ends_the_scan_with_its_own_error(tmp_path: Path, shelf: Shelf) -> None:
    shelf.add("a", "word")

    class Unwritable(ToyEndpoint):
        async def submit(self, request: object) -> object:  # type: ignore[override]
            raise AssertionError("nothing may be sent")

    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, Unwritable())
        await ledger.flush()
        ledger._writer._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerError):
            await rows_of(scan)
        ledger._writer._connection.execute("PRAGMA query_only = OFF")
