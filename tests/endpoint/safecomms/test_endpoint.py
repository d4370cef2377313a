from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from batch_scan.endpoint.safecomms.endpoint import SafeComms, SafeCommsConfig, build, parse_usage
from batch_scan.errors import EndpointError, Failure, SecretError, UsageError
from batch_scan.media.interface import AudioCodec
from batch_scan.model import Answer, Digest, Request, RequestId, Sample
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.safecomms.server import SafeCommsServer, clean, found
from batch_scan.vocabulary import Medium
from tests.endpoint.contract import Harness, HttpEndpointContract, HttpHarness, Told

KEY_VARIABLE = "SAFECOMMS_API_KEY"
EVERY_AUDIO_OPTION = {
    "transcribe": True,
    "transcription_mode": "multiple",
    "include_timestamps": True,
    "extract_metadata": True,
    "analyze_sentiment": True,
    "detect_topics": True,
    "detect_pii": True,
    "custom_keywords": ["first word", "zweites Wört"],
    "detect_distress": True,
    "analyze_quality": True,
}
EVERY_IMAGE_OPTION = {"enable_ocr": True, "enhanced_ocr": True, "extract_metadata": True}


def sample_of(medium: Medium, number: int = 0, size_bytes: int = 2000) -> Sample:
    head, mime = (b"ID3", "audio/mpeg") if medium is Medium.AUDIO else (b"\xff\xd8\xff\xe0", "image/jpeg")
    data = head + number.to_bytes(4, "big") + b"\0" * size_bytes
    end_s = 70.0 if medium is Medium.AUDIO else 10.0
    return Sample(medium, 10.0, end_s, Digest(hashlib.sha256(data).hexdigest()), mime, data)


class SafeCommsHarness(HttpHarness):
    names_requests = False

    def __init__(self, server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.secret = server.key
        self.base_url = server.url
        self._monkeypatch = monkeypatch
        monkeypatch.setenv(KEY_VARIABLE, server.key)

    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> SafeComms:
        given = {"base_url": base_url or self.base_url, "limit": {"timeout_s": timeout_s}, **table}
        return build(SafeCommsConfig.model_validate(given))

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        return sample_of(medium, number)

    def raw(self, told: Told, medium: Medium) -> str:
        issue = {"term": "bad word", "context": "a bad word", "category": "HateSpeech", "severity": "High"}
        answers: dict[Told, dict[str, Any]] = {
            Told.CLEAN: clean(id="req_1", reason=None, isBypassAttempt=False, addons={"replacedPii": False}),
            Told.UNCLEAN: found({"HateSpeech": "High", "Violence": "Low"}, [issue], addons={"replacedPii": True}),
            Told.UNKNOWN_LABEL: found({self.unknown_label: "High"}),
            Told.UNKNOWN_WORD: clean(categoryScores={"Violence": "Critical"}),
            Told.NO_VERDICT: {name: value for name, value in clean().items() if name != "isClean"},
        }
        return json.dumps(answers[told])

    def tokens_charged(self) -> int:
        return self.server.tokens_used

    def go_wrong(self, fault: Fault) -> None:
        self.server.faults.queue(fault)

    def calls(self) -> int:
        return len(self.server.calls)

    def stop_server(self) -> None:
        self.server.stop()

    def change_key(self) -> None:
        self._monkeypatch.setenv(KEY_VARIABLE, "sc-live-of-somebody-else")


@pytest.fixture
def harness(safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch) -> SafeCommsHarness:
    return SafeCommsHarness(safecomms_server, monkeypatch)


class TestContract(HttpEndpointContract):
    @pytest.fixture
    def harness(self, safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch) -> HttpHarness:
        return SafeCommsHarness(safecomms_server, monkeypatch)


async def ask(endpoint: SafeComms, harness: Harness, medium: Medium, number: int = 0) -> tuple[Request, Any]:
    request = harness.request(endpoint, medium, number)
    return request, await endpoint.submit(request)


# ------------------------------------------------------------------------------------------------------- on the wire


@pytest.mark.parametrize("send", ["upload", "base64"])
@pytest.mark.parametrize("auth", ["x-api-key", "bearer"])
async def test_the_bytes_arrive_whole_either_way_and_under_either_header(
    harness: SafeCommsHarness, send: str, auth: str
) -> None:
    endpoint = harness.endpoint(send=send, auth=auth)
    await endpoint.open()
    for medium in (Medium.AUDIO, Medium.FRAME):
        request, answer = await ask(endpoint, harness, medium)
        seen = harness.server.calls[-1]
        assert (seen.digest, seen.status) == (request.samples[0].digest, 200)
        assert seen.path == f"/moderation/{endpoint.operation(medium)}" + ("/upload" if send == "upload" else "")
        assert answer.bytes_sent > seen.size_bytes
    await endpoint.close()


@pytest.mark.parametrize("send", ["upload", "base64"])
async def test_every_option_arrives_as_the_vendor_wants_it_and_costs_what_it_charges(
    harness: SafeCommsHarness, send: str
) -> None:
    endpoint = harness.endpoint(
        send=send,
        language="German",
        moderation_profile_id="profile-7",
        audio=EVERY_AUDIO_OPTION,
        image=EVERY_IMAGE_OPTION,
    )
    await endpoint.open()
    for medium, tokens in ((Medium.AUDIO, 73), (Medium.FRAME, 30)):
        before = harness.tokens_charged()
        request, answer = await ask(endpoint, harness, medium)
        assert request.tokens_max == answer.tokens_charged == harness.tokens_charged() - before == tokens
    audio, image = (seen.fields for seen in harness.server.calls)
    assert audio == {
        "language": "German",
        "moderationProfileId": "profile-7",
        "transcribe": True,
        "transcriptionMode": "multiple",
        "includeTimestamps": True,
        "extractMetadata": True,
        "analyzeSentiment": True,
        "detectTopics": True,
        "detectPii": True,
        "customKeywords": ["first word", "zweites Wört"],
        "detectDistress": True,
        "analyzeQuality": True,
    }
    assert image == {
        "language": "German",
        "moderationProfileId": "profile-7",
        "enableOcr": True,
        "enhancedOcr": True,
        "extractMetadata": True,
    }
    await endpoint.close()


async def test_keywords_can_travel_as_a_json_list_in_a_form(harness: SafeCommsHarness) -> None:
    harness.server.keywords_encoding = "json"
    endpoint = harness.endpoint(keywords_encoding="json", audio={"custom_keywords": ["a, b", "ü"]})
    await endpoint.open()
    await ask(endpoint, harness, Medium.AUDIO)
    assert harness.server.calls[-1].fields["customKeywords"] == ["a, b", "ü"]
    await endpoint.close()


async def test_the_name_of_the_file_is_not_told(harness: SafeCommsHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    for medium, name, mime in ((Medium.AUDIO, "sample.mp3", "audio/mpeg"), (Medium.FRAME, "sample.jpg", "image/jpeg")):
        await ask(endpoint, harness, medium)
        assert (harness.server.calls[-1].file_name, harness.server.calls[-1].mime) == (name, mime)
    await endpoint.close()


async def test_nothing_but_the_language_is_sent_unasked(harness: SafeCommsHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    await ask(endpoint, harness, Medium.AUDIO)
    await ask(endpoint, harness, Medium.FRAME)
    assert [seen.fields for seen in harness.server.calls] == [{"language": "English"}] * 2
    assert harness.tokens_charged() == 70
    await endpoint.close()


async def test_a_sample_that_is_too_large_is_refused_before_it_is_sent(harness: SafeCommsHarness) -> None:
    endpoint = harness.endpoint(max_upload_bytes=100_000)
    await endpoint.open()
    request = Request(RequestId("r"), "safecomms", "image", (sample_of(Medium.FRAME, size_bytes=100_001),), 20)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request)
    assert (caught.value.failure, harness.calls()) == (Failure.REFUSED, 0)
    await endpoint.close()


async def test_a_plan_that_lacks_an_option_stops_the_endpoint_and_says_which(harness: SafeCommsHarness) -> None:
    harness.server.tier = "Starter"
    endpoint = harness.endpoint(audio={"detect_pii": True})
    await endpoint.open()
    with pytest.raises(EndpointError, match="detectPii requires the Pro tier") as caught:
        await ask(endpoint, harness, Medium.AUDIO)
    assert caught.value.failure is Failure.FATAL
    await endpoint.close()


async def test_a_quota_that_runs_out_in_mid_run_stops_the_endpoint(harness: SafeCommsHarness) -> None:
    harness.server.token_limit = 45
    endpoint = harness.endpoint()
    assert (await endpoint.open()).tokens_remaining == 45
    await ask(endpoint, harness, Medium.FRAME, 1)
    await ask(endpoint, harness, Medium.FRAME, 2)
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, harness, Medium.FRAME, 3)
    assert (caught.value.failure, caught.value.http_status) == (Failure.FATAL, 402)
    quota = await endpoint.close()
    assert quota is not None
    assert (quota.tokens_used, quota.tokens_remaining) == (40, 5)


async def test_the_rate_limit_of_the_service_comes_with_its_pause(harness: SafeCommsHarness) -> None:
    harness.server.rate_limit, harness.server.rate_window_s = 2, 60.0
    endpoint = harness.endpoint()
    assert (await endpoint.open()).requests_per_minute == 2.0
    await ask(endpoint, harness, Medium.FRAME, 1)
    await ask(endpoint, harness, Medium.FRAME, 2)
    with pytest.raises(EndpointError) as caught:
        await ask(endpoint, harness, Medium.FRAME, 3)
    assert caught.value.failure is Failure.RATE_LIMITED
    assert caught.value.retry_after_s is not None
    assert 50.0 < caught.value.retry_after_s <= 60.0
    await endpoint.close()


async def test_as_many_requests_as_the_limit_allows_go_at_once(harness: SafeCommsHarness) -> None:
    harness.server.faults.when(lambda _: True, Fault(Kind.DELAY))
    config = {"base_url": harness.base_url, "limit": {"concurrency": 12, "timeout_s": 20.0}}
    endpoint = build(SafeCommsConfig.model_validate(config))
    await endpoint.open()
    asking = [asyncio.create_task(ask(endpoint, harness, Medium.FRAME, number)) for number in range(12)]
    await asyncio.to_thread(harness.server.wait_for_calls, 12)  # all are there before the first is answered
    harness.server.faults.clear()
    harness.server.release()
    await asyncio.gather(*asking)
    assert len(harness.server.answered) == 12
    await endpoint.close()


# -------------------------------------------------------------------------------------------- opening, closing, usage


async def test_the_usage_call_tells_rate_quota_and_tier(harness: SafeCommsHarness) -> None:
    harness.server.rate_limit, harness.server.token_limit = 100, 20_000
    harness.server.tokens_used = 1_500
    endpoint = harness.endpoint()
    quota = await endpoint.open()
    assert (quota.requests_per_minute, quota.tokens_used, quota.tokens_remaining) == (100.0, 1_500, 18_500)
    assert quota.note == "tier Business"
    await endpoint.close()


@pytest.mark.parametrize("status", [401, 402, 403, 301])
async def test_a_usage_call_that_is_refused_stops_the_endpoint(harness: SafeCommsHarness, status: int) -> None:
    harness.server.other_faults.queue(faults.status(status))
    with pytest.raises(EndpointError) as caught:
        await harness.endpoint().open()
    assert (caught.value.failure, caught.value.http_status) == (Failure.FATAL, status)


@pytest.mark.parametrize(
    "fault",
    [faults.status(404), faults.status(500), faults.rate_limited(), faults.garbage(), Fault(Kind.RESET_BEFORE_ANSWER)],
)
async def test_a_usage_call_that_merely_fails_is_a_note(harness: SafeCommsHarness, fault: Fault) -> None:
    harness.server.other_faults.queue(fault, fault)
    endpoint = harness.endpoint()
    quota = await endpoint.open()
    assert quota.note.startswith("rate and quota unknown: ")
    assert quota.tokens_remaining is None
    assert await endpoint.close() is None


async def test_a_service_that_cannot_be_reached_at_the_start_is_a_note(harness: SafeCommsHarness) -> None:
    harness.stop_server()
    endpoint = harness.endpoint()
    assert "connection to safecomms failed" in (await endpoint.open()).note
    await endpoint.close()


@pytest.mark.parametrize(
    ("usage", "rate", "used", "remaining"),
    [
        ({"rateLimit": 100, "tokenLimit": 20000, "tokensUsed": 5, "remainingTokens": 19995}, 100.0, 5, 19995),
        ({"RateLimit": 100, "TokenLimit": 20000, "TokensUsed": 5}, 100.0, 5, 19995),
        ({"rateLimit": 9, "tokenLimit": None, "tokensUsed": 5, "remainingTokens": 0}, 9.0, 5, None),
        ({"tokenLimit": 10, "tokensUsed": 12, "remainingTokens": -2}, None, 12, 0),
        ({"rateLimit": 0, "tokensUsed": "many", "remainingTokens": True}, None, None, None),
        ([], None, None, None),
    ],
)
def test_usage_is_read_in_any_case_and_without_guessing(
    usage: Any, rate: float | None, used: int | None, remaining: int | None
) -> None:
    quota = parse_usage(usage)
    assert (quota.requests_per_minute, quota.tokens_used, quota.tokens_remaining) == (rate, used, remaining)


def test_a_plan_without_tokens_is_told_and_does_not_stop_what_is_known() -> None:
    quota = parse_usage({"tier": "Free\x1b", "tokenLimit": 10, "tokensUsed": 10, "remainingTokens": 0})
    assert quota.tokens_remaining == 0
    assert (
        quota.note == "tier Free\ufffd; the plan has no tokens left: only answers that are there already will be used"
    )


async def test_a_missing_key_is_a_usage_error_that_names_its_place(harness: SafeCommsHarness) -> None:
    endpoint = harness.endpoint(api_key={"env": "NO_SUCH_VARIABLE"})
    with pytest.raises(SecretError, match="environment variable NO_SUCH_VARIABLE"):
        await endpoint.open()
    assert harness.server.requests == []


async def test_a_key_that_no_header_can_carry_is_a_usage_error_without_the_key(
    harness: SafeCommsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "schlüssel")
    with pytest.raises(UsageError, match=r"endpoints\.safecomms") as caught:
        await harness.endpoint().open()
    assert "schlüssel" not in str(caught.value)


async def test_submitting_before_opening_is_a_mistake_of_the_caller(harness: SafeCommsHarness) -> None:
    with pytest.raises(RuntimeError, match="before open"):
        await ask(harness.endpoint(), harness, Medium.FRAME)


# ---------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("option", [{"detect_pii": True}, {"custom_keywords": ["bomb"]}, {"detect_distress": True}])
def test_findings_in_fields_that_nobody_documents_are_not_clean_where_they_were_asked_for(
    harness: SafeCommsHarness, option: dict[str, Any]
) -> None:
    answer = Answer(json.dumps({"isClean": True, "found": ["bomb"]}), 50)
    for table, medium, number in ((option, Medium.AUDIO, 1), (option, Medium.FRAME, 0), ({}, Medium.AUDIO, 0)):
        endpoint = harness.endpoint(audio=table)
        scores = endpoint.read(harness.request(endpoint, medium), answer)
        assert [(score.vendor_label, score.unclean) for score in scores] == [("found", True)] * number


# ------------------------------------------------------------------------------------------------ needs and settings


def test_how_keywords_travel_is_a_setting_where_there_are_keywords() -> None:
    tables: list[dict[str, Any]] = [{}, {"keywords_encoding": "json"}]
    repeat, as_json = (
        build(SafeCommsConfig.model_validate({"audio": {"custom_keywords": ["x"]}, **table})) for table in tables
    )
    assert repeat.settings_for(Medium.AUDIO) != as_json.settings_for(Medium.AUDIO)


def test_needs_are_those_of_the_table() -> None:
    endpoint = build(SafeCommsConfig.model_validate({"max_upload_bytes": 1_000_000, "max_audio_s": 600}))
    assert endpoint.needs.audio is not None
    assert endpoint.needs.frame is not None
    assert (endpoint.needs.audio.codec, endpoint.needs.audio.max_s) == (AudioCodec.MP3, 600.0)
    assert endpoint.needs.audio.max_bytes == endpoint.needs.frame.sample_bytes == 1_000_000
    assert endpoint.needs.utterance is None
    frames_only = build(SafeCommsConfig.model_validate({"samples": ["frame"], "send": "base64"}))
    assert frames_only.needs.audio is None
    assert frames_only.needs.frame is not None
    assert frames_only.needs.frame.sample_bytes == 15_000_000


@pytest.mark.parametrize(
    ("change", "audio_changes", "image_changes"),
    [
        ({"audio": {"transcribe": True}}, True, False),
        ({"image": {"enable_ocr": True}}, False, True),
        ({"audio_format": "flac"}, True, False),
        ({"audio_bitrate_kbps": 64}, True, False),
        ({"language": "French"}, True, True),
        ({"moderation_profile_id": "p"}, True, True),
        ({"api_key": {"env": "OTHER"}}, False, False),
        ({"base_url": "https://eu.example.com"}, False, False),
        ({"auth": "bearer"}, False, False),
        ({"send": "base64"}, False, False),
        ({"limit": {"concurrency": 1}}, False, False),
        ({"keywords_encoding": "json"}, False, False),
        ({"severity_scores": {"low": 0.4}}, False, False),
        ({"token_price": 0.01}, False, False),
    ],
)
def test_settings_change_with_what_changes_an_answer_and_with_nothing_else(
    change: dict[str, Any], *, audio_changes: bool, image_changes: bool
) -> None:
    plain, other = build(SafeCommsConfig()), build(SafeCommsConfig.model_validate(change))
    assert (plain.settings_for(Medium.AUDIO) != other.settings_for(Medium.AUDIO)) == audio_changes
    assert (plain.settings_for(Medium.FRAME) != other.settings_for(Medium.FRAME)) == image_changes
    assert (plain.settings != other.settings) == (audio_changes or image_changes)
