"""A server that keeps DeepCleer's contract, strictly, on a loopback port: sounds, pictures, streams.

What the vendor's pages say it does: fields, sizes, codes inside answers with status 200, sync answers nested under
`detail` and polled ones not, ids of ours that name a submission for 3 days, callbacks per 10 s of a stream. What they
do not say can be set: what an unknown id is answered, which code a duplicate or a file's natural end has.

    with DeepCleerServer(judge=judge) as server:
        server.results_held = True          # every question after a sound is answered "still processing"
        ...
        assert server.tokens_used == 50 and not server.open_streams
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import simplejpeg

from batch_scan.sandbox.deepcleer import contract
from batch_scan.sandbox.deepcleer.contract import demand, said
from batch_scan.sandbox.deepcleer.streams import Habits, OpenStream, Player, open_client
from batch_scan.sandbox.deepcleer.words import judged, sound_result
from batch_scan.sandbox.exchange import Refusal, Told
from batch_scan.sandbox.sound import duration_s
from batch_scan.sandbox.vendor import VendorServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from batch_scan.sandbox.exchange import Seen
    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.judge import Judge

__all__ = ["DEFAULT_KEY", "DeepCleerServer", "Submission"]

DEFAULT_KEY: Final = "dc-live-0123456789abcdef"
_JUDGING: Final = frozenset({"/audiomessage/v4", "/audio/v4", "/images/v4", "/audiostream/v4"})
_OTHERS: Final = frozenset({"/query_audio/v4", "/finish_audiostream/v4"})
_SYNC_LONGEST_S: Final = 60.0
_LEAST_PX, _MOST_PX = 20, 6000
_THREE_DAYS_S: Final = 3 * 86_400.0
_CODES: Final[Mapping[int, int]] = {400: 1902, 401: 9101, 402: 9100, 403: 9101, 429: 1901}


@dataclass(slots=True)
class Submission:
    """A longer sound that was submitted."""

    bt_id: str
    request_id: str
    digest: str
    tokens: int
    submitted_s: float
    times: int = 1
    """How often it was submitted."""
    polls: int = 0
    task: asyncio.Task[dict[str, Any]] | None = field(default=None, repr=False)


class DeepCleerServer(VendorServer):
    """See the module. Attributes may be changed while it runs."""

    name = "deepcleer"

    def __init__(
        self,
        *,
        judge: Judge,
        mode: str = "file",
        key: str = DEFAULT_KEY,
        app_id: str = "sandbox",
        event_id: str = "archive",
        rate_limit: int = 60_000,
        rate_window_s: float = 60.0,
        delay_s: float = 0.0,
        token_limit: int | None = None,
        tokens_per_image: int = 1,
        tokens_per_second: int = 1,
        max_streams: int = 50,
        pending_polls: int = 0,
        unknown_bt_id: int = 1101,
        remembered_s: float = _THREE_DAYS_S,
        duplicate_code: int = 1902,
        unknown_stream: int = 1902,
        end_code: int | None = None,
        stream_pause_s: float = 0.0,
        callback_retries: int = 20,
        callback_retry_s: float = 0.05,
    ) -> None:
        """Prepare a server.

        Args:
            judge: what is true of a sample.
            mode: what a job is told to use: ``file``, or ``stream`` which needs callbacks; both are served.
            key: the only access key that is right.
            app_id: the only `appId` that is right.
            event_id: the only `eventId` that is right.
            rate_limit: judging requests per minute; above it, 1901.
            rate_window_s: length of the sliding window.
            delay_s: how long an answer takes.
            token_limit: the balance; what goes beyond is 9100.
            tokens_per_image: what an image costs.
            tokens_per_second: what a begun second of sound costs.
            max_streams: pulled at the same time; above it, 1901.
            pending_polls: questions after a sound that are answered 1101 in any case.
            unknown_bt_id: code for a question after a sound that nobody submitted.
            remembered_s: how long submissions are remembered.
            duplicate_code: outer code where a stream is open already (`detail.errorcode` is 1001).
            unknown_stream: code for the closing of a stream that is not open.
            end_code: `auxInfo.errorCode` of a file that was pulled to its end; None is none.
            stream_pause_s: how long each stretch of a stream takes.
            callback_retries: how often a callback is posted again that is not answered 200.
            callback_retry_s: pause between those.
        """
        super().__init__(rate_limit=rate_limit, rate_window_s=rate_window_s, retry_after=False, delay_s=delay_s)
        self.judge = judge
        self.mode = mode
        self.needs_callbacks = mode == "stream"
        self.key = key
        self.app_id = app_id
        self.event_id = event_id
        self.token_limit = token_limit
        self.tokens_per_image = tokens_per_image
        self.tokens_per_second = tokens_per_second
        self.max_streams = max_streams
        self.pending_polls = pending_polls
        self.unknown_bt_id = unknown_bt_id
        self.remembered_s = remembered_s
        self.duplicate_code = duplicate_code
        self.unknown_stream = unknown_stream
        self.end_code = end_code
        self.stream_pause_s = stream_pause_s
        self.callback_retries = callback_retries
        self.callback_retry_s = callback_retry_s
        self.results_held = False
        """Whether every question after a sound is answered 1101."""
        self.image_codes: dict[str, list[int]] = {}
        """Codes that pictures with this SHA-256 are answered with, one after the other, before they are judged."""
        self.urls: dict[str, bytes] = {}
        """What "public" URLs hold, for sounds and pictures that are named by one."""
        self.submissions: dict[str, Submission] = {}
        """Longer sounds, by `btId`."""
        self.open_streams: dict[str, OpenStream] = {}
        self.closed_streams: list[OpenStream] = []
        self._player = Player(lambda: self.judge, self._habits)

    @property
    def secrets(self) -> Mapping[str, str]:
        """See `VendorServer.secrets`."""
        return {"DEEPCLEER_ACCESS_KEY": self.key}

    @property
    def table(self) -> Mapping[str, Any]:
        """See `VendorServer.table`."""
        calls = ("audio_sync", "audio", "audio_query", "images", "audio_stream", "finish_stream")
        return {
            "mode": self.mode,
            "app_id": self.app_id,
            "event_id": self.event_id,
            "poll_interval_s": 0.2,
            "found_again_s": 2.0,
            "urls": dict.fromkeys(calls, self.url),
        }

    def judges(self, method: str, path: str) -> bool:  # noqa: ARG002 - the path says it all
        """See `VendorServer.judges`."""
        return path in _JUDGING

    def refusal(self, status: int) -> Fault:
        """See `VendorServer.refusal`: a code in an answer with status 200."""
        code = _CODES.get(status, 1903 if status >= HTTPStatus.INTERNAL_SERVER_ERROR else 1902)
        return Told(said(code, _new_id())).as_fault

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """See `VendorServer.answer`; codes stand in the body, the status is 200 unless there is nothing at the path."""
        if seen.path not in _JUDGING | _OTHERS:
            return Told({"message": "not found"}, HTTPStatus.NOT_FOUND)
        if seen.method != "POST":
            return Told({"message": "method not allowed"}, HTTPStatus.METHOD_NOT_ALLOWED)
        fields = contract.parse(body, request.headers.get("content-type", ""))
        seen.operation = seen.path.strip("/").partition("/")[0]
        seen.fields = {name: value for name, value in fields.items() if name not in {"accessKey", "content"}}
        demand(fields.get("accessKey") == self.key, "unauthorized operation", 9101)
        return Told(await (self._judge(seen, fields) if seen.path in _JUDGING else self._other(seen, fields)))

    async def _other(self, seen: Seen, fields: Mapping[str, Any]) -> dict[str, Any]:
        if seen.path == "/query_audio/v4":
            return self._query(contract.check_query(fields))
        return self._finish(contract.check_finish(fields))

    async def _judge(self, seen: Seen, fields: Mapping[str, Any]) -> dict[str, Any]:
        known = fields.get("appId") == self.app_id and fields.get("eventId") == self.event_id
        demand(known, "appId or eventId is not activated", 9101)
        demand(self.over_rate_s(seen) is None, "QPS limit exceeded", 1901)
        if seen.path == "/images/v4":
            return await self._images(seen, contract.check_images(fields))
        if seen.path == "/audiostream/v4":
            return self._pull(contract.check_stream(fields), str(fields["callback"]))
        sync = seen.path == "/audiomessage/v4"
        contract.check_file(fields, sync=sync)
        return await self._sound(seen, fields, sync=sync)

    # --------------------------------------------------------------------------------------------------------- sound

    async def _sound(self, seen: Seen, fields: Mapping[str, Any], *, sync: bool) -> dict[str, Any]:
        bt_id, request_id = str(fields["btId"]), _new_id()
        known = self._submission(bt_id)
        if known is not None and not sync:
            known.times += 1
            return said(1100, known.request_id, btId=bt_id)
        content = self._content(fields["contentType"] == "URL", fields["content"], 1904)
        seen.digest, seen.size_bytes = hashlib.sha256(content).hexdigest(), len(content)
        try:
            seconds = await asyncio.to_thread(duration_s, content)
        except ValueError:
            raise Refusal(Told(said(1905, request_id, btId=bt_id))) from None
        demand(not sync or seconds <= _SYNC_LONGEST_S, "longer than 60 s")
        tokens = math.ceil(seconds) * self.tokens_per_second
        self._afford(tokens)
        all_text = fields["data"].get("returnAllText") == 1
        judging = asyncio.to_thread(sound_result, self.judge, content, seconds, all_text=all_text)
        if sync:
            seen.tokens = tokens
            return said(1100, request_id, btId=bt_id, detail=await judging)
        self._spend(tokens)
        submission = Submission(bt_id, request_id, seen.digest, tokens, time.time())
        submission.task = asyncio.create_task(judging)
        self.submissions[bt_id] = submission
        return said(1100, request_id, btId=bt_id)

    def _query(self, bt_id: str) -> dict[str, Any]:
        known = self._submission(bt_id)
        if known is None or known.task is None:
            return {"code": self.unknown_bt_id, "message": "no result", "requestId": _new_id(), "btId": bt_id}
        known.polls += 1
        if self.results_held or known.polls <= self.pending_polls or not known.task.done():
            return said(1101, known.request_id, btId=bt_id)
        return said(1100, known.request_id, btId=bt_id, **known.task.result(), auxInfo={})

    def _submission(self, bt_id: str) -> Submission | None:
        known = self.submissions.get(bt_id)
        return known if known is not None and time.time() - known.submitted_s < self.remembered_s else None

    def _content(self, is_url: bool, content: str, missing: int) -> bytes:  # noqa: FBT001 - what the field says
        if not is_url:
            return contract.decode(content)
        demand(content in self.urls, "download failed", missing)
        return self.urls[content]

    # ------------------------------------------------------------------------------------------------------ pictures

    async def _images(self, seen: Seen, images: list[dict[str, Any]]) -> dict[str, Any]:
        self._afford(len(images) * self.tokens_per_image)
        told = [await self._image(image) for image in images]
        seen.tokens = self.tokens_per_image * sum(one["code"] == 1100 for one in told)  # noqa: PLR2004 - success
        seen.digest = hashlib.sha256("".join(image["img"] for image in images).encode()).hexdigest()
        return said(1100, _new_id(), imgs=told)

    async def _image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        bt_id, request_id = image["btId"], _new_id()
        try:
            content = self._content(image["img"].startswith(("http://", "https://")), image["img"], 1911)
        except Refusal as refusal:
            return {**refusal.told.body, "btId": bt_id}
        scripted = self.image_codes.get(hashlib.sha256(content).hexdigest())
        if scripted:
            return said(scripted.pop(0), request_id, btId=bt_id)
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(content)
            if not all(_LEAST_PX <= side <= _MOST_PX for side in (width, height)):
                return said(1902, request_id, btId=bt_id)
            opinions = await asyncio.to_thread(self.judge.picture, content)
        except ValueError:
            return said(1902, request_id, btId=bt_id)
        return said(
            1100, request_id, btId=bt_id, **judged(opinions, 1002), auxInfo={"segments": 1}, finalResult=1, resultType=0
        )

    # ------------------------------------------------------------------------------------------------------- streams

    def _pull(self, data: Mapping[str, Any], callback: str) -> dict[str, Any]:
        twin = next((one for one in self.open_streams.values() if one.url == data["url"]), None)
        if twin is not None:
            detail = {"errorcode": 1001, "dupRequestId": twin.request_id}
            return said(self.duplicate_code, _new_id(), "the stream is pulled already", detail=detail)
        demand(len(self.open_streams) < self.max_streams, "too many streams", 1901)
        self._afford(self.tokens_per_second)
        stream = OpenStream(_new_id(), data["btId"], data["url"], callback, data)
        self.open_streams[stream.request_id] = stream
        stream.task = asyncio.create_task(self._play(stream))
        return said(1100, stream.request_id)

    async def _play(self, stream: OpenStream) -> None:
        try:
            async with open_client() as client:
                code = await self._player.play(client, stream)
                self._close(stream)
                await self._player.post_end(client, stream, code)
        except Exception as error:  # noqa: BLE001 - a bug in the server, which `stop` reports
            self.errors.append(error)

    def _finish(self, request_id: str) -> dict[str, Any]:
        stream = self.open_streams.get(request_id)
        if stream is None:
            return {"code": self.unknown_stream, "message": "no such stream", "requestId": request_id}
        if stream.task is not None:
            stream.task.cancel()
        self._close(stream)
        stream.task = asyncio.create_task(self._tell_end(stream))
        return said(1100, request_id)

    async def _tell_end(self, stream: OpenStream) -> None:
        async with open_client() as client:
            await self._player.post_end(client, stream, None)

    def _close(self, stream: OpenStream) -> None:
        if self.open_streams.pop(stream.request_id, None) is not None:
            self.closed_streams.append(stream)
            self._spend(math.ceil(round(stream.seconds, 3)) * self.tokens_per_second)

    def _habits(self) -> Habits:
        return Habits(self.stream_pause_s, self.callback_retries, self.callback_retry_s, self.end_code)

    # -------------------------------------------------------------------------------------------------------- tokens

    def _afford(self, tokens: int) -> None:
        short = self.token_limit is not None and self.tokens_used + tokens > self.token_limit
        demand(not short, "insufficient balance", 9100)

    def _spend(self, tokens: int) -> None:
        """Charge what is paid whatever becomes of the answer."""
        with self._changed:
            self.tokens_used += tokens


def _new_id() -> str:
    return uuid.uuid4().hex
