"""What becomes of a file that a service pulls from its URL, and what an answer about another content means."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.interface import Needs, StreamNeeds
from batch_scan.errors import EndpointError, Failure, FetchError
from batch_scan.media.interface import AudioTally, Chunk
from batch_scan.model import AudioTrack, Digest, MediaInfo
from batch_scan.vocabulary import Medium, Outcome, Reason, Status, Verdict
from batch_scan.whole import SOUND, WholeFile
from tests.asking_kit import SPEC, Hold, ToyEndpoint, desk_of, ledger_in, sample_of
from tests.scan_kit import Shelf, Words, rows_of, scan_of, words_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.media.interface import AudioSpec
    from batch_scan.model import Item

URL = "https://host/a.mp3?sig=hunter2hunter2"
PULLS = Needs(audio=SPEC, stream=StreamNeeds(sound=True, by_url=True))


@dataclass
class Host:
    """Where a file lies; what it says when it is asked whether that is still the same."""

    says: list[FetchError | None] = field(default_factory=list)
    asked: int = 0

    async def check_same(self) -> None:
        self.asked += 1
        error = self.says.pop(0) if self.says else None
        if error is not None:
            raise error

    def file(self, content: str = "d" * 64) -> WholeFile:
        return WholeFile(Medium.STREAM, 0.0, 9.0, Digest(content), SOUND, None, url=URL, check_same=self.check_same)


def test_a_whole_file_does_not_show_its_url_and_is_the_same_whoever_asks() -> None:
    host = Host()
    assert "hunter2" not in repr(host.file())
    assert host.file() == Host().file()


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (FetchError(Reason.CHANGED, "replaced"), Reason.CHANGED),
        (FetchError(Reason.MISSING, "deleted"), Reason.CHANGED),
        (FetchError(Reason.FETCH_FAILED, "nobody knows"), Reason.FETCH_FAILED),
    ],
)
async def test_an_answer_that_may_be_about_another_content_is_paid_and_stands_for_nothing(
    tmp_path: Path, says: FetchError, reason: Reason
) -> None:
    host, service = Host([says]), ToyEndpoint(needs=PULLS)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service, tokens=10)
        asked = await desk.asker.ask([host.file()])
        assert (asked.answered, [gap.reason for gap in asked.shortfalls]) == ((), [reason])
        (record,) = asked.records
        assert (record.outcome, record.attempts, record.tokens_charged) == (Outcome.FAILED, 1, 1)
        assert record.answer is not None
        assert not desk.asker.knows([host.file()])
        assert (desk.reserved, desk.in_flight) == (0, 0)
        again = await desk.asker.ask([host.file()])  # as for another entry with this content, which lies elsewhere
        assert (len(again.answered), len(service.submitted), host.asked) == (1, 2, 2)
        assert desk.asker.knows([host.file()])


async def test_whoever_asked_may_be_gone_when_the_answer_comes(tmp_path: Path) -> None:
    hold, host = Hold(), Host([FetchError(Reason.CHANGED, "replaced")])
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, ToyEndpoint(hold, needs=PULLS))
        asking = asyncio.create_task(desk.asker.ask([host.file()]))
        await hold.arrived.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        hold.let_go.set()
        assert await desk.asker.delivery.drain(20.0) == 0
        assert host.asked == 1
        assert not desk.asker.knows([host.file()])


async def test_what_was_refused_is_not_looked_at_again_and_may_cost(tmp_path: Path) -> None:
    """As a stream of whose end nobody told: it was pulled, and would be paid again."""
    refusal = EndpointError(Failure.REFUSED, "the stream did not end", maybe_charged=True)
    host, service = Host(), ToyEndpoint(refusal, needs=PULLS)
    async with ledger_in(tmp_path) as ledger:
        desk = desk_of(ledger, service)
        first, second = [await desk.asker.ask([host.file()]) for _ in range(2)]
        assert [gap.reason for gap in (*first.shortfalls, *second.shortfalls)] == [Reason.REQUEST_FAILED] * 2
        assert "may have been charged" in first.shortfalls[0].detail
        assert "not asked again in this run" in second.shortfalls[0].detail
        assert (len(service.submitted), host.asked, ledger.doubtful("run-1")) == (1, 0, 2)


# ---------------------------------------------------------------------------------------------------- through a scan


class Songs(Words):
    """Reads every file as a song of nine seconds, whose words are one chunk."""

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
        self.opened.append(path.name)
        return MediaInfo("mp3", 9.0, (AudioTrack(0, "mp3", 2, 48_000, 9.0),))

    async def audio(
        self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]
    ) -> AsyncIterator[Chunk | AudioTally]:
        for spec in specs:
            yield Chunk(spec, sample_of(" ".join(words_in(path)), 0.0, Medium.AUDIO, 9.0))
        yield AudioTally(0, 9.0, 9.0)


class LongSongs(Songs):
    """Songs that go on behind the end that they declare."""

    async def audio(
        self, path: Path, info: MediaInfo, specs: tuple[AudioSpec, ...]
    ) -> AsyncIterator[Chunk | AudioTally]:
        async for event in super().audio(path, info, specs):
            yield AudioTally(0, 9.0, 40.0) if isinstance(event, AudioTally) else event


class Hosted(Shelf):
    """A shelf whose files lie under a URL, but for those called `local…`."""

    def __init__(self, directory: Path, *, replaced: str = "") -> None:
        super().__init__(directory)
        self.replaced = replaced
        self.signed: list[tuple[str, int]] = []
        self.checked: list[str] = []
        self.has_checked = asyncio.Event()

    def url(self, item: Item) -> str:
        name = Path(item.locator).name
        self.signed.append((name, threading.get_ident()))
        return "" if name.startswith("local") else f"https://host/{name}?sig=hunter2"

    async def check_same(self, item: Item) -> None:
        name = Path(item.locator).name
        self.checked.append(name)
        self.has_checked.set()
        if name == self.replaced:
            raise FetchError(Reason.CHANGED, "it was replaced")


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    (tmp_path / "archive").mkdir()
    return Hosted(tmp_path / "archive")


async def test_a_url_is_made_once_per_file_off_the_loop_and_only_where_it_is_used(
    tmp_path: Path, hosted: Hosted
) -> None:
    for name in ("song", "local song", "other"):
        hosted.add(name, f"words of {name}")
    async with ledger_in(tmp_path) as ledger:
        make = partial(scan_of, ledger, hosted, reader=Songs())
        service = ToyEndpoint(needs=PULLS)
        rows = await rows_of(make(service))
        assert {name: (one.row.verdict, one.row.status) for name, one in rows.items()} == dict.fromkeys(
            ("song", "local song", "other"), (Verdict.KEEP, Status.COMPLETE)
        )
        assert sorted(name for name, _ in hosted.signed) == ["local song", "other", "song"]
        assert threading.get_ident() not in {thread for _, thread in hosted.signed}
        assert sorted(hosted.checked) == ["other", "song"]
        pulled = [request.samples[0].url for request in service.submitted if request.medium is Medium.STREAM]
        assert sorted(pulled) == ["https://host/other?sig=hunter2", "https://host/song?sig=hunter2"]
        assert len(service.submitted) == 3
        for one in rows.values():
            assert (one.row.coverage.audio_s_planned, one.row.coverage.audio_s_answered) == (9.0, 9.0)
        hosted.signed.clear()
        again = ToyEndpoint(needs=PULLS)
        known = await rows_of(make(again, run_id="run-2"))
        assert {one.row.verdict for one in known.values()} == {Verdict.KEEP}
        assert (hosted.signed, again.submitted) == ([], [])
        await rows_of(make(ToyEndpoint(needs=Needs(audio=SPEC), name="chunks"), run_id="run-3"))
        assert hosted.signed == []


async def test_sound_behind_the_declared_end_of_a_file_that_is_pulled_is_not_taken_for_heard(
    tmp_path: Path, hosted: Hosted
) -> None:
    """The vendor is held to the declared length, and may have stopped there."""
    for name in ("song", "local song"):
        hosted.add(name, f"words of {name}")
    async with ledger_in(tmp_path) as ledger:
        for run in ("run-1", "run-2"):
            rows = await rows_of(scan_of(ledger, hosted, ToyEndpoint(needs=PULLS), LongSongs(), run_id=run))
            told = {name: (one.row.verdict, one.row.status, one.row.reason) for name, one in rows.items()}
            assert told["song"] == (Verdict.UNKNOWN, Status.PARTIAL, Reason.NOT_UNDERSTOOD)
            assert "40.0 s" in str(rows["song"].row.error)
            assert told["local song"] == (Verdict.KEEP, Status.COMPLETE, None)


async def test_a_file_that_was_replaced_while_it_was_pulled_is_changed_and_nobodys_twin(
    tmp_path: Path, hosted: Hosted
) -> None:
    """Where the second one came first, the first would be its twin, and never pulled."""
    hosted.replaced = "first"
    hosted.after["second"] = hosted.has_checked
    for name in ("first", "second"):
        hosted.add(name, "the same words")
    async with ledger_in(tmp_path) as ledger:
        rows = await rows_of(scan_of(ledger, hosted, ToyEndpoint(needs=PULLS), Songs()))
    told = {name: (one.row.verdict, one.row.status, one.row.reason) for name, one in rows.items()}
    assert told["first"] == (Verdict.UNKNOWN, Status.FAILED, Reason.CHANGED)
    assert told["second"] == (Verdict.KEEP, Status.COMPLETE, None)
    assert rows["first"].row.coverage.audio_s_answered == 0.0
