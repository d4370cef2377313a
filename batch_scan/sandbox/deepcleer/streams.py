"""Streams of the sandbox's DeepCleer: pulled over HTTP from their URL, heard in stretches of 10 s, posted back."""

from __future__ import annotations

import asyncio
import io
import math
import time
import wave
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx

from batch_scan.sandbox.deepcleer.contract import said
from batch_scan.sandbox.deepcleer.words import STEP_S, judged
from batch_scan.sandbox.sound import RATE_HZ, decode_sound

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from batch_scan.sandbox.judge import Judge

_MAX_PULL_BYTES: Final = 300_000_000
_UNREACHABLE, _INVALID, _NO_SOUND = 3001, 3002, 3004


class PullError(Exception):
    """A stream cannot be pulled or heard; carries the end code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass(slots=True)
class OpenStream:
    """One stream that is being pulled."""

    request_id: str
    bt_id: str
    url: str
    callback: str
    data: Mapping[str, Any]
    seconds: float = 0.0
    """Heard so far."""
    posted: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Habits:
    """What the vendor's pages leave open of its streams, and how long things take here."""

    pause_s: float
    retries: int
    retry_pause_s: float
    end_code: int | None


class Player:
    """Pulls streams and posts what it hears."""

    def __init__(self, judge: Callable[[], Judge], habits: Callable[[], Habits]) -> None:
        self._judge = judge
        self._habits = habits

    async def play(self, client: httpx.AsyncClient, stream: OpenStream) -> int | None:
        """Pull a stream to its end and post every stretch; return the end code."""
        try:
            samples = await self._pull(client, stream.url)
            step = int(STEP_S * RATE_HZ)
            begin_ms = int(time.time() * 1000)
            for number, start in enumerate(range(0, len(samples), step)):
                piece = samples[start : start + step]
                await self._hear(client, stream, number, piece, begin_ms + start * 1000 // RATE_HZ)
                await asyncio.sleep(self._habits().pause_s)
        except PullError as error:
            return error.code
        return self._habits().end_code

    async def post_end(self, client: httpx.AsyncClient, stream: OpenStream, code: int | None) -> None:
        """Post that a stream is over, where that was asked for."""
        if stream.data.get("returnFinishInfo") != 1:
            return
        info: dict[str, Any] = {"streamTime": round(stream.seconds, 3)}
        if code is not None:
            info["errorCode"] = code
        await self._post(client, stream, {"statCode": 1, "auxInfo": info})

    async def _pull(self, client: httpx.AsyncClient, url: str) -> NDArray[np.int16]:
        content = bytearray()
        try:
            async with client.stream("GET", url) as response:
                if response.status_code != HTTPStatus.OK:
                    raise PullError(_UNREACHABLE)
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _MAX_PULL_BYTES:
                        raise PullError(_INVALID)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise PullError(_UNREACHABLE) from None
        try:
            samples = await asyncio.to_thread(decode_sound, bytes(content))
        except ValueError as error:
            raise PullError(_NO_SOUND if isinstance(error.__cause__, IndexError) else _INVALID) from None
        if not len(samples):
            raise PullError(_NO_SOUND)
        return samples

    async def _hear(
        self, client: httpx.AsyncClient, stream: OpenStream, number: int, piece: NDArray[np.int16], start_ms: int
    ) -> None:
        text, told = await asyncio.to_thread(self._listen, piece)
        seconds = len(piece) / RATE_HZ
        stream.seconds += seconds
        if stream.data.get("returnAllText") != 1 and told["riskLevel"] == "PASS":
            return
        times = {
            "audioStartTime": start_ms,
            "audioEndTime": start_ms + math.ceil(seconds * 1000),
            "beginProcessTime": int(time.time() * 1000),
            "finishProcessTime": int(time.time() * 1000),
            "passThrough": stream.data.get("extra", {}).get("passThrough", {}),
        }
        detail = {
            "audioUrl": "https://example.invalid/segment.mp3",
            "audioText": text,
            **told,
            "auxInfo": times,
            "vadCode": 1 if text else 0,
        }
        await self._post(client, stream, {"statCode": 0, "audioDetail": detail}, number)

    def _listen(self, piece: NDArray[np.int16]) -> tuple[str, dict[str, Any]]:
        judge = self._judge()
        text = " ".join(one.text for one in judge.speech(to_wav(piece)))
        return text, judged(judge.words(text) if text else (), 1001)

    async def _post(
        self, client: httpx.AsyncClient, stream: OpenStream, told: Mapping[str, Any], number: int | None = None
    ) -> None:
        stream.posted += 1
        number = stream.posted if number is None else number
        own = {"btid": stream.bt_id, "requestParams": dict(stream.data), **told}
        body = said(1100, f"{stream.request_id}_{number}", **own)
        habits = self._habits()
        for _ in range(habits.retries + 1):
            try:
                response = await client.post(stream.callback, json=body)
            except (httpx.HTTPError, OSError):
                response = None
            if response is not None and response.status_code == HTTPStatus.OK:
                return
            await asyncio.sleep(habits.retry_pause_s)


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def open_client() -> httpx.AsyncClient:
    """Return a client for what one stream pulls and posts."""
    return httpx.AsyncClient(verify=_tls_context(), trust_env=False, timeout=30.0)


def to_wav(piece: NDArray[np.int16]) -> bytes:
    """Return mono samples at 16 kHz as a WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(piece.astype("<i2").tobytes())
    return target.getvalue()
