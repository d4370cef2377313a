"""A source of words that are read as if they were films, and scans of them, for tests of the core."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.engine.services import Services
from batch_scan.errors import FetchError, MediaError
from batch_scan.evidence import Evidence
from batch_scan.flow import Bounds
from batch_scan.job import Job
from batch_scan.media.interface import FrameTally
from batch_scan.model import Item, MediaInfo, Refused, RunId, Stat, VideoTrack
from batch_scan.scan import Scan, Scope
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.vocabulary import Reason
from tests.asking_kit import ToyEndpoint, desk_of, sample_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from batch_scan.evidence import EvidenceStore
    from batch_scan.ledger import Ledger
    from batch_scan.media.interface import AudioSpec, FrameSpec
    from batch_scan.model import FileResult, Sample

BOUNDS = Bounds(decoders=2, files=2)


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

    async def probe(self, path: Path, *, is_lasting: bool = True) -> MediaInfo:
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
        self.after: dict[str, asyncio.Event] = {}
        """What has to have happened before a file of this name comes."""

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

    async def check_same(self, item: Item) -> None:
        raise AssertionError("nobody pulls anything")

    @contextlib.asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        path = Path(item.locator)
        if path.name in self.after:
            await self.after[path.name].wait()
        if self.stat(item) is None:
            raise FetchError(Reason.MISSING, "there is no such file")
        yield path


class Fetched(Shelf):
    """Its files are fetched to scratch, as those of a web server are: nothing is known of them before.

    Counts the fetches, and tells when there were so many.
    """

    def __init__(self, directory: Path, scratch: Path, scratch_bytes: int, wanted: int = 0) -> None:
        super().__init__(directory)
        self.room = ScratchRoom(SourceOptions(scratch=scratch, scratch_bytes=scratch_bytes))
        self.fetches = 0
        self.reached = asyncio.Event()
        self._wanted = wanted

    def stat(self, item: Item) -> Stat | None:
        return None

    @contextlib.asynccontextmanager
    async def fetch(self, item: Item) -> AsyncIterator[Path]:
        self.fetches += 1
        if self.fetches == self._wanted:
            self.reached.set()
        content = await asyncio.to_thread(Path(item.locator).read_bytes)
        async with self.room.file(len(content)) as scratch:
            scratch.write_at(0, content)
            yield scratch.path


def scan_of(
    ledger: Ledger,
    shelf: Shelf,
    service: ToyEndpoint,
    reader: Words | None = None,
    *others: ToyEndpoint,
    run_id: str = "run-1",
    limit: int | None = None,
    already_done: Callable[[Item], bool] = lambda _: False,
    evidence: EvidenceStore | None = None,
) -> Scan:
    services = Services((service, *others), None)
    desk = desk_of(ledger, service, run_id=run_id)
    askers = {service.name: desk.asker, **{one.name: desk_of(ledger, one, run_id=run_id).asker for one in others}}
    job = Job.model_validate({"run": {"limit": limit}})
    return Scan(
        Scope(
            run_id=RunId(run_id),
            job=job,
            source=shelf,
            reader=reader or Words(),  # type: ignore[arg-type]
            takers=services.takers(askers, job.extract),
            ledger=ledger,
            gate=desk.gate,
            evidence=Evidence(evidence),
            already_done=already_done,
        )
    )


async def rows_of(scan: Scan, bounds: Bounds = BOUNDS) -> dict[str, FileResult]:
    return {Path(result.row.item.uri).name: result async for result in scan.results(bounds)}
