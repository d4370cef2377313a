"""Collects the moderation records of one play: by asking for them and, where there are callbacks, by being told."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.answer_json import dump_json, parse_json
from batch_scan.endpoint.visionular.ids import decode_session
from batch_scan.endpoint.visionular.records import detections_of
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.premises import Mailbox
    from batch_scan.endpoint.visionular.api import LiveApi
    from batch_scan.endpoint.visionular.config import VisionularConfig
    from batch_scan.endpoint.visionular.ids import Session

_MAX_CALLBACKS: Final = 20_000
_MAX_CHARS: Final = 100_000_000
"""Of the records of one file: a day of a picture every second has 30 million."""
_MAX_WORDS: Final = 100
"""Different things that may be said of one picture."""
_KEPT: Final = ("id", "task_id", "event_id", "detect_info", "detect_status", "audit_from", "review_at", "created_at")
"""What is kept of a record: all but account, session name and picture URL, which give keys away."""


def subject_of(_headers: Mapping[str, str], body: bytes) -> str | None:
    """Say which live stream a callback is about: see `premises.Sorter`.

    Newer events have a `type`, older ones (somebody began or stopped to publish) an `event_type`; only the first say
    anything of pictures. How events are signed is not known: the unguessable URL is what protects.
    """
    try:
        event = parse_json(body)
    except ValueError:
        return None
    if not isinstance(event, dict) or (event.get("type") or event.get("event_type")) != "audit_check":
        return None
    stream_id = _info(event).get("stream_id")
    return stream_id if isinstance(stream_id, str) and stream_id else None


class Gathering:
    """The records of one stream, as they come in."""

    def __init__(
        self, api: LiveApi, config: VisionularConfig, stream: str, stream_id: str, mailbox: Mailbox | None
    ) -> None:
        self._api = api
        self._config = config
        self._stream = stream
        self._stream_id = stream_id
        self._mailbox = mailbox
        self._listed: dict[str, list[dict[str, Any]]] = {}
        self._told: dict[str, list[dict[str, Any]]] = {}
        self._count = self._size_chars = 0
        self.is_settled = False
        """Whether all looks succeeded, and none brought anything new, for long enough to take it for complete."""
        self.sessions: dict[str, Session] = {}
        """The times that somebody published to the stream, by name, as far as they are known."""

    @property
    def records(self) -> list[dict[str, Any]]:
        """What is known, each picture once: an event only where no record of it was listed.

        What is told of one picture in two ways is there twice: the better word does not cover the worse.
        """
        listed = list(chain.from_iterable(self._listed.values()))
        events = {record.get("event_id") for record in listed}
        told = chain.from_iterable(records for event_id, records in self._told.items() if event_id not in events)
        return sorted([*listed, *told], key=lambda record: str(record.get("review_at")))

    async def settle(self) -> None:
        """Look for records until there are some and none came for `settle_s`, at most for `settle_max_s`.

        A look that fails for a moment is repeated: what was played need not be played again for that. Raises
        EndpointError for one that fails for good, and where not one look succeeded. `is_settled` says whether what
        came is complete.
        """
        clock = asyncio.get_running_loop()
        ends_s = clock.time() + self._config.settle_max_s
        fresh_s, has_looked = clock.time(), False
        while True:
            before = self._count
            failure = await self._passing_failure()
            has_looked = has_looked or failure is None
            now_s = clock.time()
            if failure is not None or self._count > before:
                fresh_s = now_s
            self.is_settled = failure is None and self._count > 0 and now_s - fresh_s >= self._config.settle_s
            if self.is_settled:
                return
            if now_s >= ends_s:
                break
            await asyncio.sleep(min(self._config.poll_interval_s, max(0.0, ends_s - now_s)))
        if failure is not None and not has_looked:
            raise failure

    async def _passing_failure(self) -> EndpointError | None:
        """Look, and return what failed for a moment. Raises EndpointError for what fails for good."""
        try:
            await self.look()
        except EndpointError as error:
            if error.failure not in {Failure.TRANSIENT, Failure.RATE_LIMITED}:
                raise
            return error
        return None

    async def look(self, max_pages: int = 0) -> None:
        """Take in what is there now."""
        await self._take_callbacks()
        pages = max_pages or self._config.max_pages
        for session in list(self.sessions) or [""]:
            async for row in self._api.records(session, self._config.page_size, pages):
                self._take(row)

    def _take(self, row: Mapping[str, Any]) -> None:
        session = decode_session(row.get("channel_id"))
        if session is None or session.stream != self._stream:
            return
        self.sessions[session.name] = session
        kept = {name: row[name] for name in _KEPT if name in row}
        of = {"stream": session.stream, "started_s": session.started_s}
        self._keep(self._listed, f"{row.get('id')!r:.200}", kept | of)

    def _keep(self, records: dict[str, list[dict[str, Any]]], name: str, record: dict[str, Any]) -> None:
        """Keep a record beside what else was said under its name; instead of one that did not say anything yet."""
        known = records.setdefault(name, [])
        if record in known:
            return
        known[:] = [*(one for one in known if _speaks(one)), record]
        self._count += 1
        self._size_chars += len(dump_json(record))
        if self._size_chars > _MAX_CHARS or len(known) > _MAX_WORDS:
            raise EndpointError(Failure.REFUSED, "more records came for one file, or one picture, than can be right")

    async def _take_callbacks(self) -> None:
        if self._mailbox is None:
            return
        for _ in range(_MAX_CALLBACKS):
            try:
                self._take_event(parse_json(await self._mailbox.next(self._stream_id, 0.0)))
            except (TimeoutError, EndpointError):
                return  # nothing more; and what could not be kept of events is in the records as well
            except ValueError:
                continue

    def _take_event(self, event: Any) -> None:
        session = decode_session(_info(event).get("stream_session_id"))
        if session is None or session.stream != self._stream:
            return
        self.sessions[session.name] = session
        event_id = str(event.get("id"))[:200]
        alerts = list(detections_of(event["data"].get("alerts")))
        record = {
            "event_id": event_id,
            "detect_info": json.dumps(alerts or None),  # an alert without a word we know is not clean
            "review_at": _unix_ms(event.get("created_at")),
            "stream": session.stream,
            "started_s": session.started_s,
            "callback": True,
        }
        self._keep(self._told, event_id, record)


def _speaks(record: Mapping[str, Any]) -> bool:
    return record.get("detect_info") not in {None, "", "[]", "null"}


def _info(event: Any) -> Mapping[str, Any]:
    data = event.get("data") if isinstance(event, dict) else None
    info = data.get("stream_info") if isinstance(data, dict) else None
    return info if isinstance(info, dict) else {}


def _unix_ms(created_at: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(created_at).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None
