"""What a file needs now decides what it holds: a core, a place among the open files, room for samples that wait.

A file is *extracting* until its last sample was taken out, then it only waits: for answers, or for a play that takes as
long as the film. So many files extract and so many more may wait, and those that wait hold no decoder up. A decoder
whose samples find no room gives its core to another one and goes on when there is room, the oldest file first.

| bound | on what |
|---|---|
| `Bounds.files` | files that extract: fetched, digested, probed, decoded |
| that and `_waiting_files` | files that are open: scratch, descriptors, answers that are kept until the row |
| `Bounds.decoders` | decoders that work, one a core |
| that and `_SPARE` | decoders that work or wait; always one for sound where pictures wait, and the other way round |
| `Bounds.processes` | decoder processes of one lane: for pictures, probes included, or for sound |
| `Bounds.decoders`, once more | programs that cut clips: a second each, so a film that is decoded holds no row up |
| `WAITING_BYTES` | samples that wait for answers; each service has an equal share, so a slow one fills but its own |

A decoder that waits keeps its process, which has the file open, and gives its core away, where a probe may take another
process. So there may be `decoders + _SPARE` that wait and `decoders` that probe, 10 for 4 decoders; one that was needed
once stays, idle, for the next file. Fewer would leave cores idle just where services are slow.
"""

from __future__ import annotations

import itertools
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from batch_scan.media.interface import Lane
from batch_scan.room import Room
from batch_scan.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping

    from batch_scan.ask import Asker
    from batch_scan.model import Sample

T = TypeVar("T")

WAITING_BYTES: Final = 128 << 20
_REQUEST_BYTES: Final = 16 << 10
"""What a request that waits takes besides its samples: a bound on the number of small ones (measured: 5 to 10 KB)."""

_LEAST_WAITING, _MOST_WAITING = 64, 256
"""Files that only wait: many more than a service takes at once, fewer than there are descriptors (1,024, as a rule)."""

_SPARE: Final = 2
_FOR_PROBES: Final = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much goes on at once."""

    decoders: int
    """Decoders that work at a time."""
    files: int
    """Files that are extracted from, or are made ready for it."""

    @property
    def processes(self) -> int:
        """How many decoder processes there may be in one lane, those included that wait and take memory alone."""
        return self.decoders + _SPARE + _FOR_PROBES


@dataclass(frozen=True, slots=True)
class _Shares:
    """What the files of a scan have shares of."""

    open: Turns
    extracting: Turns
    decoding: Turns
    by_lane: Mapping[Lane, Turns]
    working: Turns
    cutting: Turns
    rooms: Mapping[Asker, Room]


class Flow:
    """What goes on at once in one scan."""

    def __init__(self, bounds: Bounds, askers: Collection[Asker], waiting_bytes: int = WAITING_BYTES) -> None:
        self._numbers = itertools.count()
        self._shares = _Shares(
            open=Turns(bounds.files + _waiting_files(askers)),
            extracting=Turns(bounds.files),
            decoding=Turns(bounds.decoders + _SPARE),
            by_lane={lane: Turns(bounds.decoders + _SPARE - 1) for lane in Lane},
            working=Turns(bounds.decoders),
            cutting=Turns(bounds.decoders),
            rooms={asker: Room(waiting_bytes // len(askers)) for asker in askers},
        )

    async def admit(self) -> Place:
        """Wait until one more file may be opened."""
        place = Place(self._shares, next(self._numbers))
        await self._shares.open.acquire(place.number)
        try:
            await place.extract()
        except BaseException:
            self._shares.open.release()
            raise
        return place

    @property
    def waiting_bytes(self) -> int:
        """What waits for an answer now."""
        return sum(room.used_bytes for room in self._shares.rooms.values())


class Place:
    """One open file's share of the flow. Made by `Flow.admit`; `leave` it when the file has its row."""

    def __init__(self, shares: _Shares, number: int) -> None:
        self.number = number
        """How many files were admitted before it."""
        self._shares = shares
        self._extracts = False
        self._working: dict[Lane, bool] = {}

    async def extract(self) -> None:
        """Wait until one more file may be extracted from, unless this one may already."""
        if not self._extracts:
            await self._shares.extracting.acquire(self.number)
            self._extracts = True

    def rest(self) -> None:
        """Say that nothing is taken out of the file any more, or not now: others may be extracted from."""
        if self._extracts:
            self._extracts = False
            self._shares.extracting.release()

    def leave(self) -> None:
        """Give everything back."""
        self.rest()
        self._shares.open.release()

    def room(self, asker: Asker) -> Room:
        """Return the room for what waits for a service."""
        return self._shares.rooms[asker]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have a core for short work of a decoder; waits for it."""
        async with self._shares.working.turn(self.number):
            yield

    @asynccontextmanager
    async def cutting(self) -> AsyncIterator[None]:
        """Have a turn to cut a clip; waits for it, but for no decoder."""
        async with self._shares.cutting.turn(self.number):
            yield

    async def decoded(self, lane: Lane, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Pass on what a decoder yields, while this file has a core for it. Closing it closes `events`."""
        shares, working = self._shares, self._shares.working
        async with shares.by_lane[lane].turn(self.number), shares.decoding.turn(self.number):
            await working.acquire(self.number)
            self._working[lane] = True
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
            finally:
                if self._working.pop(lane):
                    working.release()

    @asynccontextmanager
    async def aside(self, lane: Lane | None) -> AsyncIterator[None]:
        """Leave the core to other decoders meanwhile, where this one has it; waits until it has it again."""
        if lane is None or not self._working.get(lane):
            yield
            return
        working = self._shares.working
        self._working[lane] = False
        working.release()
        yield
        await working.acquire(self.number)
        self._working[lane] = True


def request_bytes(samples: Iterable[Sample]) -> int:
    """Return what a request takes while it waits: nothing without bytes, as what is remembered, or played from disk."""
    size_bytes = sum(len(sample.data or b"") for sample in samples)
    return size_bytes and size_bytes + _REQUEST_BYTES


def _waiting_files(askers: Iterable[Asker]) -> int:
    """Return how many files may wait: twice as many as can be asked about at once, for each has one question at least.

    Bounded below, since with few at a time they may be plays that last; and above, by descriptors.
    """
    at_once = sum(asker.service.config.limit.concurrency for asker in askers)
    return max(_LEAST_WAITING, min(_MOST_WAITING, 2 * at_once))
