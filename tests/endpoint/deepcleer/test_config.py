from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from batch_scan.endpoint.config import ServiceConfig
from batch_scan.endpoint.deepcleer.config import PATHS, DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import build
from batch_scan.endpoint.deepcleer.prices import quote
from batch_scan.errors import EndpointError, Failure, SecretError, UsageError
from batch_scan.model import Request, RequestId
from batch_scan.sandbox import faults
from batch_scan.vocabulary import Medium
from tests.endpoint.deepcleer.kit import CALLS, audio_sample, frame_sample, stream_sample, table_of

if TYPE_CHECKING:
    from batch_scan.sandbox.deepcleer.server import DeepCleerServer

HOST = "https://api-audio-xjp.example.com"


def config_of(**table: Any) -> DeepCleerConfig:
    return DeepCleerConfig.model_validate(table)


@pytest.mark.parametrize(("call", "path"), PATHS.items())
def test_a_url_is_given_with_its_path_or_without(call: str, path: str) -> None:
    for given in (HOST, f"{HOST}/", f"{HOST}{path}", f"{HOST}{path}/"):
        assert config_of(urls={call: given}).urls.of(call) == f"{HOST}{path}"
    assert config_of().urls.of(call) == ""


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com", "api.example.com", "https://u:p@api.example.com", f"{HOST}?key=1", "ftp://x", True, 7],
)
def test_a_url_that_would_tell_the_key_is_refused(url: Any) -> None:
    with pytest.raises(ValidationError, match="urls"):
        config_of(urls={"audio": url})


def test_plain_http_is_for_this_machine() -> None:
    assert config_of(urls={"audio": "http://127.0.0.1:1"}).urls.of("audio") == "http://127.0.0.1:1/audio/v4"


def test_one_url_on_this_machine_makes_it_a_trial() -> None:
    assert config_of(urls={"audio_sync": HOST, "images": "http://127.0.0.1:1"}).base_url == "http://127.0.0.1:1"
    assert config_of(urls={"audio_sync": HOST}).base_url == HOST
    assert config_of().base_url == ""


@pytest.mark.parametrize(
    ("table", "calls"),
    [
        ({}, {"audio_sync", "audio", "audio_query", "images"}),
        ({"samples": ["frame"]}, {"images"}),
        ({"samples": ["audio"], "max_audio_s": 59}, {"audio_sync"}),
        ({"samples": ["audio"], "sync_max_s": 0}, {"audio", "audio_query"}),
        ({"mode": "stream"}, set(CALLS)),
    ],
)
def test_only_urls_that_are_used_must_be_given(table: dict[str, Any], calls: set[str]) -> None:
    assert set(config_of(**table).calls) == calls


@pytest.mark.parametrize(
    "table",
    [
        {"types": []},
        {"types": ["POLITY", "POLITY"]},
        {"types": ["NUDITY"]},
        {"types": ["MOAN"]},
        {"image_types": []},
        {"business_types": ["TIMBRE"]},
        {"mode": "stream", "samples": ["frame"]},
        {"token_id": "a b"},
        {"token_id": "x" * 65},
        {"images_per_request": 13},
        {"sync_max_s": 61},
        {"lang": "English"},
        {"risk_scores": {"review": 0.95}},
        {"tokens": {"image": 0.5}},
        {"cluster": "xjp"},
    ],
)
def test_what_the_vendor_would_refuse_is_refused_before(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config_of(**table)


def test_pictures_are_searched_for_what_they_have_of_the_types() -> None:
    config = config_of(types=["POLITY", "MOAN", "ADVERT"])
    assert [kind.value for kind in config.types_of_images] == ["POLITY", "ADVERT"]
    assert config_of(types=["MOAN"], samples=["audio"]).types_of_images == ()


@pytest.mark.parametrize("call", ["audio_sync", "audio", "audio_query", "images"])
async def test_a_missing_url_is_named(call: str) -> None:
    table = table_of(HOST)
    table["urls"] = {**table["urls"], call: ""}
    with pytest.raises(UsageError, match=rf"urls\.{call} is empty: where is {PATHS[call]}"):
        await build(config_of(**table)).open()


@pytest.mark.parametrize("key", ["app_id", "event_id"])
async def test_what_the_vendor_issues_must_be_given(key: str) -> None:
    with pytest.raises(UsageError, match=key):
        await build(config_of(**{**table_of(HOST), key: ""})).open()


async def test_a_missing_key_is_a_usage_error_that_names_its_place(server: DeepCleerServer) -> None:
    endpoint = build(config_of(**table_of(server.url, access_key={"env": "NO_SUCH_VARIABLE"})))
    with pytest.raises(SecretError, match="NO_SUCH_VARIABLE"):
        await endpoint.open()
    assert server.requests == []


@pytest.mark.parametrize("fault", [faults.status(404), faults.status(500), faults.rate_limited(), faults.garbage()])
async def test_a_key_that_could_not_be_tried_is_a_note(server: DeepCleerServer, fault: faults.Fault) -> None:
    server.other_faults.queue(fault)
    endpoint = build(config_of(**table_of(server.url)))
    assert (await endpoint.open()).note.startswith("key not tried: ")
    await endpoint.close()


async def test_with_pictures_alone_no_call_is_free_to_try_the_key(server: DeepCleerServer) -> None:
    endpoint = build(config_of(**table_of(server.url, samples=["frame"])))
    assert (await endpoint.open()).note == "key not tried: no call of this job is free"
    assert server.requests == []
    await endpoint.close()


async def test_a_status_that_refuses_the_key_stops(server: DeepCleerServer) -> None:
    server.other_faults.queue(faults.status(403))
    with pytest.raises(EndpointError) as caught:
        await build(config_of(**table_of(server.url))).open()
    assert caught.value.failure is Failure.FATAL


async def test_submitting_before_opening_is_a_mistake_of_the_caller() -> None:
    request = Request(RequestId("r"), "deepcleer", "images", (frame_sample(b"x"),), 1)
    with pytest.raises(RuntimeError, match="before open"):
        await build(config_of()).submit(request)


def test_another_services_table_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="DeepCleerConfig"):
        build(ServiceConfig())


@pytest.mark.parametrize(
    ("table", "sound", "image"),
    [
        ({}, 12, 2),
        ({"tokens": {"image": 1200, "audio_second": 500}}, 6000, 2400),
        ({"tokens": {"image": 1, "audio_second": 0}}, 0, 2),
    ],
)
def test_a_request_is_quoted_in_the_users_tokens(table: dict[str, Any], sound: int, image: int) -> None:
    tokens = config_of(**table).tokens
    assert quote(tokens, Medium.AUDIO, [audio_sample(b"", 10.5)]) == sound
    assert quote(tokens, Medium.FRAME, [frame_sample(b"")] * 2) == image


def test_a_stream_is_quoted_by_the_ten_seconds() -> None:
    assert quote(config_of().tokens, Medium.STREAM, [stream_sample("", b"", 25.0)]) == 40


@pytest.mark.parametrize(
    ("change", "sound_changes", "image_changes"),
    [
        ({"types": ["POLITY", "EROTIC", "VIOLENT"]}, True, False),
        ({"image_types": ["QRCODE"]}, False, True),
        ({"business_types": ["AGE"]}, True, False),
        ({"lang": "en"}, True, True),
        ({"app_id": "a"}, True, True),
        ({"event_id": "e"}, True, True),
        ({"image_event_id": "e"}, False, True),
        ({"audio_format": "wav"}, True, False),
        ({"audio_bitrate_kbps": 64}, True, False),
        ({"access_key": {"env": "OTHER"}}, False, False),
        ({"urls": {"audio": HOST}}, False, False),
        ({"risk_scores": {"review": 0.6}}, False, False),
        ({"tokens": {"image": 2}}, False, False),
        ({"poll_interval_s": 1}, False, False),
        ({"images_per_request": 3}, False, False),
        ({"mode": "stream"}, False, False),
    ],
)
def test_settings_change_with_what_changes_an_answer_and_with_nothing_else(
    change: dict[str, Any], *, sound_changes: bool, image_changes: bool
) -> None:
    plain, other = build(config_of()), build(config_of(**change))
    assert (plain.settings_for(Medium.AUDIO) != other.settings_for(Medium.AUDIO)) == sound_changes
    assert (plain.settings_for(Medium.FRAME) != other.settings_for(Medium.FRAME)) == image_changes
    assert json.dumps(dict(other.settings))


def test_chunks_are_as_long_as_base64_allows() -> None:
    audio = build(config_of()).needs.audio
    assert audio is not None
    assert (audio.max_s, audio.max_bytes, audio.split_silence_s) == (1800.0, 11_250_000, 10.0)
    assert audio.max_s * audio.bitrate_kbps * 125 < audio.max_bytes
