"""The letter box of one service: what came for whom, in order, within bounds, once.

Bodies stay in the ledger; here is only what tells them apart. Whatever came and could not be kept is told to whoever
asks for what it may have been about: what is not known is not taken for clean.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING
from urllib.parse import quote

from batch_scan.digest import digest_bytes
from batch_scan.errors import EndpointError, Failure
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.callbacks.table import CallbacksTable
    from batch_scan.endpoint.premises import Sorter
    from batch_scan.ledger_callbacks import CallbackRows, KeptCallback

_log = logging.getLogger(__name__)

ENTRY_BYTES = 1_024
"""What a callback counts beside its size: its row, its index entries, its place in memory."""
MAX_SUBJECT_CHARS = 512
_FORGOTTEN = 100_000
"""How many forgotten subjects are remembered: what comes late about older ones is kept, within the bounds."""


class Posted(Enum):
    """What became of a callback."""

    KEPT = auto()
    KNOWN = auto()
    """It had come before."""
    IGNORED = auto()
    """It is none of the service's, or about something that nobody waits for any more."""
    FULL = auto()
    """There is no more room."""


@dataclass(slots=True, eq=False)
class _Pile:
    """What came about one subject."""

    lost: str = ""
    """Why something about it was not kept; empty while all was."""
    unread: deque[int] = field(default_factory=deque)
    """Numbers of callbacks that were not handed out yet."""
    count: int = 0
    size_bytes: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, size_bytes: int) -> None:
        self.count += 1
        self.size_bytes += size_bytes + ENTRY_BYTES

    def take_back(self, size_bytes: int) -> None:
        self.count -= 1
        self.size_bytes -= size_bytes + ENTRY_BYTES


class LetterBox:
    """See `premises.Mailbox`, and the module."""

    def __init__(
        self, service: str, sort: Sorter, url: str, *, run_id: str, rows: CallbackRows, table: CallbacksTable
    ) -> None:
        self.url = f"{url}/{quote(service, safe='')}"
        self._service = service
        self._sort = sort
        self._run_id = run_id
        self._rows = rows
        self._table = table
        self._piles: dict[str, _Pile] = {}
        self._forgotten: dict[str, None] = {}
        self._size_bytes = 0
        self._lost = ""
        self._warned: set[str] = set()
        for callback in rows.kept(run_id, service):
            self._recall(callback)

    # ------------------------------------------------------------------------------------------ for the service

    async def next(self, subject: str, timeout_s: float) -> bytes:
        """Return the next callback about `subject`, in the order of arrival, waiting for it.

        What an earlier process of this run received comes first, also where that process had read it.

        Raises TimeoutError, and EndpointError once all is read where something that came could not be kept: `REFUSED`
        where it was about this subject, `FATAL` where it may have been about any.
        """
        self._forgotten.pop(subject, None)
        async with asyncio.timeout(timeout_s):
            while True:
                pile = self._pile(subject)
                if pile.unread:
                    return self._rows.body(pile.unread.popleft())
                if self._lost:
                    raise EndpointError(Failure.FATAL, self._lost, maybe_charged=True)
                if pile.lost:
                    raise EndpointError(Failure.REFUSED, pile.lost, maybe_charged=True)
                pile.news.clear()
                await pile.news.wait()

    def forget(self, subject: str) -> None:
        """Drop what has come about `subject`, and will come until somebody asks for it again."""
        self._forgotten[subject] = None
        if len(self._forgotten) > _FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
        pile = self._piles.pop(subject, None)
        if pile is not None:
            self._size_bytes -= pile.size_bytes
            if pile.count:
                self._rows.forget(self._run_id, self._service, subject)
            pile.news.set()

    # ----------------------------------------------------------------------------------------- for the receiver

    async def post(self, headers: Mapping[str, str], body: bytes) -> Posted:
        """Keep a callback, durably on return. Raises LedgerError where it cannot be written."""
        subject = self._subject_of(headers, body)
        if subject is None or subject in self._forgotten:
            return Posted.IGNORED
        digest = digest_bytes(self._service.encode() + b"\0" + body)
        if self._rows.has(self._run_id, digest):
            return Posted.KNOWN
        pile = self._room_for(subject, len(body))
        if pile is None:
            return Posted.FULL
        try:
            number = await self._rows.keep(self._run_id, self._service, subject, digest, body)
        except BaseException:
            self._take_back(subject, pile, len(body))
            raise
        if number is None:
            self._take_back(subject, pile, len(body))
            return Posted.KNOWN
        if self._piles.get(subject) is not pile:  # forgotten while it was written, and so dropped behind it
            return Posted.IGNORED
        pile.unread.append(number)
        pile.news.set()
        return Posted.KEPT

    def unreadable(self, why: str) -> None:
        """Say that something came of which nobody can tell any more what it was about: it may have been anything."""
        self._warn(why)
        self._lost = self._lost or why
        for pile in self._piles.values():
            pile.news.set()

    # --------------------------------------------------------------------------------------------- underneath

    def _recall(self, callback: KeptCallback) -> None:
        pile = self._pile(callback.subject)
        pile.add(callback.size_bytes)
        pile.unread.append(callback.number)
        self._size_bytes += callback.size_bytes + ENTRY_BYTES

    def _subject_of(self, headers: Mapping[str, str], body: bytes) -> str | None:
        try:
            subject = self._sort(headers, body)
        except Exception as error:  # noqa: BLE001 - whatever a stranger posts, the receiver goes on
            self._warn(f"one could not be read ({type(error).__name__})")
            return None
        if subject is None and headers.get("content-encoding", "identity").lower() != "identity":
            self._warn("one came compressed, and the service does not know it; let the vendor send them plain")
        return subject if subject and len(subject) <= MAX_SUBJECT_CHARS and _is_storable(subject) else None

    def _room_for(self, subject: str, size_bytes: int) -> _Pile | None:
        """Take room for a callback; None where there is none, and then whom it concerns learns it."""
        if self._size_bytes + size_bytes + ENTRY_BYTES > self._table.max_kept_bytes:
            self.unreadable(f"more came than [callbacks] max_kept_bytes = {self._table.max_kept_bytes:,} lets us keep")
            return None
        pile = self._pile(subject)
        if pile.count >= self._table.max_per_subject:
            pile.lost = f"more came about one thing than [callbacks] max_per_subject = {self._table.max_per_subject:,}"
            self._warn(pile.lost)
            pile.news.set()
            return None
        pile.add(size_bytes)
        self._size_bytes += size_bytes + ENTRY_BYTES
        return pile

    def _take_back(self, subject: str, pile: _Pile, size_bytes: int) -> None:
        if self._piles.get(subject) is pile:
            pile.take_back(size_bytes)
            self._size_bytes -= size_bytes + ENTRY_BYTES

    def _pile(self, subject: str) -> _Pile:
        return self._piles.setdefault(subject, _Pile())

    def _warn(self, what: str) -> None:
        """Say it once: whoever floods us does not flood the log."""
        if what not in self._warned:
            self._warned.add(what)
            _log.warning("callbacks for %s: %s", self._service, clean_text(what))


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry
        return False
    return True
