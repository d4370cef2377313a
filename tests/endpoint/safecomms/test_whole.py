"""Files that SafeComms pulls from their URL."""

from __future__ import annotations

import json
import socket
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.safecomms.endpoint import SafeComms, SafeCommsConfig, build
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Digest, Request, RequestId, Sample
from batch_scan.sandbox import faults
from batch_scan.sandbox.safecomms.server import clean, found
from batch_scan.vocabulary import Medium, Reason
from tests.endpoint.contract import HttpEndpointContract, HttpHarness, Told
from tests.endpoint.pulled import MediaHost, sound
from tests.endpoint.safecomms.test_endpoint import SafeCommsHarness, sample_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.sandbox.safecomms.server import SafeCommsServer

SIGNATURE = "0123456789abcdef"
QUERY = f"?X-Amz-Expires=900&X-Amz-Signature={SIGNATURE}"
FILE_S = 3.0
FILE = sound((440.0, FILE_S))
LENGTH = {"metadata": {"Format": "wav", "Duration": "00:00:03.0000000", "Size": str(len(FILE))}}


@pytest.fixture
def host() -> Iterator[MediaHost]:
    with MediaHost() as host:
        yield host


class WholeHarness(SafeCommsHarness):
    """SafeComms under test with files under a URL, and nothing else."""

    def __init__(self, server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch, host: MediaHost) -> None:
        super().__init__(server, monkeypatch)
        self._host = host
        self.other_failures = {404: Failure.REFUSED}

    def media(self) -> list[Medium]:
        return [Medium.STREAM]

    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> SafeComms:
        return super().endpoint(timeout_s=timeout_s, base_url=base_url, send="url", **table)

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        content = sound((440.0, FILE_S), seed=number)
        url = self._host.put(f"{number}.wav", content, QUERY)
        return Sample(medium, 0.0, FILE_S, Digest(digest_bytes(content)), "audio/*", None, url=url)

    def raw(self, told: Told, medium: Medium) -> str:
        return json.dumps(json.loads(super().raw(told, medium)) | LENGTH)


@pytest.fixture
def harness(safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch, host: MediaHost) -> WholeHarness:
    return WholeHarness(safecomms_server, monkeypatch, host)


class TestContract(HttpEndpointContract):
    @pytest.fixture
    def harness(
        self, safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch, host: MediaHost
    ) -> HttpHarness:
        return WholeHarness(safecomms_server, monkeypatch, host)


async def ask(harness: WholeHarness, endpoint: SafeComms) -> tuple[Request, Answer]:
    request = harness.request(endpoint, Medium.STREAM)
    return request, await endpoint.submit(request)


@pytest.fixture
async def endpoint(harness: WholeHarness) -> Any:
    endpoint = harness.endpoint(audio={"transcribe": True})
    await endpoint.open()
    yield endpoint
    await endpoint.close()


# ------------------------------------------------------------------------------------------------------- on the wire


async def test_a_file_is_named_by_its_url_and_its_metadata_are_asked_for(
    harness: WholeHarness, endpoint: SafeComms, host: MediaHost
) -> None:
    request, answer = await ask(harness, endpoint)
    (seen,) = harness.server.calls
    assert seen.path == "/moderation/audio"
    assert seen.fields == {"language": "English", "transcribe": True, "extractMetadata": True}
    assert (seen.digest, host.asked) == (request.samples[0].digest, ["0.wav"])
    assert request.tokens_max == answer.tokens_charged == harness.tokens_charged() == 61
    assert endpoint.shortfall(request, answer) is None
    assert [score.medium for score in endpoint.read(request, answer)] == [Medium.STREAM] * 5


async def test_pictures_and_sound_without_a_url_go_as_bytes(harness: WholeHarness, endpoint: SafeComms) -> None:
    for medium in (Medium.AUDIO, Medium.FRAME):
        sample = sample_of(medium)
        await endpoint.submit(Request(RequestId("r"), "safecomms", endpoint.operation(medium), (sample,), 60))
        seen = harness.server.calls[-1]
        assert (seen.path, seen.digest) == (f"/moderation/{endpoint.operation(medium)}/upload", sample.digest)
        assert "extractMetadata" not in seen.fields


@pytest.mark.parametrize("url", ["", "s3://bucket/a.wav", "file:///etc/passwd", "rtmp://host/a"])
async def test_a_url_that_safecomms_does_not_fetch_is_not_sent(
    harness: WholeHarness, endpoint: SafeComms, url: str
) -> None:
    sample = Sample(Medium.STREAM, 0.0, FILE_S, Digest("d" * 64), "audio/*", None, url=url)
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(Request(RequestId("r"), "safecomms", "audio", (sample,), 61))
    assert (caught.value.failure, harness.calls()) == (Failure.REFUSED, 0)


# --------------------------------------------------------------------------------------------- what cannot be pulled


@pytest.mark.parametrize(("redirects", "arrives"), [(3, True), (4, False)])
async def test_three_redirects_are_followed_and_none_of_their_secrets_kept(
    harness: WholeHarness, endpoint: SafeComms, host: MediaHost, redirects: int, *, arrives: bool
) -> None:
    request = harness.request(endpoint, Medium.STREAM)
    names = ["0.wav", *(f"hop{number}" for number in range(1, redirects)), "cdn.wav"]
    for at, leads_to in pairwise(names):
        host.redirects[at] = f"{host.url}/{leads_to}?X-Amz-Signature={SIGNATURE[::-1]}"
    host.put("cdn.wav", FILE)
    if arrives:
        assert (await endpoint.submit(request)).raw
        return
    with pytest.raises(EndpointError, match="more than 3 redirects") as caught:
        await endpoint.submit(request)
    assert caught.value.failure is Failure.REFUSED
    assert not {SIGNATURE, SIGNATURE[::-1]} & set(caught.value.detail.replace("=", " ").split())
    assert "Signature" not in caught.value.detail


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_file_that_is_gone_costs_only_its_own_row(
    harness: WholeHarness, endpoint: SafeComms, host: MediaHost, status: int
) -> None:
    harness.server.pull_refusal = status
    request = harness.request(endpoint, Medium.STREAM)
    host.files.clear()
    with pytest.raises(EndpointError, match="HTTP 404") as caught:
        await endpoint.submit(request)
    error = caught.value
    assert (error.failure, error.http_status, error.maybe_charged) == (Failure.REFUSED, status, False)
    assert "[url]" in error.detail
    assert harness.tokens_charged() == 0


async def test_a_file_that_is_too_large_for_the_vendor_is_refused(harness: WholeHarness, endpoint: SafeComms) -> None:
    harness.server.max_bytes = len(FILE) - 1
    with pytest.raises(EndpointError) as caught:
        await ask(harness, endpoint)
    assert (caught.value.failure, caught.value.http_status) == (Failure.REFUSED, 413)


async def test_a_file_that_does_not_arrive_in_time_is_refused(harness: WholeHarness, endpoint: SafeComms) -> None:
    harness.server.pull_timeout_s = 0.05
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.wav"
        sample = Sample(Medium.STREAM, 0.0, FILE_S, Digest("d" * 64), "audio/*", None, url=url)
        with pytest.raises(EndpointError, match=r"within 0\.05 s") as caught:
            await endpoint.submit(Request(RequestId("r"), "safecomms", "audio", (sample,), 61))
    assert caught.value.failure is Failure.REFUSED


# ------------------------------------------------------------------------------------------------- what was not heard


async def test_what_was_skipped_as_private_is_not_clean(harness: WholeHarness, endpoint: SafeComms) -> None:
    """The page says that private addresses are skipped, and not how that is answered."""
    harness.server.pulls_from_loopback, harness.server.private_is_skipped = False, True
    request, answer = await ask(harness, endpoint)
    assert json.loads(answer.raw)["isClean"] is True
    with pytest.raises(EndpointError, match="how long") as caught:
        endpoint.read(request, answer)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        [],
        {"Duration": "00:00:01.0000000"},
        {"Duration": "00:00:30.0000000"},
        {"Duration": "soon"},
        {"Duration": None},
        {"Duration": 3},
        {"Duration": "00:00:03", "duration": "00:00:03"},
    ],
)
def test_a_clean_answer_about_another_length_is_no_answer_and_findings_stay(
    harness: WholeHarness, metadata: Any
) -> None:
    endpoint = harness.endpoint(url={"tolerance_s": 1.0})
    request = harness.request(endpoint, Medium.STREAM)
    with pytest.raises(EndpointError) as caught:
        endpoint.read(request, Answer(json.dumps(clean(metadata=metadata)), 51, 200))
    assert (caught.value.failure, caught.value.http_status) == (Failure.REFUSED, 200)
    bad = Answer(json.dumps(found({"Violence": "High"}, metadata=metadata)), 51, 200)
    assert any(score.unclean for score in endpoint.read(request, bad))
    gap = endpoint.shortfall(request, bad)
    assert gap is not None
    assert gap.reason is Reason.NOT_UNDERSTOOD


@pytest.mark.parametrize("told", ["00:00:03.0000000", "00:00:02.1", "0:03", "3.9s"])
def test_a_length_may_differ_a_little(harness: WholeHarness, told: str) -> None:
    endpoint = harness.endpoint(url={"tolerance_s": 1.0})
    answer = Answer(json.dumps(clean(metadata={"Duration": told})), 51, 200)
    assert endpoint.shortfall(harness.request(endpoint, Medium.STREAM), answer) is None


# ------------------------------------------------------------------------------------------------------ the signature


@pytest.mark.parametrize(("told", "is_heard"), [("00:00:00", False), ("0:00.4", False), ("0:00.6", True)])
def test_of_a_short_file_half_at_least_must_have_been_heard(harness: WholeHarness, told: str, is_heard: object) -> None:
    """The usual tolerance is longer than the file: one that was not opened at all would be within it."""
    endpoint = harness.endpoint()
    sample = Sample(Medium.STREAM, 0.0, 1.0, Digest("d" * 64), "audio/*", None, url="https://host/a.wav")
    request = Request(RequestId("r"), "safecomms", "audio", (sample,), 51)
    answer = Answer(json.dumps(clean(metadata={"Duration": told})), 51, 200)
    assert (endpoint.shortfall(request, answer) is None) is is_heard


async def test_the_url_is_nowhere_in_what_is_kept(harness: WholeHarness, endpoint: SafeComms) -> None:
    request = harness.request(endpoint, Medium.STREAM)
    url = request.samples[0].url
    harness.go_wrong(faults.changed(id=url, source=url, reason=f"heard {url}", **{url: QUERY}))
    answer = await endpoint.submit(request)
    assert SIGNATURE not in repr(answer) + repr(request)
    assert "[url]" in answer.raw
    for status in (400, 401, 429, 500):
        harness.go_wrong(faults.status(status, json.dumps({"detail": f"no {url}", "code": SIGNATURE}).encode()))
        with pytest.raises(EndpointError) as caught:
            await endpoint.submit(request)
        assert SIGNATURE not in f"{caught.value!r} {caught.value.detail} {caught.value.vendor_code}"
        assert caught.value.http_status == status


# ------------------------------------------------------------------------------------------------ needs and settings


def test_needs_are_those_of_the_table() -> None:
    needs = build(SafeCommsConfig.model_validate({"send": "url", "max_audio_s": 600})).needs.stream
    assert needs is not None
    assert (needs.sound, needs.pictures, needs.by_url, needs.films) == (True, False, True, False)
    assert (needs.containers, needs.max_s, needs.max_bytes) == (frozenset({"mp3", "wav"}), 600.0, 20_000_000)
    assert build(SafeCommsConfig()).needs.stream is None


def test_how_chunks_are_encoded_does_not_change_the_answers_for_whole_files() -> None:
    plain, other = (
        build(SafeCommsConfig.model_validate({"send": "url", **table}))
        for table in ({}, {"audio_bitrate_kbps": 64, "keywords_encoding": "json"})
    )
    assert plain.settings_for(Medium.STREAM) == other.settings_for(Medium.STREAM) != plain.settings_for(Medium.AUDIO)
    assert plain.settings_for(Medium.AUDIO) == build(SafeCommsConfig()).settings_for(Medium.AUDIO)
