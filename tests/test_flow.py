from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.config import LimitTable, ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.flow import Bounds, Flow, request_bytes
from batch_scan.media.interface import AudioSpec, AudioTally, Chunk, FrameTally, Lane
from batch_scan.model import AudioTrack, MediaInfo, Shortfall
from batch_scan.vocabulary import Medium, Reason, Verdict
from tests.asking_kit import Hold, ToyEndpoint, ledger_in, sample_of, without_data
from tests.scan_kit import Fetched, Shelf, Words, rows_of, scan_of, words_in, write_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from batch_scan.flow import Place
    from batch_scan.media.interface import FrameSpec
    from batch_scan.model import FileResult, Item, Sample
    from batch_scan.scan import Scan
    from tests.asking_kit import Step

ONE = Bounds(decoders=1, files=1)
WAITING = 64
"""How many files may wait besides those that are extracted, for services that take few requests at a time."""


def eyes(*script: Step, concurrency: int = 8) -> ToyEndpoint:
    config = ServiceConfig(limit=LimitTable(concurrency=concurrency))
    return ToyEndpoint(*script, needs=Needs(frame=BatchLimits(samples=1)), config=config)


def player(*script: Step) -> ToyEndpoint:
    return ToyEndpoint(*script, name="plays", needs=Needs(stream=StreamNeeds(pictures=True)))


class Counted(Shelf):
    """Counts the files that are open, and tells when there are so many."""

    def __init__(self, directory: Path, wanted: int = 0) -> None:
        super().__init__(directory)
        self.open = self.most = 0
        self.reached = asyncio.Event()
        self._wanted = wanted

    @contextlib.asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        async with super().fetch(item) as path:
            self.open += 1
            self.most = max(self.most, self.open)
            if self.open == self._wanted:
                self.reached.set()
            try:
                yield path
            finally:
                self.open -= 1


class Films(Words):
    """A word `wait` keeps the decoder until it is told to go on; a file that begins with `sound` has no pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go_on = asyncio.Event(), asyncio.Event()

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        media = await super().probe(path)
        return replace(media, video=()) if path.name.startswith("sound") else media

    async def frames(self, path: Path, info: MediaInfo, spec: FrameSpec) -> AsyncIterator[Sample | FrameTally]:
        async for event in super().frames(path, info, spec):
            if not isinstance(event, FrameTally) and event.data == b"wait":
                self.waits.set()
                await self.go_on.wait()
            yield event


class Failing(Words):
    """The first of all probes fails by our own fault, once it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go_on = asyncio.Event(), asyncio.Event()

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        media = await super().probe(path)
        if not self.waits.is_set():
            self.waits.set()
            await self.go_on.wait()
            raise OSError("the pipe broke")
        return media


class Talks(Words):
    """Each word of a file is heard for a second; counts the clips that are cut at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.clips = self.cutting = self.most = 0

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        return MediaInfo("txt", 1.0, (AudioTrack(0, "words", 1, 16_000, 1.0),))

    async def audio(
        self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]
    ) -> AsyncIterator[Chunk | AudioTally]:
        words = words_in(path)
        for at, word in enumerate(words):
            yield Chunk(specs[0], sample_of(word, at, Medium.AUDIO, 1.0))
        yield AudioTally(0, float(len(words)), float(len(words)))

    async def clip(self, path: Path, track: int, start_s: float, end_s: float) -> bytes:
        self.clips += 1
        self.cutting += 1
        self.most = max(self.most, self.cutting)
        for _ in range(100):  # every other file could begin meanwhile
            await asyncio.sleep(0)
        self.cutting -= 1
        return b"RIFF"


class Drawer:
    """Keeps all evidence, and finds none."""

    async def find(self, names: Sequence[str], suffix: str) -> list[str]:
        return [""] * len(names)

    async def put(self, name: str, data: bytes, suffix: str) -> str:
        return name + suffix


@pytest.fixture
def shelf(tmp_path: Path) -> Counted:
    (tmp_path / "archive").mkdir()
    return Counted(tmp_path / "archive", ONE.files + WAITING)


async def rows_until(scan: Scan, count: int, bounds: Bounds) -> tuple[list[str], AsyncIterator[FileResult]]:
    """Return the names of the first rows, and what yields the others."""
    results = aiter(scan.results(bounds))
    return [(await anext(results)).row.item.uri.rpartition("/")[2] for _ in range(count)], results


# ------------------------------------------------------------------------------------------------------ whole scans


async def test_a_long_play_holds_no_other_file_up(tmp_path: Path, shelf: Counted) -> None:
    shelf.add("film", "a long play")
    small = {shelf.add(f"small{number}", f"word {number}").uri.rpartition("/")[2] for number in range(20)}
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, eyes(), None, player(hold))
        names, results = await rows_until(scan, 20, ONE)
        assert set(names) == small
        hold.let_go.set()
        assert [one.row.verdict async for one in results] == [Verdict.KEEP]


async def test_twins_of_a_file_that_lasts_hold_no_other_file_up(tmp_path: Path, shelf: Counted) -> None:
    for name in ("film", "twin", "triplet"):
        shelf.add(name, "a long play")
    shelf.add("small", "word")
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, eyes(), None, player(hold))
        names, results = await rows_until(scan, 1, ONE)
        assert names == ["small"]
        hold.let_go.set()
        assert sorted([bool(one.row.duplicate_of) async for one in results]) == [False, True, True]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


async def test_twins_of_a_fetched_file_that_lasts_hold_neither_turn_nor_scratch(tmp_path: Path, scratch: Path) -> None:
    shelf = Fetched(tmp_path, scratch, scratch_bytes=2 * len("a long play"))
    for name in ("film", "twin", "triplet"):
        shelf.add(name, "a long play")
    shelf.add("small", "word")
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, eyes(), None, player(hold))
        names, results = await rows_until(scan, 1, ONE)
        assert names == ["small"]
        await hold.arrived.wait()
        assert shelf.room.used_bytes == len("a long play")
        hold.let_go.set()
        assert sorted([bool(one.row.duplicate_of) async for one in results]) == [False, True, True]
    assert shelf.fetches == 4


async def test_a_twin_of_a_file_that_failed_has_its_turn_while_others_wait_for_scratch(
    tmp_path: Path, scratch: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("internal error at")
    shelf = Fetched(tmp_path, scratch, scratch_bytes=4 * len("fail"), wanted=4)
    for name in ("film", "twin", "triplet"):
        shelf.add(name, "fail")
    for name in ("large", "larger"):
        shelf.add(name, f"{name:>16}")
    reader = Failing()
    async with ledger_in(tmp_path) as ledger:
        running = asyncio.create_task(rows_of(scan_of(ledger, shelf, eyes(), reader), Bounds(decoders=1, files=2)))
        await reader.waits.wait()
        await shelf.reached.wait()  # one of the large ones waits for scratch, or is about to
        reader.go_on.set()
        async with asyncio.timeout(20):
            rows = await running
    told = {name: (one.row.verdict, bool(one.row.duplicate_of)) for name, one in rows.items()}
    assert sorted(told.pop(name) for name in ("film", "twin", "triplet")) == [
        (Verdict.KEEP, False),
        (Verdict.KEEP, True),
        (Verdict.UNKNOWN, False),
    ]
    assert told == {"large": (Verdict.KEEP, False), "larger": (Verdict.KEEP, False)}
    assert shelf.room.used_bytes == 0


async def test_a_twin_that_is_another_file_when_its_turn_comes_is_changed(
    tmp_path: Path, scratch: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("internal error at")
    shelf = Fetched(tmp_path, scratch, scratch_bytes=1000, wanted=3)
    items = [shelf.add(name, "fail") for name in ("film", "twin")]
    shelf.add("last", "word")
    reader = Failing()
    async with ledger_in(tmp_path) as ledger:
        running = asyncio.create_task(rows_of(scan_of(ledger, shelf, eyes(), reader), Bounds(decoders=1, files=2)))
        await reader.waits.wait()
        await shelf.reached.wait()  # the second one waits for the first, and has given its turn to the last
        for item in items:
            write_words(Path(item.locator), "other")
        reader.go_on.set()
        rows = await running
    reasons = {one.row.reason for one in rows.values()}
    assert reasons == {Reason.CHANGED, Reason.INTERNAL, None}


async def test_decoders_go_on_up_to_the_bound_while_a_service_is_held_and_not_beyond(
    tmp_path: Path, shelf: Counted
) -> None:
    for number in range(2 * WAITING):
        shelf.add(f"{number:03}", f"word{number}")
    hold, reader = Hold(), Words()
    async with ledger_in(tmp_path) as ledger:
        running = asyncio.create_task(rows_of(scan_of(ledger, shelf, eyes(hold, concurrency=1), reader), ONE))
        await hold.arrived.wait()
        await shelf.reached.wait()
        hold.let_go.set()
        rows = await running
    assert len(rows) == 2 * WAITING
    assert shelf.most == ONE.files + WAITING
    assert shelf.open == 0


async def test_clips_of_findings_are_cut_one_a_core_however_many_files_have_some(
    tmp_path: Path, shelf: Counted
) -> None:
    for number in range(8):
        shelf.add(f"{number}", " ".join(f"bad{number}-{at}" for at in range(5)))
    ears = ToyEndpoint(needs=Needs(audio=AudioSpec()), config=ServiceConfig(limit=LimitTable(concurrency=8)))
    reader = Talks()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, ears, reader, evidence=Drawer())
        rows = await rows_of(scan, Bounds(decoders=2, files=8))
    assert [len(one.findings) for one in rows.values()] == [5] * 8
    assert reader.clips == 40
    assert reader.most == 2


async def test_small_files_are_asked_about_before_a_long_film_ends(tmp_path: Path, shelf: Counted) -> None:
    film = " ".join(f"scene{number}" for number in range(300))
    shelf.add("film", film)
    for number in range(10):
        shelf.add(f"small{number}", f"word{number}")
    service = eyes(concurrency=1)
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, service), Bounds(decoders=1, files=4))
    asked = [(request.samples[0].data or b"").decode() for request in service.submitted]
    assert max(at for at, word in enumerate(asked) if word.startswith("word")) < asked.index("scene299")
    assert list(rows)[-1] == "film"


async def test_a_decoder_that_takes_long_leaves_the_others_to_small_files(tmp_path: Path, shelf: Counted) -> None:
    shelf.add("film", "scene wait scene2")
    for number in range(10):
        shelf.add(f"small{number}", f"word{number}")
    reader = Films()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, eyes(), reader)
        names, results = await rows_until(scan, 10, Bounds(decoders=2, files=2))
        assert "film" not in names
        reader.go_on.set()
        assert [one.row.verdict async for one in results] == [Verdict.KEEP]


class Watched(Words):
    """Tells when it has opened something."""

    def __init__(self) -> None:
        super().__init__()
        self.has_opened = asyncio.Event()

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        self.has_opened.set()
        return await super().probe(path)


async def test_the_oldest_film_is_finished_first(tmp_path: Path, shelf: Counted) -> None:
    reader = Watched()
    for name in ("a", "b", "c", "d"):
        shelf.add(name, " ".join(f"{name}{number}" for number in range(30)))
        if name != "a":
            shelf.after[name] = reader.has_opened
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, shelf, eyes(concurrency=1), reader), Bounds(decoders=2, files=4))
    assert next(iter(rows)) == "a"


async def test_leaving_in_the_middle_leaves_no_task_and_no_turn_behind(tmp_path: Path, shelf: Counted) -> None:
    for number in range(8):
        shelf.add(f"{number}", " ".join(f"{number}-{at}" for at in range(20)))
    hold = Hold()
    service = eyes(hold, concurrency=1)
    async with ledger_in(tmp_path) as ledger:
        before = asyncio.all_tasks()
        scan = scan_of(ledger, shelf, service, None, player())
        running = asyncio.create_task(rows_of(scan, Bounds(decoders=2, files=4)))
        await hold.arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert shelf.open == 0
        hold.let_go.set()
        for asker in scan._scope.takers.askers:
            assert await asker.delivery.drain(10) == 0
        assert asyncio.all_tasks() <= before | {asyncio.current_task()}
        again = await rows_of(scan, Bounds(decoders=2, files=4))
    assert [one.row.verdict for one in again.values()] == [Verdict.KEEP] * 8


async def test_at_the_time_limit_what_waits_in_line_gets_its_row_while_an_answer_is_still_out(
    tmp_path: Path, shelf: Counted
) -> None:
    for number in range(30):
        shelf.add(f"{number:02}", f"a{number} b{number} c{number}")
    hold = Hold()
    async with ledger_in(tmp_path) as ledger:
        scan = scan_of(ledger, shelf, eyes(hold, concurrency=1))
        results = aiter(scan.results(Bounds(decoders=2, files=4)))
        first = asyncio.ensure_future(anext(results))
        await hold.arrived.wait()
        scan._scope.gate.shut = Shortfall(Reason.TIME_LIMIT, "the time limit had passed")
        late = [await first, *[await anext(results) for _ in range(28)]]
        assert {one.row.reason for one in late} == {Reason.TIME_LIMIT}
        hold.let_go.set()
        assert len([one async for one in results]) == 1


# -------------------------------------------------------------------------------------------------------- one place


async def places_of(bounds: Bounds, count: int) -> list[Place]:
    flow = Flow(replace(bounds, files=count), ())
    return [await flow.admit() for _ in range(count)]


async def letters(text: str, closed: list[str]) -> AsyncGenerator[str, None]:
    try:
        for letter in text:
            yield letter
    finally:
        closed.append(text)


async def test_a_decoder_aside_lends_its_core_and_has_it_again_before_it_goes_on() -> None:
    first, second = await places_of(ONE, 2)
    closed: list[str] = []
    old = first.decoded(Lane.PICTURES, letters("ab", closed))
    assert await anext(old) == "a"
    young = second.decoded(Lane.PICTURES, letters("xyz", closed))
    waits = asyncio.ensure_future(anext(young))
    await asyncio.sleep(0)
    assert not waits.done()
    async with first.aside(Lane.PICTURES):
        assert await waits == "x"
        back = asyncio.ensure_future(anext(young))
        assert await back == "y"
        await young.aclose()
    assert [letter async for letter in old] == ["b"]
    assert closed == ["xyz", "ab"]
    async with second.working():
        pass


async def test_a_decoder_closed_while_it_is_aside_does_not_give_its_core_back_twice() -> None:
    first, second = await places_of(ONE, 2)
    decoder = first.decoded(Lane.SOUND, letters("ab", []))
    await anext(decoder)
    with pytest.raises(ZeroDivisionError):
        async with first.aside(Lane.SOUND):
            raise ZeroDivisionError
    await decoder.aclose()
    async with second.working():
        waits = asyncio.ensure_future(first._shares.working.acquire(0))
        await asyncio.sleep(0)
        assert not waits.done()
    await waits


async def test_as_many_decoders_wait_and_files_are_probed_as_the_table_says() -> None:
    places = await places_of(Bounds(decoders=4, files=1), 20)
    reached: list[str] = []
    done = asyncio.Event()

    async def decode(place: Place, lane: Lane) -> None:
        async with contextlib.aclosing(place.decoded(lane, letters("a", []))) as decoder:
            await anext(decoder)
            reached.append("decoder")
            async with place.aside(lane):
                await done.wait()

    async def probe(place: Place) -> None:
        async with place.working():
            reached.append("probe")
            await done.wait()

    async with asyncio.TaskGroup() as group:
        for at, place in enumerate(places):
            group.create_task(decode(place, [*Lane][at % 2]) if at < 10 else probe(place))
            for _ in range(50):  # whatever it can do, it does now
                await asyncio.sleep(0)
        assert (reached.count("decoder"), reached.count("probe")) == (6, 4)
        done.set()


async def test_pictures_that_wait_leave_a_decoder_to_sound() -> None:
    places = await places_of(ONE, 4)
    async with contextlib.AsyncExitStack() as stack:
        for place in places[:2]:
            decoder = await stack.enter_async_context(
                contextlib.aclosing(place.decoded(Lane.PICTURES, letters("ab", [])))
            )
            await anext(decoder)
            await stack.enter_async_context(place.aside(Lane.PICTURES))
        third = asyncio.ensure_future(anext(places[2].decoded(Lane.PICTURES, letters("x", []))))
        assert [letter async for letter in places[3].decoded(Lane.SOUND, letters("s", []))] == ["s"]
        assert not third.done()
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)


async def test_a_file_of_which_nothing_is_decoded_has_no_core_to_lend() -> None:
    (place,) = await places_of(ONE, 1)
    async with place.aside(Lane.PICTURES), place.aside(None), place.working():
        pass


def test_only_bytes_take_room() -> None:
    remembered, fresh = without_data(sample_of("word")), sample_of("word")
    assert request_bytes([remembered, remembered]) == 0
    assert request_bytes([remembered, fresh]) > len("word")
