"""What DeepCleer's tests have in common: pictures, a judge, a harness, whole premises."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from batch_scan.callbacks.receiver import open_receiver
from batch_scan.callbacks.table import CallbacksTable
from batch_scan.digest import digest_bytes
from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import DeepCleer, build
from batch_scan.endpoint.premises import Premises
from batch_scan.engine.premises import LedgerHandles
from batch_scan.ledger import Ledger
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.sandbox.judge import Opinion
from batch_scan.vocabulary import Category, Medium
from tests.endpoint.harness import HttpHarness, Told
from tests.endpoint.pulled import MediaHost, sound
from tests.sandbox.judges import Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from batch_scan.sandbox.deepcleer.server import DeepCleerServer
    from batch_scan.sandbox.faults import Fault

KEY_VARIABLE = "DEEPCLEER_ACCESS_KEY"
BAD_HZ, GOOD_HZ = 440.0, 1000.0
BAD_WORD = "damn"
CALLS = ("audio_sync", "audio", "audio_query", "images", "audio_stream", "finish_stream")


def judge() -> ScriptedJudge:
    """Hear a bad word where a tone of 440 Hz sounds, a good one at 1000 Hz; hold violence against red pictures."""
    return ScriptedJudge(
        pictures={Red: [Opinion(Category.VIOLENCE, 0.9)]},
        words={BAD_WORD: [Opinion(Category.HARASSMENT, 0.85, BAD_WORD)]},
        tones={BAD_HZ: "well damn", GOOD_HZ: "good morning"},
    )


def picture(red: int, green: int, blue: int, side: int = 32) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.full((side, side, 3), (red, green, blue), np.uint8), quality=95))


def audio_sample(content: bytes, duration_s: float, start_s: float = 10.0) -> Sample:
    return Sample(Medium.AUDIO, start_s, start_s + duration_s, Digest(digest_bytes(content)), "audio/wav", content)


def frame_sample(content: bytes, at_s: float = 5.0) -> Sample:
    return Sample(Medium.FRAME, at_s, at_s, Digest(digest_bytes(content)), "image/jpeg", content)


def stream_sample(url: str, content: bytes, duration_s: float) -> Sample:
    return Sample(Medium.STREAM, 0.0, duration_s, Digest(digest_bytes(content)), "audio/*", None, url=url)


def request_of(endpoint: DeepCleer, *samples: Sample) -> Request:
    medium = samples[0].medium
    key = digest_bytes("".join(sample.digest for sample in samples).encode() + b"settings")
    return Request(
        RequestId("r1"), endpoint.name, endpoint.operation(medium), samples, endpoint.quote(medium, samples), key
    )


def table_of(url: str, **table: Any) -> dict[str, Any]:
    """Return a job file's table that asks one server for everything, without waiting long."""
    return {
        "app_id": "sandbox",
        "event_id": "archive",
        "urls": dict.fromkeys(CALLS, url),
        "audio_format": "wav",
        "poll_interval_s": 0.02,
        "poll_timeout_s": 10.0,
        "found_again_s": 10.0,
        **table,
    }


@contextlib.asynccontextmanager
async def premises(state: Path, pace: Callable[[int], Any] | None = None) -> AsyncIterator[Premises]:
    """Open a ledger and a receiver of callbacks, as a run does."""
    table = CallbacksTable(bind="127.0.0.1:0")
    async with Ledger.open(state, wait_s=10.0) as ledger, open_receiver(table, ledger, "run-1") as receiver:
        handles = LedgerHandles(ledger, "deepcleer")
        yield Premises(handles, receiver, pace) if pace is not None else Premises(handles, receiver)


class DeepCleerHarness(HttpHarness):
    """DeepCleer under test, with files; with streams where there are premises for them."""

    price_is_exact = False

    def __init__(self, server: DeepCleerServer, host: MediaHost | None = None, given: Premises | None = None) -> None:
        self.server = server
        self.secret = server.key
        self.base_url = server.url
        self._host = host
        self._premises = given

    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> DeepCleer:
        if self._premises is not None:
            table["mode"] = "stream"
        given = table_of(base_url or self.base_url, limit={"timeout_s": timeout_s}, **table)
        endpoint = build(DeepCleerConfig.model_validate(given))
        if self._premises is not None:
            endpoint.premises = self._premises
        return endpoint

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        if medium is Medium.FRAME:
            return frame_sample(picture(0, number, 200))
        content = sound((GOOD_HZ, 12.0 if medium is Medium.STREAM else 2.0), seed=number)
        if medium is Medium.AUDIO:
            return audio_sample(content, 2.0)
        url = self._host.put(f"{number}.wav", content) if self._host is not None else "https://media.example.com/a.wav"
        return stream_sample(url, content, 12.0)

    def raw(self, told: Told, medium: Medium) -> str:
        key = digest_bytes(f"{medium} 0".encode())
        own = {"riskLevel": "REJECT", "riskLabel1": "violence", "riskLabel2": "", "riskLabel3": ""}
        judged: dict[Told, dict[str, Any]] = {
            Told.CLEAN: {"riskLevel": "PASS", "riskLabel1": "normal", "riskLabel2": "", "riskLabel3": ""},
            Told.UNCLEAN: own | {"riskDetail": DETAIL, "allLabels": [own | {"probability": 0.97}], "finalResult": 1},
            Told.UNKNOWN_LABEL: own | {"riskLabel1": self.unknown_label},
            Told.UNKNOWN_WORD: own | {"riskLevel": "PERHAPS", "riskLabel1": "normal"},
            Told.NO_VERDICT: {"riskLabel1": "normal"},
            Told.SOMEBODY_ELSES: {"riskLevel": "PASS", "riskLabel1": "normal"},
        }
        if told is Told.SOMEBODY_ELSES:
            key = digest_bytes(b"somebody else's")
        return json.dumps(WRAPPERS[medium](key, judged[told]))

    def tokens_charged(self) -> int:
        return self.server.tokens_used

    def go_wrong(self, fault: Fault) -> None:
        self.server.faults.queue(fault)

    def calls(self) -> int:
        return len(self.server.calls)

    def stop_server(self) -> None:
        self.server.stop()

    def change_key(self) -> None:
        self.server.key = "dc-live-another-key-is-right-now"


DETAIL = {
    "audioText": "well damn",
    "matchedLists": [{"name": "abuse", "words": [{"word": "damn", "position": "5,6,7,8"}]}],
    "riskSegments": [{"segment": "well damn", "position": "0-8"}],
}


def audio_raw(bt_id: str, told: dict[str, Any]) -> dict[str, Any]:
    stretch = {"audioStarttime": 0, "audioEndtime": 2, "audioText": "well damn", **told}
    detail = {"audioText": "well damn", "audioTime": 2, "audioDetail": [stretch] if "riskLevel" in told else [], **told}
    return {"code": 1100, "message": "ok", "requestId": "q1", "btId": bt_id, "detail": detail}


def images_raw(key: str, told: dict[str, Any]) -> dict[str, Any]:
    image = {"code": 1100, "message": "ok", "requestId": "i1", "btId": f"{key[:24]}-00", "auxInfo": {"segments": 1}}
    return {"code": 1100, "message": "ok", "requestId": "q1", "imgs": [image | told]}


def stream_raw(bt_id: str, told: dict[str, Any], seconds: float = 12.0) -> dict[str, Any]:
    begin_ms = 1_700_000_000_000
    times = {"audioStartTime": begin_ms, "audioEndTime": begin_ms + int(seconds * 1000)}
    detail = {"audioText": "well damn", "auxInfo": times, **told}
    common = {"code": 1100, "message": "ok", "btId": bt_id}
    segment = {**common, "requestId": "task_0", "statCode": 0, "audioDetail": detail}
    end = {**common, "requestId": "task_1", "statCode": 1, "auxInfo": {"streamTime": seconds}}
    return {"code": 1100, "requestId": "task", "btId": bt_id, "callbacks": [segment, end]}


WRAPPERS: dict[Medium, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    Medium.AUDIO: audio_raw,
    Medium.FRAME: images_raw,
    Medium.STREAM: stream_raw,
}
