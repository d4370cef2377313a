"""Stream under test: its server with a scripted judge, its endpoint, its samples, its answers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from batch_scan.endpoint.stream.endpoint import Stream, StreamConfig, build
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.sandbox.judge import Opinion
from batch_scan.sandbox.stream.server import JOB_POLICY, StreamServer
from batch_scan.vocabulary import Category, Medium
from tests.endpoint.harness import HttpHarness, Told
from tests.sandbox.judges import Blue, Green, Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from batch_scan.sandbox.faults import Fault

COLOURS = {Red: (220, 20, 20), Green: (20, 220, 20), Blue: (20, 20, 220)}


def judge() -> ScriptedJudge:
    """Return a judge: idiot insults, kill threatens, damn is a swear word, red is violent, green is naked."""
    return ScriptedJudge(
        pictures={Red: [Opinion(Category.VIOLENCE, 0.9)], Green: [Opinion(Category.NUDITY, 0.8)]},
        words={
            "idiot": [Opinion(Category.HARASSMENT, 0.6, "idiot")],
            "kill": [Opinion(Category.VIOLENCE, 0.95, "kill")],
            "damn": [Opinion(Category.PROFANITY, 0.7, "damn")],
        },
    )


def text_sample(text: str, start_s: float = 10.0) -> Sample:
    data = text.encode()
    digest = Digest(hashlib.sha256(data).hexdigest())
    return Sample(Medium.UTTERANCE, start_s, start_s + 5.0, digest, "text/plain", data)


def picture_sample(colour: int = Blue, start_s: float = 10.0, size: int = 32) -> Sample:
    pixels = np.full((size, size, 3), COLOURS[colour], np.uint8)
    data = simplejpeg.encode_jpeg(pixels)
    return Sample(Medium.FRAME, start_s, start_s, Digest(hashlib.sha256(data).hexdigest()), "image/jpeg", data)


def request_of(endpoint: Stream, *samples: Sample, request_id: str = "r") -> Request:
    """Return a request as the core makes it."""
    medium = samples[0].medium
    key = hashlib.sha256("".join(sample.digest for sample in samples).encode()).hexdigest()
    tokens = endpoint.quote(medium, samples)
    return Request(RequestId(request_id), "stream", endpoint.operation(medium), samples, tokens, key)


def check_of(entity_id: str, about: list[int], action: str = "keep", *labels: str, **reply: Any) -> dict[str, Any]:
    """Return a check as it is kept, with an item where the action is not keep."""
    told: dict[str, Any] = {"status": "complete", "recommended_action": action, "duration": "1ms"}
    if labels:
        flag = {"type": "ai_text", "labels": list(labels), "reason": "said so", "result": []}
        told["item"] = {
            "id": "i1",
            "entity_id": entity_id,
            "recommended_action": action,
            "status": "complete",
            "ai_text_severity": "high",
            "confidence_score": 0.9,
            "flags": [flag],
        }
    return {"about": about, "entity_id": entity_id, "reply": {**told, **reply}}


class StreamHarness(HttpHarness):
    def __init__(self, server: StreamServer, monkeypatch: pytest.MonkeyPatch, **table: Any) -> None:
        self.server = server
        self.secret = server.key
        self.base_url = server.url
        self._table = table
        self._monkeypatch = monkeypatch
        for variable, value in server.secrets.items():
            monkeypatch.setenv(variable, value)

    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> Stream:
        given = {
            "base_url": base_url or self.base_url,
            "limit": {"timeout_s": timeout_s},
            "policy": JOB_POLICY,
            "poll_s": 0.01,
            **self._table,
            **table,
        }
        return build(StreamConfig.model_validate(given))

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        if medium is Medium.FRAME:
            return picture_sample(Blue, size=32 + 16 * number)
        return text_sample(f"a fine day, number {number}")

    def raw(self, told: Told, medium: Medium) -> str:
        entity_id = f"bs-{self.sample(medium).digest}"
        checks: dict[Told, Callable[[], dict[str, Any]]] = {
            Told.CLEAN: lambda: check_of(entity_id, [0]),
            Told.UNCLEAN: lambda: check_of(
                entity_id, [0], "flag", "INSULT", "THREAT", triggered_rules=[{"rule_name": "r"}]
            ),
            Told.UNKNOWN_LABEL: lambda: check_of(entity_id, [0], "flag", self.unknown_label),
            Told.UNKNOWN_WORD: lambda: check_of(entity_id, [0], "quarantine", "INSULT"),
            Told.NO_VERDICT: lambda: check_of(entity_id, [0], recommended_action=None),
            Told.SOMEBODY_ELSES: lambda: check_of(entity_id, [0], item={"entity_id": "bs-another"}),
        }
        return json.dumps({"samples": 1, "checks": [checks[told]()]})

    def tokens_charged(self) -> int:
        return self.server.tokens_used

    def go_wrong(self, fault: Fault) -> None:
        self.server.faults.queue(fault)

    def calls(self) -> int:
        return len(self.server.calls)

    def stop_server(self) -> None:
        self.server.stop()

    def change_key(self) -> None:
        self._monkeypatch.setenv("STREAM_API_KEY", "of-somebody-else")
