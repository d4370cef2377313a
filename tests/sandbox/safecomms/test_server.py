"""The test server must refuse what the vendor would refuse, or the tests that use it prove nothing."""

from __future__ import annotations

import base64
import io
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import simplejpeg

from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY, SafeCommsServer, by_digest
from batch_scan.sandbox.sound import duration_s
from tests.sandbox.judges import Blue, Red, by_sight_and_sound, dominant, has_tone

if TYPE_CHECKING:
    from collections.abc import Iterator

JPEG = b"\xff\xd8\xff\xe0picture"
MP3 = b"ID3sound"
AUTH = {"X-Api-Key": DEFAULT_KEY}


@pytest.fixture
def http(safecomms_server: SafeCommsServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=safecomms_server.url, headers=AUTH, trust_env=False, timeout=10.0) as client:
        yield client


def upload(http: httpx.Client, kind: str = "image", content: bytes = JPEG, **form: Any) -> httpx.Response:
    return http.post(f"/moderation/{kind}/upload", data=form, files={kind: ("x", content)})


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == response.status_code
    return told["status"], told["detail"]


def test_what_the_page_shows_is_answered(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.urls["https://example.com/audio.mp3"] = MP3
    body = {
        "audio": "https://example.com/audio.mp3",
        "extractMetadata": True,
        "transcribe": True,
        "transcriptionMode": "multiple",
    }
    told = http.post("/moderation/audio", json=body).json()
    assert told["isClean"] is True
    assert set(told) >= {"id", "isClean", "severity", "categoryScores", "issues", "metadata"}
    assert safecomms_server.tokens_used == 61
    form = {"extractMetadata": "true", "transcribe": "true", "transcriptionMode": "multiple"}
    assert upload(http, "audio", MP3, **form).status_code == 200
    assert safecomms_server.tokens_used == 122


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": ""},
        {"Authorization": DEFAULT_KEY},
        {"Authorization": f"Basic {DEFAULT_KEY}"},
        {"Authorization": f"Bearer {DEFAULT_KEY}", "X-Api-Key": DEFAULT_KEY},
        {},
    ],
)
def test_another_key_or_another_header_is_401(safecomms_server: SafeCommsServer, headers: dict[str, str]) -> None:
    for path in ("/usage", "/moderation/image/upload"):
        method = "GET" if path == "/usage" else "POST"
        assert httpx.request(method, safecomms_server.url + path, headers=headers, trust_env=False).status_code == 401
    assert safecomms_server.tokens_used == 0


@pytest.mark.parametrize(
    ("form", "status", "detail"),
    [
        ({"enableOCR": "true"}, 400, "there is no field enableOCR"),
        ({"transcribe": "true"}, 400, "there is no field transcribe"),
        ({"enableOcr": "True"}, 400, "enableOcr is true or false"),
        ({"enableOcr": "1"}, 400, "enableOcr is true or false"),
        ({"enhancedOcr": "true"}, 400, "enhancedOcr requires enableOcr"),
        ({"language": ["English", "English"]}, 400, "language is given twice"),
    ],
)
def test_a_form_that_is_wrong_is_a_problem(http: httpx.Client, form: dict[str, Any], status: int, detail: str) -> None:
    assert problem(upload(http, **form)) == (status, detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "audio is required"),
        ([], "the body is not an object"),
        ({"audio": 5}, "audio is required"),
        ({"audio": "%%%"}, "audio is neither a URL nor base64"),
        ({"audio": "http://10.0.0.1/x"}, "the URL cannot be downloaded"),
        ({"audio": "SUQz", "transcribe": "true"}, "transcribe has the wrong type"),
        ({"audio": "SUQz", "customKeywords": "a,b"}, "customKeywords has the wrong type"),
        ({"audio": "SUQz", "customKeywords": [""]}, "customKeywords has the wrong type"),
        ({"audio": "SUQz", "includeTimestamps": True}, "includeTimestamps requires transcribe"),
        ({"audio": "SUQz", "transcriptionMode": "both"}, "transcriptionMode is single or multiple"),
        ({"audio": "SUQz", "enableOcr": True}, "there is no field enableOcr"),
    ],
)
def test_json_that_is_wrong_is_a_problem(http: httpx.Client, body: Any, detail: str) -> None:
    assert problem(http.post("/moderation/audio", json=body)) == (400, detail)


def test_paths_methods_and_types_are_those_of_the_contract(http: httpx.Client) -> None:
    assert problem(http.post("/api/v1/public/moderation/image", json={}))[0] == 404
    assert problem(http.post("/moderation/video/upload"))[0] == 404
    assert problem(http.get("/moderation/image"))[0] == 405
    assert problem(http.post("/usage"))[0] == 405
    assert problem(http.post("/moderation/image", content=b"{}", headers={"content-type": "text/json"}))[0] == 415
    assert problem(http.post("/moderation/image/upload", json={}))[0] == 415
    assert problem(http.post("/moderation/image/upload", files={"file": ("x", JPEG)}))[0] == 400
    assert problem(upload(http, content=b"not a picture"))[0] == 415


def test_a_file_that_is_too_large_is_413(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.max_bytes = len(JPEG) - 1
    assert problem(upload(http))[0] == 413


@pytest.mark.parametrize(
    ("tier", "form", "status"),
    [
        ("Free", {}, 403),
        ("Starter", {}, 200),
        ("Starter", {"enableOcr": "true"}, 403),
        ("Starter", {"enableOcr": "false"}, 200),
        ("Pro", {"enableOcr": "true"}, 200),
        ("Starter", {"language": "en"}, 403),
        ("Starter", {"language": "English"}, 200),
    ],
)
def test_an_option_needs_its_tier(
    http: httpx.Client, safecomms_server: SafeCommsServer, tier: str, form: dict[str, Any], status: int
) -> None:
    safecomms_server.tier = tier
    assert upload(http, **form).status_code == status


def test_the_wrong_word_for_english_costs_a_token_more(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    upload(http, language="en")
    assert safecomms_server.tokens_used == 21


def test_the_rate_is_kept_over_a_sliding_window(safecomms_server: SafeCommsServer, http: httpx.Client) -> None:
    safecomms_server.rate_limit, safecomms_server.rate_window_s = 600, 0.5  # five in half a second
    statuses = [upload(http).status_code for _ in range(5)]
    refused = upload(http)
    assert (statuses, refused.status_code) == ([200] * 5, 429)
    time.sleep(float(refused.headers["retry-after"]))  # what the server says is what is being tested
    assert upload(http).status_code == 200


def test_a_quota_is_never_exceeded(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.token_limit = 45
    assert [upload(http).status_code for _ in range(4)] == [200, 200, 402, 402]
    usage = http.get("/usage").json()
    assert usage == {
        "tier": "Business",
        "rateLimit": 60_000,
        "tokenLimit": 45,
        "tokensUsed": 40,
        "remainingTokens": 5,
    }


def test_the_truth_is_told_by_digest(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    upload(http)
    (seen,) = safecomms_server.calls
    safecomms_server.judge = by_digest({seen.digest: {"Violence": "High"}})
    told = upload(http).json()
    assert (told["isClean"], told["severity"], told["categoryScores"]["Violence"]) == (False, "High", "High")
    assert upload(http, content=JPEG + b"!").json()["isClean"] is True


def test_requests_are_noted_in_order_of_arrival(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    http.get("/usage")
    upload(http)
    upload(http, "audio", MP3)
    first, second = safecomms_server.calls
    assert [(seen.number, seen.operation, seen.tokens, seen.status) for seen in (first, second)] == [
        (1, "image", 20, 200),
        (2, "audio", 50, 200),
    ]
    assert first.arrived_s <= second.arrived_s
    assert len(safecomms_server.requests) == 3


def test_faults_come_by_number_by_queue_and_by_rule(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.faults.at(2, faults.status(503))
    safecomms_server.faults.queue(faults.status(500), None)
    safecomms_server.faults.when(lambda seen: "audio" in seen.path, faults.bad_gateway(), times=1)
    statuses = [upload(http).status_code for _ in range(4)]
    assert statuses == [500, 503, 200, 200]
    assert [upload(http, "audio", MP3).status_code for _ in range(2)] == [502, 200]
    assert safecomms_server.tokens_used == 20 + 20 + 50


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(Kind.RESET_MID_UPLOAD), httpx.TransportError),
        (Fault(Kind.RESET_BEFORE_ANSWER), httpx.TransportError),
        (Fault(Kind.RESET_MID_ANSWER), httpx.TransportError),
        (Fault(Kind.TRUNCATE), httpx.RemoteProtocolError),
        (faults.hang(0.05), httpx.RemoteProtocolError),
    ],
)
def test_a_broken_connection_is_really_broken_and_not_charged(
    http: httpx.Client, safecomms_server: SafeCommsServer, fault: Fault, error: type[Exception]
) -> None:
    safecomms_server.faults.queue(fault)
    with pytest.raises(error):
        upload(http, content=JPEG + b"x" * 1_000_000)
    assert safecomms_server.tokens_used == 0
    assert upload(http).status_code == 200


def test_a_lost_answer_can_be_charged_all_the_same(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.faults.queue(Fault(Kind.TRUNCATE).charged(), Fault(Kind.RESET_BEFORE_ANSWER).charged())
    for _ in range(2):
        with pytest.raises(httpx.HTTPError):
            upload(http)
    assert safecomms_server.tokens_used == 40


def test_what_hangs_can_be_released(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.faults.queue(Fault(Kind.DELAY))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(upload, http)
        safecomms_server.wait_for_calls(1)
        assert not asking.done()
        safecomms_server.release()
        assert asking.result(timeout=10).status_code == 200


def test_stopping_ends_what_hangs(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    safecomms_server.faults.queue(faults.hang())
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(upload, http)
        safecomms_server.wait_for_calls(1)
        safecomms_server.stop()
        with pytest.raises(httpx.HTTPError):
            asking.result(timeout=10)


# ------------------------------------------------------------------------------------------------------------ judges


def picture(red: int, green: int, blue: int) -> bytes:
    pixels = np.full((48, 64, 3), (red, green, blue), np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=80))


def tone(hz: float, seconds: float = 2.0) -> bytes:
    times = np.arange(int(16_000 * seconds)) / 16_000
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes((np.sin(2 * np.pi * hz * times) * 12_000).astype("<i2").tobytes())
    return file.getvalue()


def test_a_judge_sees_colours_and_hears_tones(http: httpx.Client, safecomms_server: SafeCommsServer) -> None:
    assert dominant(picture(220, 30, 30)) == Red
    assert dominant(picture(30, 30, 220)) == Blue
    assert dominant(picture(128, 128, 128)) is None
    assert duration_s(tone(440)) == pytest.approx(2.0, abs=0.01)
    assert has_tone(tone(1000), 1000)
    assert not has_tone(tone(440), 1000)
    safecomms_server.judge = by_sight_and_sound({Red: {"Violence": "High"}}, {1000.0: {"HateSpeech": "Low"}})
    assert upload(http, content=picture(220, 30, 30)).json()["severity"] == "High"
    assert upload(http, content=picture(30, 220, 30)).json()["isClean"] is True
    as_text = base64.b64encode(tone(1000)).decode()
    assert http.post("/moderation/audio", json={"audio": as_text}).json()["categoryScores"]["HateSpeech"] == "Low"
    assert upload(http, "audio", tone(440)).json()["isClean"] is True
