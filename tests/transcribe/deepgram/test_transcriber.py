from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.endpoint.config import ServiceConfig
from batch_scan.errors import EndpointError, Failure, SecretError, UsageError
from batch_scan.media.interface import AudioCodec
from batch_scan.model import Answer, Request, RequestId, Sample
from batch_scan.sandbox import faults
from batch_scan.sandbox.deepgram.errors import Shape, legacy, modern, plain
from batch_scan.sandbox.deepgram.server import DeepgramServer
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.transcribe.deepgram.transcriber import Deepgram, DeepgramConfig, build
from batch_scan.vocabulary import Medium, Reason
from tests.sandbox.scripted import ScriptedJudge
from tests.transcribe.contract import HttpTranscriberContract, HttpTranscriberHarness, Spoken
from tests.transcribe.deepgram.made import START_S, TONES, answer, sample_of, utterance, word

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_VARIABLE = "DEEPGRAM_API_KEY"
TWO = [utterance([word("you", 0.1, 0.3), word("fool", 0.3, 0.4)]), utterance([word("yes", 0.5, 0.9)], speaker=1)]


class DeepgramHarness(HttpTranscriberHarness):
    price_is_exact = False
    other_failures = {409: Failure.TRANSIENT}  # noqa: RUF012 - a table, never changed
    open_asks = False

    def __init__(self, server: DeepgramServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.secret = server.key
        self.base_url = server.url
        self._monkeypatch = monkeypatch
        monkeypatch.setenv(KEY_VARIABLE, server.key)

    def transcriber(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> Deepgram:
        given = {"base_url": base_url or self.base_url, "limit": {"timeout_s": timeout_s}, **table}
        return build(DeepgramConfig.model_validate(given))

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        return sample_of(((440.0, 1.0 + number / 10),))

    def raw(self, spoken: Spoken) -> str:
        beyond = [utterance([word("fool", -5.0, -1.0)]), utterance([word("fool", 50.0, 60.0)])]
        said = {Spoken.WORDS: TWO, Spoken.NOTHING: [], Spoken.BEYOND: beyond, Spoken.FOREIGN: TWO}
        whole = answer(*said.get(spoken, []))
        if spoken is Spoken.FOREIGN:
            whole["results"]["channels"][0]["detected_language"] = "fr"
        if spoken is Spoken.NO_TRANSCRIPT:
            del whole["results"]["channels"][0]["alternatives"][0]["transcript"]
        return json.dumps(whole)

    def tokens_charged(self) -> int:
        return self.server.tokens_used

    def go_wrong(self, fault: Fault) -> None:
        self.server.faults.queue(fault)

    def calls(self) -> int:
        return len(self.server.calls)

    def stop_server(self) -> None:
        self.server.stop()

    def change_key(self) -> None:
        self._monkeypatch.setenv(KEY_VARIABLE, "dg-of-somebody-else")


@pytest.fixture
def server() -> Iterator[DeepgramServer]:
    with DeepgramServer(judge=ScriptedJudge(tones=TONES)) as server:
        yield server


@pytest.fixture
def harness(server: DeepgramServer, monkeypatch: pytest.MonkeyPatch) -> DeepgramHarness:
    return DeepgramHarness(server, monkeypatch)


class TestContract(HttpTranscriberContract):
    @pytest.fixture
    def harness(self, server: DeepgramServer, monkeypatch: pytest.MonkeyPatch) -> DeepgramHarness:
        return DeepgramHarness(server, monkeypatch)


async def ask(transcriber: Deepgram, sample: Sample) -> tuple[Request, Answer]:
    tokens = transcriber.quote(Medium.AUDIO, (sample,))
    request = Request(RequestId("r"), "transcribe.deepgram", "listen", (sample,), tokens)
    return request, await transcriber.submit(request)


async def failing(harness: DeepgramHarness, sample: Sample | None = None, **table: Any) -> EndpointError:
    transcriber = harness.transcriber(**table)
    await transcriber.open()
    with pytest.raises(EndpointError) as caught:
        await ask(transcriber, sample or sample_of())
    await transcriber.close()
    return caught.value


# ------------------------------------------------------------------------------------------------------- on the wire


@pytest.mark.parametrize("form", ["flac", "mp3"])
async def test_what_is_said_comes_back_at_its_seconds_of_the_file(harness: DeepgramHarness, form: str) -> None:
    transcriber = harness.transcriber(audio_format=form, diarize_model="latest")
    await transcriber.open()
    sample = sample_of(((0.0, 2.0), (440.0, 1.0), (0.0, 3.0), (880.0, 1.0)), form)
    request, told = await ask(transcriber, sample)
    said = transcriber.read(request, told)
    assert [one.text for one in said] == ["you awful fool", "have a nice day"]
    assert [(one.speaker, one.language, one.engine) for one in said] == [("0", "en", "deepgram:nova-3")] * 2
    for one, at_s in zip(said, (START_S + 2.0, START_S + 6.0), strict=True):
        assert one.start_s == pytest.approx(at_s, abs=0.2)
        assert one.end_s == pytest.approx(at_s + 1.0, abs=0.2)
        assert one.confidence == 1.0
    assert transcriber.shortfall(request, told) is None
    seen = harness.server.calls[-1]
    assert (seen.digest, seen.mime, seen.size_bytes) == (sample.digest, sample.mime, told.bytes_sent)
    assert told.vendor_request_id == json.loads(told.raw)["metadata"]["request_id"]
    await transcriber.close()


async def test_model_language_and_utterances_are_always_named_and_nothing_else_unasked(
    harness: DeepgramHarness,
) -> None:
    transcriber = harness.transcriber()
    await transcriber.open()
    await ask(transcriber, sample_of())
    assert harness.server.calls[-1].fields == {
        "model": "nova-3",
        "language": "en",
        "utterances": "true",
        "utt_split": "0.8",
        "punctuate": "true",
    }
    await transcriber.close()


async def test_every_option_arrives_as_the_vendor_wants_it(harness: DeepgramHarness) -> None:
    transcriber = harness.transcriber(
        version="2025-01-01.0",
        expected_languages=["en", "pt-BR"],
        diarize_model="v2",
        punctuate=False,
        smart_format=True,
        numerals=True,
        measurements=True,
        filler_words=True,
        utt_split=1.25,
        keyterm=["first term", "zweites Wört"],
        mip_opt_out=True,
        tag=["archive", "night"],
        extra=["job:7", "who:me:too"],
    )
    await transcriber.open()
    _, told = await ask(transcriber, sample_of())
    assert harness.server.calls[-1].fields == {
        "model": "nova-3",
        "version": "2025-01-01.0",
        "detect_language": ["en", "pt-BR"],
        "utterances": "true",
        "utt_split": "1.25",
        "diarize_model": "v2",
        "punctuate": "false",
        "smart_format": "true",
        "numerals": "true",
        "measurements": "true",
        "filler_words": "true",
        "keyterm": ["first term", "zweites Wört"],
        "mip_opt_out": "true",
        "tag": ["archive", "night"],
        "extra": ["job:7", "who:me:too"],
    }
    assert json.loads(told.raw)["metadata"]["tags"] == ["archive", "night"]
    await transcriber.close()


async def test_older_models_take_keywords_and_detection_without_a_choice(harness: DeepgramHarness) -> None:
    transcriber = harness.transcriber(model="nova-2", keywords=["acme:2"], detect_language=True)
    await transcriber.open()
    request, told = await ask(transcriber, sample_of())
    sent = harness.server.calls[-1].fields
    assert (sent["model"], sent["keywords"], sent["detect_language"]) == ("nova-2", ["acme:2"], ["true"])
    assert "language" not in sent
    assert [one.language for one in transcriber.read(request, told)] == ["en"]
    await transcriber.close()


async def test_an_access_token_travels_as_bearer(harness: DeepgramHarness) -> None:
    for auth, scheme in (("token", "Token"), ("bearer", "Bearer")):
        transcriber = harness.transcriber(auth=auth)
        await transcriber.open()
        await ask(transcriber, sample_of())
        assert harness.server.calls[-1].headers["authorization"] == f"{scheme} {harness.secret}"
        await transcriber.close()


async def test_as_many_requests_as_the_limit_allows_go_at_once(harness: DeepgramHarness) -> None:
    harness.server.faults.when(lambda _: True, Fault(Kind.DELAY))
    transcriber = build(DeepgramConfig.model_validate({"base_url": harness.base_url}))
    await transcriber.open()
    number = transcriber.config.limit.concurrency
    asking = [asyncio.create_task(ask(transcriber, sample_of(((440.0, 0.5),)))) for _ in range(number)]
    await asyncio.to_thread(harness.server.wait_for_calls, number)  # all are there before the first is answered
    harness.server.faults.clear()
    harness.server.release()
    await asyncio.gather(*asking)
    assert (number, harness.server.peak_in_flight) == (16, 16)
    await transcriber.close()


# -------------------------------------------------------------------------------------------------------------- price


@pytest.mark.parametrize(("form", "seconds"), [("flac", 1.0), ("mp3", 1.0), ("flac", 2.96), ("mp3", 2.96)])
async def test_a_token_is_a_second_begun_and_never_more_than_quoted(
    harness: DeepgramHarness, form: str, seconds: float
) -> None:
    transcriber = harness.transcriber(audio_format=form)
    await transcriber.open()
    request, told = await ask(transcriber, sample_of(((440.0, seconds),), form))
    assert told.tokens_charged == harness.tokens_charged() <= request.tokens_max
    assert told.tokens_charged >= seconds
    assert request.tokens_max <= seconds + 1.25
    await transcriber.close()


@pytest.mark.parametrize("metadata", [{"duration": 1e300}, {"duration": 2.5}, {"duration": -1}, {"duration": "1"}, {}])
async def test_a_length_that_cannot_be_true_is_charged_as_quoted(
    harness: DeepgramHarness, metadata: dict[str, Any]
) -> None:
    transcriber = harness.transcriber()
    await transcriber.open()
    harness.go_wrong(faults.changed(metadata=metadata))
    request, told = await ask(transcriber, sample_of(((440.0, 1.5),)))
    assert told.tokens_charged == request.tokens_max == 2
    await transcriber.close()


def test_several_chunks_are_each_rounded_up() -> None:
    transcriber = build(DeepgramConfig())
    assert transcriber.quote(Medium.AUDIO, [sample_of(((440.0, 0.5),))] * 3) == 3
    assert transcriber.quote(Medium.AUDIO, [sample_of(((440.0, 2.0),))]) == 3


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("told", "code", "message"),
    [
        (plain(400, "just words"), "", "just words"),
        (legacy(400, "Bad Request", "corrupt"), "Bad Request", "corrupt"),
        (modern(400, "INVALID_JSON", "not readable", "line 1"), "INVALID_JSON", "not readable"),
    ],
)
async def test_all_three_shapes_of_errors_are_read(
    harness: DeepgramHarness, told: Any, code: str, message: str
) -> None:
    harness.go_wrong(told.as_fault)
    error = await failing(harness)
    assert (error.vendor_code, error.failure) == (code, Failure.REFUSED)
    assert error.detail.endswith(f": {message}")


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize(
    ("breaks", "status", "failure"),
    [
        ({"token_limit": 0}, 402, Failure.FATAL),
        ({"forbidden_models": ("nova-3",)}, 403, Failure.FATAL),
        ({"max_bytes": 10}, 413, Failure.REFUSED),
        ({"concurrency_limit": 0}, 429, Failure.RATE_LIMITED),
        ({"max_sound_s": 0.5}, 504, Failure.TRANSIENT),
        ({"key": "another"}, 401, Failure.FATAL),
    ],
)
async def test_every_refusal_of_the_service_means_what_it_should(
    harness: DeepgramHarness, shape: Shape, breaks: dict[str, Any], status: int, failure: Failure
) -> None:
    harness.server.error_shape = shape
    for name, value in breaks.items():
        setattr(harness.server, name, value)
    error = await failing(harness)
    assert (error.http_status, error.failure) == (status, failure)
    assert bool(error.vendor_code) == (shape is not Shape.PLAIN)
    assert ("max_chunk_s" in error.detail) == (status == 504)
    assert harness.tokens_charged() == 0


async def test_a_pause_is_obeyed_where_there_is_one(harness: DeepgramHarness) -> None:
    harness.server.concurrency_limit = 0
    assert (await failing(harness)).retry_after_s is None
    harness.server.retry_after = True
    assert (await failing(harness)).retry_after_s == 1.0


async def test_what_is_no_sound_is_refused_by_the_service(harness: DeepgramHarness) -> None:
    sample = replace(sample_of(), data=b"no sound at all" * 100)
    error = await failing(harness, sample)
    assert (error.http_status, error.failure) == (400, Failure.REFUSED)
    assert "corrupt or unsupported data" in error.detail


@pytest.mark.parametrize("data", [b"", None, bytes(1_000_001)])
async def test_a_chunk_that_is_empty_or_too_large_is_not_sent(harness: DeepgramHarness, data: bytes | None) -> None:
    error = await failing(harness, replace(sample_of(), data=data), max_upload_bytes=1_000_000)
    assert (error.failure, error.maybe_charged, harness.calls()) == (Failure.REFUSED, False, 0)


async def test_two_chunks_in_one_request_are_refused(harness: DeepgramHarness) -> None:
    transcriber = harness.transcriber()
    await transcriber.open()
    with pytest.raises(EndpointError, match="one chunk"):
        await transcriber.submit(Request(RequestId("r"), "d", "listen", (sample_of(), sample_of()), 4))
    assert harness.calls() == 0
    await transcriber.close()


async def test_an_answer_about_another_sound_stops_before_more_is_paid(harness: DeepgramHarness) -> None:
    fault = faults.changed(metadata={"sha256": "0" * 64, "duration": 1.0})
    harness.go_wrong(fault)
    error = await failing(harness)
    assert (error.failure, error.maybe_charged) == (Failure.FATAL, True)
    assert "check_sha256" in error.detail
    harness.go_wrong(fault)
    transcriber = harness.transcriber(check_sha256=False)
    await transcriber.open()
    request, told = await ask(transcriber, sample_of())
    assert transcriber.read(request, told)
    with pytest.raises(EndpointError) as caught:
        harness.transcriber().read(request, told)
    assert caught.value.failure is Failure.REFUSED
    await transcriber.close()


# ---------------------------------------------------------------------------------------------------- opening, usage


async def test_opening_asks_nothing_and_says_what_is_not_known(harness: DeepgramHarness) -> None:
    transcriber = harness.transcriber()
    quota = await transcriber.open()
    assert "unknown" in quota.note
    assert (quota.tokens_remaining, harness.server.requests) == (None, [])
    assert await transcriber.close() is None


async def test_a_missing_key_is_a_usage_error_that_names_its_place(harness: DeepgramHarness) -> None:
    with pytest.raises(SecretError, match="environment variable NO_SUCH_VARIABLE"):
        await harness.transcriber(api_key={"env": "NO_SUCH_VARIABLE"}).open()


async def test_a_key_that_no_header_can_carry_names_its_table(
    harness: DeepgramHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "schlüssel")
    with pytest.raises(UsageError, match=r"transcribe\.deepgram") as caught:
        await harness.transcriber().open()
    assert "schlüssel" not in str(caught.value)


async def test_submitting_before_opening_is_a_mistake_of_the_caller(harness: DeepgramHarness) -> None:
    with pytest.raises(RuntimeError, match="before open"):
        await ask(harness.transcriber(), sample_of())


def test_it_takes_sound_alone_and_its_own_table() -> None:
    transcriber = build(DeepgramConfig())
    assert transcriber.operation(Medium.AUDIO) == "listen"
    with pytest.raises(ValueError, match="frame"):
        transcriber.operation(Medium.FRAME)
    with pytest.raises(TypeError, match="DeepgramConfig"):
        build(ServiceConfig())


# ------------------------------------------------------------------------------------------- needs, settings, shortfall


def test_needs_are_those_of_the_table() -> None:
    table = {"audio_format": "mp3", "audio_bitrate_kbps": 48, "max_chunk_s": 600, "split_silence_s": 5}
    audio = build(DeepgramConfig.model_validate(table)).needs.audio
    assert audio is not None
    assert (audio.codec, audio.bitrate_kbps, audio.max_s, audio.split_silence_s) == (AudioCodec.MP3, 48, 600.0, 5.0)
    plain_audio = build(DeepgramConfig()).needs.audio
    assert plain_audio is not None
    assert (plain_audio.codec, plain_audio.split_silence_s, plain_audio.skip_silence) == (AudioCodec.FLAC, 10.0, True)


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        ({"model": "nova-2"}, True),
        ({"version": "1"}, True),
        ({"language": "de"}, True),
        ({"language": "en"}, False),
        ({"detect_language": True}, True),
        ({"expected_languages": ["en", "de"]}, True),
        ({"diarize_model": "v1"}, True),
        ({"punctuate": False}, True),
        ({"smart_format": True}, True),
        ({"numerals": True}, True),
        ({"measurements": True}, True),
        ({"filler_words": True}, True),
        ({"utt_split": 1}, True),
        ({"keyterm": ["acme"]}, True),
        ({"audio_format": "mp3"}, True),
        ({"audio_format": "flac", "audio_bitrate_kbps": 96}, False),
        ({"mip_opt_out": True}, False),
        ({"tag": ["night"]}, False),
        ({"extra": ["a:b"]}, False),
        ({"api_key": {"env": "OTHER"}}, False),
        ({"base_url": "https://api.eu.deepgram.com"}, False),
        ({"auth": "bearer"}, False),
        ({"limit": {"concurrency": 1}}, False),
        ({"max_chunk_s": 60}, False),
        ({"split_silence_s": 0}, False),
        ({"min_confidence": 0.2}, False),
        ({"token_price": 0.0001}, False),
    ],
)
def test_settings_change_with_what_changes_an_answer_and_with_nothing_else(
    change: dict[str, Any], *, changes: bool
) -> None:
    plain_one, other = build(DeepgramConfig()), build(DeepgramConfig.model_validate(change))
    assert (plain_one.settings != other.settings) == changes
    assert (plain_one.settings_for(Medium.AUDIO) != other.settings_for(Medium.AUDIO)) == changes


@pytest.mark.parametrize(
    ("table", "detected", "is_foreign"),
    [
        ({}, "en-US", False),
        ({"language": "en-GB"}, "en", False),
        ({"language": "de"}, "en", True),
        ({"language": "multi"}, "fr", False),
        ({"detect_language": True}, "fr", False),
        ({"expected_languages": ["de", "fr-CA"]}, "fr", False),
        ({"expected_languages": ["de", "fr"]}, "pl", True),
    ],
)
def test_only_a_language_that_was_not_asked_for_is_foreign(
    table: dict[str, Any], detected: str, *, is_foreign: bool
) -> None:
    transcriber = build(DeepgramConfig.model_validate(table))
    request = Request(RequestId("r"), "d", "listen", (sample_of(),), 2)
    told = Answer(json.dumps(answer(*TWO, detected_language=detected)), 1)
    gap = transcriber.shortfall(request, told)
    assert (gap is not None) == is_foreign
    assert [one.language for one in transcriber.read(request, told)] == [detected] * 2
    nothing_said = Answer(json.dumps(answer(detected_language=detected)), 1)
    assert transcriber.shortfall(request, nothing_said) is None


@pytest.mark.parametrize(
    ("seconds", "confidence", "table", "is_unclear"),
    [
        (20.0, 0.4, {}, True),
        (20.0, 0.5, {}, False),
        (4.0, 0.1, {}, False),
        (6.0, 0.1, {}, True),
        (20.0, 0.1, {"min_confidence": 0}, False),
        (20.0, None, {}, False),
    ],
)
def test_much_speech_that_it_was_unsure_of_was_not_understood(
    seconds: float, confidence: float | None, table: dict[str, Any], *, is_unclear: bool
) -> None:
    transcriber = build(DeepgramConfig.model_validate(table))
    sample = replace(sample_of(), end_s=START_S + 60.0)
    unsure = utterance([word("mumble", 0.0, seconds)], confidence=confidence)
    told = Answer(json.dumps(answer(unsure, duration=60.0)), 1)
    gap = transcriber.shortfall(Request(RequestId("r"), "d", "listen", (sample,), 61), told)
    assert (gap is not None) == is_unclear
    if gap is not None:
        assert gap.reason is Reason.NOT_UNDERSTOOD
        assert "confidence below 0.5" in gap.detail


@pytest.mark.parametrize(
    ("duration", "is_left_out"), [(0.0, True), (1.0, True), (58.9, True), (59.5, False), (60.0, False), (None, False)]
)
@pytest.mark.parametrize("said", [(), (utterance([word("hello", 0.0, 1.0)]),)])
def test_sound_that_was_left_out_is_not_understood(said: Any, duration: Any, is_left_out: bool) -> None:  # noqa: FBT001 - a table
    sample = replace(sample_of(), end_s=START_S + 60.0)
    told = Answer(json.dumps(answer(*said, duration=duration)), 1)
    gap = build(DeepgramConfig()).shortfall(Request(RequestId("r"), "d", "listen", (sample,), 61), told)
    assert (gap is not None) == is_left_out
    if gap is not None:
        assert gap.reason is Reason.NOT_UNDERSTOOD
        assert "of 60.0 s of sound" in gap.detail


@pytest.mark.parametrize(
    ("duration", "is_known"), [(None, False), (0.0, False), (58.9, False), (59.5, True), (60.9, True), (61.1, False)]
)
@pytest.mark.parametrize("said", [(), (utterance([word("hello", 0.0, 1.0)]),)])
def test_of_sound_that_nobody_decoded_the_length_has_to_be_told(said: Any, duration: Any, is_known: bool) -> None:  # noqa: FBT001 - a table
    sample = replace(sample_of(), end_s=START_S + 60.0, copied=True)
    told = Answer(json.dumps(answer(*said, duration=duration)), 1)
    gap = build(DeepgramConfig()).shortfall(Request(RequestId("r"), "d", "listen", (sample,), 61), told)
    assert (gap is None) == is_known
    if gap is not None:
        assert gap.reason is Reason.NOT_UNDERSTOOD
        assert "nobody knows whether it heard all" in gap.detail


def test_what_is_taken_undecoded_is_what_the_page_names_or_the_table() -> None:
    tables: tuple[dict[str, Any], ...] = ({}, {"copied_codecs": []})
    specs = [build(DeepgramConfig.model_validate(table)).needs.audio for table in tables]
    assert [spec.copies for spec in specs if spec is not None] == [("mp3", "aac"), ()]


def test_sound_that_nobody_decoded_may_be_found_a_little_longer() -> None:
    transcriber, sample = build(DeepgramConfig()), replace(sample_of(), end_s=START_S + 59.9)
    quotes = [transcriber.quote(Medium.AUDIO, (each,)) for each in (sample, replace(sample, copied=True))]
    assert quotes == [60, 61]
