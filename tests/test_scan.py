"""The core by itself; tests/scan has whole scans through the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.engine.services import Services, make_askers
from batch_scan.errors import FetchError, LedgerError, MediaError, UsageError
from batch_scan.evidence import Evidence
from batch_scan.job import Job
from batch_scan.media.interface import FrameTally
from batch_scan.model import Item, MediaInfo, Refused, RunId, Shortfall, Stat, VideoTrack
from batch_scan.scan import Scan, Scope
from batch_scan.vocabulary import Reason, Status, Verdict
from tests.asking_kit import Hold, ToyEndpoint, desk_of, ledger_in, sample_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from batch_scan.ledger import Ledger
    from batch_scan.media.interface import AudioSpec, FrameSpec
    from batch_scan.model import FileResult, Sample

NAME_OF_BYTES = "caf\udce9.txt"
"""How Python shows a name that is not UTF-8."""


def words_in(path: Path) -> list[str]:
    return path.read_text().split()


def write_words(path: Path, words: str) -> None:
    path.write_text(words)


def swap(path: Path) -> None:
    """Put another file of the same size and time in its place, as `cp -p` would."""
    before, other = path.stat(), path.with_name("other")
    other.write_text("evil" + path.read_text()[4:])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


class Words:
    """Reads text files as if each of their words were a picture. A word `crash` crashes, `refuse` is no media."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    async def probe(self, path: Path) -> MediaInfo:
        self.opened.append(path.name)
        if words_in(path) == ["refuse"]:
            raise MediaError(Reason.NOT_MEDIA, "these are words")
        return MediaInfo("txt", 1.0, (), (VideoTrack(0, "words", 1, 1, 1.0),))

    async def frames(self, path: Path, info: MediaInfo, spec: FrameSpec) -> AsyncIterator[Sample | FrameTally]:
        words = words_in(path)
        if "crash" in words:
            raise OSError("the pipe broke")
        for at, word in enumerate(words):
            if word == "grow":
                write_words(path, "grown since")
            if word == "swap":
                swap(path)
            yield sample_of(word, at)
        yield FrameTally(0, len(words), len(words), 0)

    def audio(self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]) -> AsyncIterator[object]:
        raise AssertionError("nobody takes sound")

    async def clip(self, path: Path, track: int, start_s: float, end_s: float) -> bytes:
        raise AssertionError("nobody takes sound")


class Shelf:
    """A source with whatever a test puts in."""

    uri, sha256 = "shelf", ""

    def __init__(self, directory: Path, *entries: Item | Refused) -> None:
        self._directory = directory
        self._entries = list(entries)
        self.broken: Exception | None = None

    def add(self, name: str, words: str | None = None) -> Item:
        path = self._directory / name
        if words is not None:
            path.write_text(words)
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        item = Item(len(self._entries), shown, f"{len(self._entries)}:{path}", str(path))
        self._entries.append(item)
        return item

    def entries(self) -> Iterator[Item | Refused]:
        yield from self._entries
        if self.broken is not None:
            raise self.broken

    def total(self) -> int | None:
        return None

    def stat(self, item: Item) -> Stat | None:
        try:
            found = Path(item.locator).stat()
        except OSError:
            return None
        return Stat(found.st_size, found.st_mtime_ns, f"{found.st_ino}:{found.st_ctime_ns}")

    def url(self, item: Item) -> str:
        return ""

    @contextlib.asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        path = Path(item.locator)
        if self.stat(item) is None:
            raise FetchError(Reason.MISSING, "there is no such file")
        yield path


def scan_of(
    ledger: Ledger,
    shelf: Shelf,
    service: ToyEndpoint,
    reader: Words | None = None,
    *,
    run_id: str = "run-1",
    limit: int | None = None,
    already_done: Callable[[Item], bool] = lambda _: False,
) -> Scan:
    services = Services((service,), None)
    desk = desk_of(ledger, service, run_id=run_id)
    askers = {**make_askers(services, desk.asker._meters, desk.gate), service.name: desk.asker}
    job = Job.model_validate({"run": {"limit": limit}})
    return Scan(
        Scope(
            run_id=RunId(run_id),
            job=job,
            source=shelf,
            reader=reader or Words(),  # type: ignore[arg-type]
            takers=services.takers(askers),
            ledger=ledger,
            gate=desk.gate,
            evidence=Evidence(None),
            already_done=already_done,
        )
    )


async def rows_of(scan: Scan) -> dict[str, FileResult]:
    return {Path(result.row.item.uri).name: result async for result in scan.results(2)}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "archive").mkdir()
    return Shelf(tmp_path / "archive")


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
        results = aiter(scan_of(ledger, shelf, ToyEndpoint()).results(2))
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
        results = aiter(scan_of(ledger, shelf, ToyEndpoint()).results(2))
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
