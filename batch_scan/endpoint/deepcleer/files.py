"""DeepCleer's calls for chunks of sound: one call for short ones, submission and polling for longer ones.

A longer sound is submitted under an id (`btId`) that is made from the question. The id stands in the book of open
things before it goes out and until its result is there. Whoever finds it there, after a crash or after a submission of
which no word came back, asks for the result first; the result is kept by the vendor for 3 days. An id that the vendor
does not know is answered like one that is still worked on (1101), so asking ends after `found_again_s`, and the sound
is submitted again under the same id.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.answer import audio_seconds, bt_id_of, check_ours
from batch_scan.endpoint.deepcleer.codes import PENDING, SUCCESS, check, code_error, code_of
from batch_scan.endpoint.deepcleer.fields import pick
from batch_scan.endpoint.deepcleer.prices import quote, sound
from batch_scan.endpoint.deepcleer.wire import SMALL_BYTES, envelope, to_answer
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.deepcleer.wire import Wire
    from batch_scan.endpoint.http import HttpReply
    from batch_scan.model import Answer, Request, Sample

HANDLE: Final = "audio"
"""Kind of open thing: a submission whose result has not been read."""

_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}
_LONGEST_PAUSE_S: Final = 60.0


async def submit_sound(wire: Wire, request: Request) -> Answer:
    """Have one chunk of sound judged. Raises EndpointError."""
    (sample,) = request.samples
    room = wire.config.max_audio_bytes
    if sample.data is not None and len(sample.data) > room:
        raise EndpointError(
            Failure.REFUSED, f"the sound has {len(sample.data):,} bytes, more than the {room:,} allowed"
        )
    if sample.duration_s <= wire.config.sync_max_s:
        reply = await wire.ask("audio_sync", _fields(wire, request, sample))
        check(reply.json, "about a sound")
        return _answer(wire, request, reply, reply.bytes_sent)
    return await _submit_long(wire, request, sample)


async def _submit_long(wire: Wire, request: Request, sample: Sample) -> Answer:
    bt_id, handles = bt_id_of(request), wire.premises.handles
    was_left = bt_id in handles.left_open(HANDLE)
    if was_left:
        found = await _find_again(wire, bt_id)
        if found is not None:
            await handles.closed(HANDLE, bt_id)
            return _answer(wire, request, found, found.bytes_sent)
    await handles.opened(HANDLE, bt_id)
    fields = _fields(wire, request, sample)
    if was_left:
        await wire.premises.pace(len(sample.data or b""))
    try:
        ack = await wire.ask("audio", fields)
        if code_of(ack.json) not in {SUCCESS, PENDING}:
            raise code_error(ack.json, "a submission of sound")
        check_ours(request, pick(ack.json, "btId"), bt_id)
    except EndpointError as error:
        if not error.maybe_charged and not was_left:
            await handles.closed(HANDLE, bt_id)
        raise
    reply = await _wait(wire, bt_id)
    await handles.closed(HANDLE, bt_id)
    return _answer(wire, request, reply, ack.bytes_sent)


async def _find_again(wire: Wire, bt_id: str) -> HttpReply | None:
    """Return the result of a submission that is in doubt; None where the vendor knows of none, or it came to nothing.

    Raises EndpointError where that cannot be found out: submitting again could be paying again.
    """
    try:
        reply = await _poll(wire, bt_id, wire.config.found_again_s, first_at_once=True)
        if reply is not None:
            check(reply.json, "about a submission of before")
    except EndpointError as error:
        says_no = error.failure is Failure.REFUSED and error.vendor_code  # what cannot be read says nothing
        if not says_no and error.vendor_code != "1904":
            raise
        return None
    return reply


async def _wait(wire: Wire, bt_id: str) -> HttpReply:
    """Return the result of a submission that was just accepted, whose price is therefore owed whatever comes."""
    try:
        reply = await _poll(wire, bt_id, wire.config.poll_timeout_s, first_at_once=False)
    except EndpointError as error:
        error.maybe_charged = True
        raise
    if reply is None:
        raise EndpointError(
            Failure.TRANSIENT,
            f"deepcleer did not finish with a sound within poll_timeout_s = {wire.config.poll_timeout_s:g}",
            vendor_code=str(PENDING),
            maybe_charged=True,
        )
    if code_of(reply.json) != SUCCESS:
        refusal = code_error(reply.json, "about a sound")
        if not refusal.maybe_charged:  # a result too: there will be no other
            await wire.premises.handles.closed(HANDLE, bt_id)
        raise refusal
    return reply


async def _poll(wire: Wire, bt_id: str, for_s: float, *, first_at_once: bool) -> HttpReply | None:
    """Ask until there is a result of whatever code; None after `for_s` seconds of nothing but "still working".

    What fails on the way (network, 5xx, too fast) is no word about the sound: it is asked again while time is left.
    """
    clock, pause_s = asyncio.get_running_loop().time, wire.config.poll_interval_s
    ends_s, trouble = clock() + for_s, None
    while True:
        if not first_at_once:
            await asyncio.sleep(min(pause_s, max(0.0, ends_s - clock())))
            await wire.premises.pace(SMALL_BYTES)
        first_at_once = False
        try:
            reply = await wire.ask_shortly("audio_query", {"btId": bt_id})
            trouble = _passing(reply)
            if trouble is None and code_of(reply.json) != PENDING:
                return reply
        except EndpointError as error:
            if error.failure is Failure.FATAL:
                raise
            trouble = error
        if clock() >= ends_s:
            if trouble is not None:
                raise trouble
            return None
        pause_s = (
            min(max(pause_s * 2, trouble.retry_after_s or 0.0), _LONGEST_PAUSE_S)
            if trouble
            else (wire.config.poll_interval_s)
        )


def _passing(reply: HttpReply) -> EndpointError | None:
    """Return the error of an answer that says nothing of the sound; None for one that does. Raises what is fatal."""
    error = code_error(reply.json, "a question after a sound")
    if code_of(reply.json) in {SUCCESS, PENDING} or error.failure is Failure.REFUSED:
        return None
    if error.failure is Failure.FATAL:
        raise error
    return None if error.vendor_code == "1904" else error


def _fields(wire: Wire, request: Request, sample: Sample) -> Mapping[str, Any]:
    config = wire.config
    data: dict[str, Any] = {"tokenId": config.token_id, "lang": config.lang, "returnAllText": 1}
    fields = {**envelope(config), "btId": bt_id_of(request), "data": data}
    if sample.data is not None:
        data["formatInfo"] = _FORMATS.get(sample.mime, config.audio_format.value)
        return {**fields, "contentType": "RAW", "content": base64.b64encode(sample.data).decode("ascii")}
    if not sample.url:
        raise ValueError("the sample has no data to send")
    return {**fields, "contentType": "URL", "content": sample.url}


def _answer(wire: Wire, request: Request, reply: HttpReply, bytes_sent: int) -> Answer:
    (sample,) = request.samples
    told_s = audio_seconds(reply.raw)
    tokens = wire.config.tokens
    most = quote(tokens, request.medium, request.samples)
    charged = sound(tokens, sample.duration_s if told_s is None else told_s, most)
    return to_answer(reply.json, reply, charged, bytes_sent)
