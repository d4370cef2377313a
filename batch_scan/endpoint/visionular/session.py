"""One file, played: create a live stream, push, collect the records, close everything on every way out."""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.answer_json import dump_json, map_strings
from batch_scan.endpoint.visionular.closing import INTENTION, STREAM, OpenStream
from batch_scan.endpoint.visionular.gathering import Gathering
from batch_scan.endpoint.visionular.ids import stream_digest
from batch_scan.errors import EndpointError, Failure, MediaError
from batch_scan.media.play import PlaySpec, play
from batch_scan.model import Answer
from batch_scan.secret import Secret
from batch_scan.shielded import shielded
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.endpoint.premises import Handles, Mailbox
    from batch_scan.endpoint.visionular.api import Created, LiveApi
    from batch_scan.endpoint.visionular.closing import Closer
    from batch_scan.endpoint.visionular.config import VisionularConfig
    from batch_scan.media.play import Played
    from batch_scan.model import Request, Sample

ANSWER_VERSION: Final = 1
CLOSING_S: Final = 20.0
"""Longest time that closing may take; what is not closed then is closed at the next start."""
_MISSING_S: Final = 2.0
_MISSING_SHARE: Final = 0.02
_MISSING_MOST_S: Final = 10.0
"""A play may end this much before the declared end of the file: declared durations are rounded, and sound may last
longer than pictures."""
_ID_CHARS: Final = 100
_UNPLAYABLE: Final = frozenset({Reason.NOT_MEDIA, Reason.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Desk:
    """What every session of an endpoint works with."""

    config: VisionularConfig
    api: LiveApi
    handles: Handles
    closer: Closer
    mailbox: Mailbox | None
    closing: set[asyncio.Task[None]]
    """Closings under way, also those whose session was cancelled."""


def seconds_begun(played_s: float) -> int:
    """Return what so much of a play costs, in tokens."""
    return math.ceil(round(played_s, 1))


class LiveSession:
    """See the module. Used once."""

    def __init__(self, desk: Desk, request: Request) -> None:
        self._desk = desk
        self._request = request
        self._sample: Sample = request.samples[0]
        # Another word for every attempt: two runs, or two attempts, must not close each other's streams.
        self._intention = f"batch-scan {request.key[:32]} {secrets.token_hex(8)}"
        self._opened: OpenStream | None = None
        self._gathering: Gathering | None = None

    async def run(self) -> Answer:
        """Play the file and return what came of it. Raises EndpointError."""
        await self._desk.handles.opened(INTENTION, self._intention)
        try:
            created = await self._create()
            return await self._played(created)
        finally:
            closing = asyncio.create_task(self._close(), name="closing a live stream")
            self._desk.closing.add(closing)
            closing.add_done_callback(self._desk.closing.discard)
            await shielded(closing)

    async def _create(self) -> Created:
        config = self._desk.config
        settings: dict[str, Any] = {"user_metadata": self._intention, "audit_settings": config.audit_settings}
        if config.latency_mode:
            settings["latency_mode"] = config.latency_mode
        try:
            created = await self._desk.api.create(settings)
        except EndpointError as error:
            in_doubt = error.maybe_charged or (error.failure is Failure.TRANSIENT and error.vendor_code)
            if not in_doubt:  # nothing was created
                await self._desk.handles.closed(INTENTION, self._intention)
            raise
        self._opened = OpenStream(created.id, stream_digest(created.key))
        await self._write_down(self._opened)
        return created

    async def _write_down(self, opened: OpenStream) -> None:
        """Put the stream into the handles, in the place of the intention; again where that was cut short."""
        if self._intention in self._desk.handles.left_open(INTENTION):
            await self._desk.handles.opened(STREAM, opened.handle)
            await self._desk.handles.closed(INTENTION, self._intention)

    async def _played(self, created: Created) -> Answer:
        assert self._opened is not None  # noqa: S101 - set where it was created
        desk, key = self._desk, Secret(created.key)
        self._gathering = Gathering(desk.api, desk.config, self._opened.stream, created.id, desk.mailbox)
        try:
            played = await self._push(key)
            await self._gathering.settle()
        except EndpointError as error:
            raise _after_play(error, key) from None
        raw = {
            "version": ANSWER_VERSION,
            "stream": self._opened.stream,
            "frame_interval": desk.config.interval_s,
            "models": list(desk.config.models.wanted),
            "played_s": round(played.seconds, 3),
            "copied": played.copied,
            "beats": [list(beat) for beat in played.beats],
            "created": created.reply.json,
            "settled": self._gathering.is_settled,
            "records": self._gathering.records,
        }
        return Answer(
            raw=dump_json(map_strings(raw, key.redact)),
            tokens_charged=min(seconds_begun(played.seconds), self._request.tokens_max),
            http_status=created.reply.status,
            vendor_request_id=_request_id(created),
            bytes_sent=created.reply.bytes_sent,
        )

    async def _push(self, key: Secret) -> Played:
        """Play the file wholly. Raises EndpointError."""
        config, sample = self._desk.config, self._sample
        assert sample.path is not None  # noqa: S101 - checked before anything was opened
        spec = PlaySpec(config.longest_px, config.max_kbps, config.sound, config.max_play_s)
        target = f"{config.ingest_url}/{key.reveal()}"
        try:
            played = await play(sample.path, sample.track, target, spec, duration_s=sample.duration_s)
        except MediaError as error:
            failure = Failure.REFUSED if error.reason in _UNPLAYABLE else Failure.TRANSIENT
            raise EndpointError(failure, error.detail) from None
        missing_s = sample.duration_s - played.seconds
        if missing_s > min(max(_MISSING_S, _MISSING_SHARE * sample.duration_s), _MISSING_MOST_S):
            detail = f"only {played.seconds:.1f} of {sample.duration_s:.1f} s could be played"
            raise EndpointError(Failure.REFUSED, detail)
        if sample.duration_s <= 0.0 and played.seconds >= config.max_play_s - _MISSING_S:
            raise EndpointError(Failure.REFUSED, f"it was still playing after max_play_s = {config.max_play_s:g}")
        return played

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSING_S):
                if self._opened is not None:
                    await self._write_down(self._opened)
                    sessions = self._gathering.sessions if self._gathering is not None else ()
                    await self._desk.closer.close(self._opened, sessions)
                elif self._intention in self._desk.handles.left_open(INTENTION):
                    await self._desk.closer.sweep_intentions([self._intention], for_good=False)
        except TimeoutError:
            return  # the handles stay, for the next start
        finally:
            if self._desk.mailbox is not None and self._opened is not None:
                self._desk.mailbox.forget(self._opened.id)


def _after_play(error: EndpointError, key: Secret) -> EndpointError:
    """Return the error without the stream key; what was played, if only in part, may be charged."""
    return EndpointError(
        error.failure,
        clean_text(key.redact(error.detail)),
        http_status=error.http_status,
        vendor_code=key.redact(error.vendor_code),
        retry_after_s=error.retry_after_s,
        maybe_charged=True,
    )


def _request_id(created: Created) -> str:
    told = created.reply.json.get("request_id")
    return clean_text(told, _ID_CHARS) if isinstance(told, str) else created.reply.header("x-request-id", _ID_CHARS)
