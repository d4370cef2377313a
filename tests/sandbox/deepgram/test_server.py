"""The sandbox must refuse what the vendor would refuse, or the tests that use it prove nothing."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.sandbox.deepgram.errors import Shape
from batch_scan.sandbox.deepgram.server import DEFAULT_KEY, DeepgramServer
from batch_scan.sandbox.faults import Fault, Kind
from tests.sandbox.scripted import ScriptedJudge
from tests.transcribe.deepgram.made import TONES, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTH = {"Authorization": f"Token {DEFAULT_KEY}"}
SOUND = encoded(((440.0, 1.0), (0.0, 2.0), (880.0, 1.0)))


@pytest.fixture
def server() -> Iterator[DeepgramServer]:
    with DeepgramServer(judge=ScriptedJudge(tones=TONES)) as server:
        yield server


@pytest.fixture
def http(server: DeepgramServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=AUTH, trust_env=False, timeout=10.0) as client:
        yield client


def listen(http: httpx.Client, body: bytes = SOUND, mime: str = "audio/flac", **query: Any) -> httpx.Response:
    return http.post("/v1/listen", params=query, content=body, headers={"content-type": mime})


def said(response: httpx.Response) -> tuple[int, str]:
    told = response.json()
    assert set(told) == {"err_code", "err_msg", "request_id"}
    return response.status_code, told["err_msg"]


def test_what_the_page_shows_is_answered(http: httpx.Client, server: DeepgramServer) -> None:
    response = listen(http, model="nova-3", utterances="true", punctuate="true", diarize_model="latest", tag="t")
    told = response.json()
    assert set(told) == {"metadata", "results"}
    metadata = told["metadata"]
    assert metadata["sha256"] == hashlib.sha256(SOUND).hexdigest() == server.calls[-1].digest
    assert metadata["duration"] == pytest.approx(4.0, abs=0.001)
    assert response.headers["dg-request-id"] == metadata["request_id"]
    assert metadata["tags"] == ["t"]
    assert [info["name"] for info in metadata["model_info"].values()] == ["nova-3"]
    (channel,) = told["results"]["channels"]
    (alternative,) = channel["alternatives"]
    assert alternative["transcript"] == "you awful fool have a nice day"
    assert [(one["transcript"], one["speaker"]) for one in told["results"]["utterances"]] == [
        ("you awful fool", 0),
        ("have a nice day", 0),
    ]
    assert [word["punctuated_word"] for word in alternative["words"]] == alternative["transcript"].split()
    assert all(before["end"] <= after["start"] for before, after in pairwise(alternative["words"]))
    assert server.tokens_used == 4


def test_only_what_was_asked_for_is_in_the_answer(http: httpx.Client) -> None:
    told = listen(http).json()
    assert "utterances" not in told["results"]
    assert "detected_language" not in told["results"]["channels"][0]
    words = told["results"]["channels"][0]["alternatives"][0]["words"]
    assert all(set(word) == {"word", "start", "end", "confidence"} for word in words)
    assert [info["name"] for info in told["metadata"]["model_info"].values()] == ["base-general"]


def test_silence_is_an_empty_transcript_and_is_paid(http: httpx.Client, server: DeepgramServer) -> None:
    told = listen(http, encoded(((0.0, 3.5),)), utterances="true").json()
    assert told["results"]["channels"][0]["alternatives"] == [{"transcript": "", "confidence": 0.0, "words": []}]
    assert told["results"]["utterances"] == []
    assert server.tokens_used == 4


def test_a_pause_parts_utterances(http: httpx.Client) -> None:
    sound = encoded(((440.0, 1.0), (0.0, 0.5), (880.0, 1.0)))
    for split, number in (("0.3", 2), ("5", 2)):
        assert len(listen(http, sound, utterances="true", utt_split=split).json()["results"]["utterances"]) == number


@pytest.mark.parametrize("form", ["flac", "mp3", "wav"])
def test_every_container_is_sniffed_whatever_its_type_says(http: httpx.Client, form: str) -> None:
    sound = encoded(((440.0, 1.0),), form)
    for mime in (f"audio/{form}", "audio/*", "application/octet-stream"):
        assert listen(http, sound, mime).status_code == 200


def test_a_url_is_fetched_and_needs_its_type(http: httpx.Client, server: DeepgramServer) -> None:
    server.urls["https://example.com/a.flac"] = SOUND
    body = b'{"url": "https://example.com/a.flac"}'
    assert listen(http, body, "application/json").status_code == 200
    assert server.calls[-1].digest == hashlib.sha256(SOUND).hexdigest()
    for mime in ("audio/flac", "text/plain", ""):
        status, message = said(listen(http, body, mime))
        assert status == 400
        assert "corrupt or unsupported data" in message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"url": 7}', b'{"url": "https://example.com/no"}', b'{"url": "x", "model": "y"}']
)
def test_a_json_body_that_names_no_url_is_400(http: httpx.Client, body: bytes) -> None:
    assert said(listen(http, body, "application/json"))[0] == 400


@pytest.mark.parametrize(
    "body", [b"", b"no sound", b"\xff\xd8\xff\xe0 a picture", SOUND[:40], b"#EXTM3U\n/etc/passwd\n"]
)
def test_what_is_no_sound_is_400_and_costs_nothing(http: httpx.Client, server: DeepgramServer, body: bytes) -> None:
    assert said(listen(http, body)) == (400, "Bad Request: failed to process audio: corrupt or unsupported data")
    assert server.tokens_used == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": DEFAULT_KEY},
        {"Authorization": f"Basic {DEFAULT_KEY}"},
        {"Authorization": "Token wrong"},
        {"X-Api-Key": DEFAULT_KEY},
    ],
)
def test_another_key_or_another_header_is_401(server: DeepgramServer, headers: dict[str, str]) -> None:
    response = httpx.post(f"{server.url}/v1/listen", content=SOUND, headers=headers, trust_env=False)
    assert said(response) == (401, "Invalid credentials.")
    assert response.json()["err_code"] == "INVALID_AUTH"


@pytest.mark.parametrize(
    "query",
    [
        {"modle": "nova-3"},
        {"model": "nova-9"},
        {"model": ""},
        {"model": ["nova-3", "nova-2"]},
        {"punctuate": "True"},
        {"utterances": "1"},
        {"utt_split": "long"},
        {"utt_split": "nan"},
        {"utt_split": "-1"},
        {"diarize_model": "v3"},
        {"language": "English"},
        {"detect_language": ["en", "true"]},
        {"extra": "no pair"},
        {"model": "nova-2", "keyterm": "acme"},
        {"model": "nova-3", "keywords": "acme"},
        {"profanity_filter": "true"},
        {"redact": "pii"},
        {"callback": "https://example.com"},
    ],
)
def test_a_query_that_breaks_the_contract_is_400(
    http: httpx.Client, server: DeepgramServer, query: dict[str, Any]
) -> None:
    assert said(listen(http, **query))[0] == 400
    assert server.tokens_used == 0


def test_detection_says_what_was_spoken(http: httpx.Client, server: DeepgramServer) -> None:
    server.spoken = "fr"
    for value in ("true", ["en", "de"]):
        channel = listen(http, detect_language=value).json()["results"]["channels"][0]
        assert channel["detected_language"] == "fr"


def test_another_path_or_method_is_refused(http: httpx.Client) -> None:
    assert http.get("/v1/listen").status_code == 405
    assert http.post("/v2/listen", content=SOUND).status_code == 404


def test_credit_that_is_used_up_is_402(http: httpx.Client, server: DeepgramServer) -> None:
    server.token_limit = 7
    assert listen(http).status_code == 200
    assert said(listen(http)) == (402, "the project has no credit left")
    assert server.tokens_used == 4


@pytest.mark.parametrize(
    ("option", "value", "status"),
    [("max_bytes", 10, 413), ("forbidden_models", ("base-general",), 403), ("max_sound_s", 1.0, 504)],
)
def test_every_bound_is_enforced(
    http: httpx.Client, server: DeepgramServer, option: str, value: Any, status: int
) -> None:
    setattr(server, option, value)
    assert said(listen(http))[0] == status
    assert server.tokens_used == 0


def test_one_request_more_at_once_than_allowed_is_429(http: httpx.Client, server: DeepgramServer) -> None:
    server.concurrency_limit = 2
    server.faults.when(lambda seen: seen.number <= 2, Fault(Kind.DELAY))
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(listen, http) for _ in range(2)]
        server.wait_for_calls(2)
        refused = listen(http)
        server.release()
        assert [one.result().status_code for one in held] == [200, 200]
    assert (refused.status_code, refused.json()["err_code"]) == (429, "TOO_MANY_REQUESTS")
    assert "retry-after" not in refused.headers
    assert listen(http).status_code == 200
    assert (server.peak_in_flight, server.tokens_used) == (3, 12)


def test_errors_come_in_three_shapes(http: httpx.Client, server: DeepgramServer) -> None:
    server.error_shape = Shape.PLAIN
    response = listen(http, b"no sound")
    assert response.headers["content-type"].startswith("text/plain")
    assert "corrupt or unsupported data" in response.text
    server.error_shape = Shape.MODERN
    told = listen(http, b"no sound").json()
    assert set(told) == {"category", "message", "details", "request_id"}
    server.error_shape = Shape.LEGACY
    assert said(listen(http, b"no sound"))[0] == 400


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 503, 504])
def test_it_can_be_told_to_say_any_status(http: httpx.Client, server: DeepgramServer, status: int) -> None:
    server.faults.queue(server.refusal(status))
    assert said(listen(http)) == (status, "the sandbox was told to say so")
    assert (server.calls[-1].fault, server.tokens_used) == (Kind.ANSWER, 0)
