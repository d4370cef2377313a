"""DeepCleer's calls for streams: the vendor pulls a file from its URL and posts back what it hears.

A stream's id is known once the vendor has answered, and stands in the book of open things from then on until it is
closed. A stream whose answer was lost on the way is found when its file is submitted again: the vendor then names the
one that is open (`dupRequestId`), which is closed before the file is submitted once more.

Every stream is closed on every way out, an ended one too: what says that it ended is a callback, and callbacks are not
signed. A callback counts where it came to our unguessable address, is about our stream and our `btId`, and does not
carry another word than the one that we gave the vendor to pass through.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.answer_json import dump_json, map_strings, parse_json
from batch_scan.endpoint.deepcleer.answer import bt_id_of
from batch_scan.endpoint.deepcleer.codes import PENDING, SUCCESS, check, code_error, code_of, unrecognised
from batch_scan.endpoint.deepcleer.fields import number, pick, without_echo, words
from batch_scan.endpoint.deepcleer.heard import heard_of, is_end, problem_with, task_of
from batch_scan.endpoint.deepcleer.prices import quote, sound
from batch_scan.endpoint.deepcleer.wire import SMALL_BYTES, envelope
from batch_scan.endpoint.url_hiding import hidden, hider
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer
from batch_scan.shielded import shielded
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from batch_scan.endpoint.deepcleer.wire import Wire
    from batch_scan.endpoint.premises import Mailbox
    from batch_scan.model import Request, Sample

HANDLE: Final = "stream"
"""Kind of open thing: a stream that the vendor pulls; its handle is the vendor's id."""
DUPLICATE: Final = 1001
"""`detail.errorCode` where the same stream is open already."""

_SCHEMES: Final = frozenset({"http", "https", "rtmp", "rtmps"})
_LATE_S: Final = 30.0
"""How long stretches are waited for that are still missing when the end is told."""
_CLOSING_TURN_S: Final = 5.0
"""Closing waits for its turn, but not long: what is open is paid."""
_CLOSING_TRIES: Final = 3
_CLOSING_GRACE_S: Final = 20.0


def sort_callback(_headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the stream that a callback is about; None where it is none of ours. See `premises.Sorter`."""
    try:
        posted = parse_json(body)
    except ValueError:
        return None
    return task_of(words(pick(posted, "requestId"))) or None


class Streams:
    """Submits files by URL, and closes what it opened."""

    def __init__(self, wire: Wire, mailbox: Mailbox) -> None:
        self._wire = wire
        self._mailbox = mailbox
        self._live: set[str] = set()
        self._closing: set[asyncio.Task[Any]] = set()

    async def close_left_open(self) -> int:
        """Close what an earlier process left open; return how many could not be. Raises EndpointError where fatal."""
        left = 0
        for stream in self._wire.premises.handles.left_open(HANDLE):
            error = await self._finish(stream)
            if error is not None and error.failure is Failure.FATAL:
                raise error
            self._mailbox.forget(stream)
            left += error is not None
        return left

    async def aclose(self) -> None:
        """Wait for what is being closed."""
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=_CLOSING_GRACE_S)

    async def submit(self, request: Request) -> Answer:
        """Have one file pulled and judged. Raises EndpointError."""
        (sample,) = request.samples
        _check_pullable(sample)
        hide, word = hider(sample.url), secrets.token_hex(16)
        starting = asyncio.create_task(self._start(request, sample, word))
        try:
            stream, bytes_sent = await shielded(starting)
        except asyncio.CancelledError:
            await self._see_closed(self._finish_started(starting))
            raise
        except EndpointError as error:
            raise hidden(error, hide) from None
        try:
            callbacks = await self._listen(request, sample, stream, word, hide)
        except EndpointError as error:
            raise hidden(error, hide) from None
        finally:
            await self._see_closed(self._let_go(stream))
        return self._answer(request, stream, callbacks, bytes_sent)

    # ------------------------------------------------------------------------------------------------- opening

    async def _start(self, request: Request, sample: Sample, word: str) -> tuple[str, int]:
        """Open a stream, in place of the same one where that is open already; return its id and the bytes sent."""
        fields = self._fields(request, sample, word)
        reply = await self._wire.ask("audio_stream", fields)
        duplicate = _duplicate_of(reply.json)
        if duplicate:
            await self._close_duplicate(duplicate)
            await self._wire.premises.pace(SMALL_BYTES)
            reply = await self._wire.ask("audio_stream", fields)
            if _duplicate_of(reply.json):
                raise EndpointError(Failure.TRANSIENT, "deepcleer still pulls the same file for an earlier submission")
        check(reply.json, "a stream")
        stream = words(pick(reply.json, "requestId"))
        if not stream:
            raise unrecognised("the stream has no requestId")
        try:
            await self._wire.premises.handles.opened(HANDLE, stream)
        except BaseException:
            await self._finish_once(stream)  # what is not in the book would stay open
            raise
        self._live.add(stream)
        return stream, reply.bytes_sent

    async def _close_duplicate(self, duplicate: str) -> None:
        if duplicate in self._live:
            raise EndpointError(Failure.TRANSIENT, "deepcleer pulls the same URL for another request of this run")
        await self._wire.premises.handles.opened(HANDLE, duplicate)
        error = await self._finish(duplicate)
        if error is not None:
            raise error

    def _fields(self, request: Request, sample: Sample, word: str) -> Mapping[str, Any]:
        config = self._wire.config
        data = {
            "tokenId": config.token_id,
            "btId": bt_id_of(request),
            "streamType": "NORMAL",
            "url": sample.url,
            "lang": config.lang,
            "returnAllText": 1,
            "returnFinishInfo": 1,
            "extra": {"passThrough": {"word": word}},
        }
        return {**envelope(config), "callback": self._mailbox.url, "data": data}

    # ------------------------------------------------------------------------------------------------ listening

    async def _listen(
        self, request: Request, sample: Sample, stream: str, word: str, hide: Callable[[str], str]
    ) -> list[dict[str, Any]]:
        """Return the callbacks of a stream, each once, when it is over. Raises EndpointError."""
        table, clock = self._wire.config.stream, asyncio.get_running_loop().time
        longest_s = sample.duration_s * table.wait_factor + table.slack_s
        ends_s = clock() + longest_s
        taken: dict[str, dict[str, Any]] = {}
        ended = False
        while True:
            try:
                body = await self._mailbox.next(stream, max(0.0, ends_s - clock()))
            except TimeoutError:
                break
            callback = _taken(body, bt_id_of(request), word, hide)
            if callback is None:
                continue
            # By all that it says: of two words about one stretch the better does not cover the worse.
            taken.setdefault(digest_bytes(dump_json(callback).encode()), callback)
            ended = ended or is_end(callback)
            if not ended:
                continue
            ends_s = min(ends_s, clock() + _LATE_S)
            heard = heard_of(list(taken.values()))
            if heard.end_code is not None or heard.covers(sample, table):
                break
        heard = heard_of(list(taken.values()))
        problem = problem_with(heard, sample, table)
        if problem is not None:
            raise problem
        return list(taken.values())

    def _answer(self, request: Request, stream: str, callbacks: list[dict[str, Any]], bytes_sent: int) -> Answer:
        tokens = self._wire.config.tokens
        seconds = heard_of(callbacks).seconds
        whole = {"code": SUCCESS, "requestId": stream, "btId": bt_id_of(request), "callbacks": callbacks}
        return Answer(
            raw=dump_json(map_strings(whole, self._wire.redact)),
            tokens_charged=sound(tokens, seconds, quote(tokens, request.medium, request.samples)),
            http_status=200,
            vendor_code=str(SUCCESS),
            vendor_request_id=clean_text(stream, 100),
            bytes_sent=bytes_sent,
        )

    # -------------------------------------------------------------------------------------------------- closing

    async def _see_closed(self, closing: Coroutine[Any, Any, None]) -> None:
        """Close to the end, also where whoever waits is cancelled meanwhile."""
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        await shielded(task)

    async def _finish_started(self, starting: asyncio.Task[tuple[str, int]]) -> None:
        with contextlib.suppress(EndpointError):
            stream, _ = await starting
            await self._let_go(stream)

    async def _let_go(self, stream: str) -> None:
        await self._finish(stream)
        self._live.discard(stream)
        self._mailbox.forget(stream)

    async def _finish(self, stream: str) -> EndpointError | None:
        """Close a stream and cross it out; return why it may still be open, where it may."""
        error: EndpointError | None = None
        for attempt in range(_CLOSING_TRIES):
            if attempt:
                await asyncio.sleep(attempt)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_TURN_S):
                    await self._wire.premises.pace(SMALL_BYTES)
            error = await self._finish_once(stream)
            if error is None:
                await self._wire.premises.handles.closed(HANDLE, stream)
                return None
            if error.failure in {Failure.REFUSED, Failure.FATAL}:
                break
        return error

    async def _finish_once(self, stream: str) -> EndpointError | None:
        try:
            reply = await self._wire.ask_shortly("finish_stream", {"requestId": stream})
        except EndpointError as error:
            return error
        if code_of(reply.json) == SUCCESS:
            return None
        refusal = code_error(reply.json, "the closing of a stream")
        knows_none = refusal.failure is Failure.REFUSED and not refusal.maybe_charged  # a code that is known
        return None if knows_none else refusal


# ------------------------------------------------------------------------------------------------------------ pure


def _check_pullable(sample: Sample) -> None:
    if urlsplit(sample.url).scheme not in _SCHEMES:
        raise EndpointError(Failure.REFUSED, "the file has no URL that deepcleer can pull (http, https, rtmp, rtmps)")
    if sample.duration_s <= 0:
        detail = "the file does not declare how long it is, so that nobody could tell whether all of it was heard"
        raise EndpointError(Failure.REFUSED, detail)


def _duplicate_of(body: Any) -> str:
    """Return the id of the same stream that is open already; empty where the answer names none."""
    for place in (pick(body, "detail"), body):
        if number(pick(place, "errorCode")) == DUPLICATE:
            return words(pick(place, "dupRequestId"))
    return ""


def _taken(body: bytes, bt_id: str, word: str, hide: Callable[[str], str]) -> dict[str, Any] | None:
    """Return a callback as it is kept; None where it is not about our submission. Raises EndpointError for its code."""
    try:
        posted = parse_json(body)
    except ValueError:
        return None
    if not isinstance(posted, dict):
        return None
    callback: dict[str, Any] = map_strings(without_echo(posted), hide)
    told = pick(callback, "btId")
    if told is not None and words(told) != bt_id:
        return None
    passed = pick(pick(pick(pick(callback, "audioDetail"), "auxInfo"), "passThrough"), "word")
    if passed is not None and passed != word:
        return None
    code = code_of(callback)
    if code == PENDING:
        return None
    if code != SUCCESS:
        error = code_error(callback, "about a stream")
        error.maybe_charged = True
        raise error
    return callback
