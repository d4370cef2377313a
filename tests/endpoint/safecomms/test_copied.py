"""Sound that SafeComms gets undecoded: nobody but itself can tell how much of it it heard."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.safecomms.endpoint import SafeComms, SafeCommsConfig, build
from batch_scan.media.interface import AudioCodec
from batch_scan.model import Answer, Digest, Request, RequestId, Sample
from batch_scan.sandbox.safecomms.server import clean, found
from batch_scan.vocabulary import Medium, Reason
from tests.endpoint.contract import HttpEndpointContract, HttpHarness, Told
from tests.endpoint.safecomms.test_endpoint import SafeCommsHarness

if TYPE_CHECKING:
    from batch_scan.sandbox.safecomms.server import SafeCommsServer

LENGTH_S = 3.0
RATE_HZ = 44_100
TOLD = {"metadata": {"Format": "mp3", "Duration": "00:00:03.0000000"}}


@cache
def mp3(hz: float, seconds: float) -> bytes:
    """Return a tone as a file of 64 kbit/s."""
    target = io.BytesIO()
    wave = np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ) * 16_000
    with av.open(target, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE_HZ, layout="mono")
        for at in range(0, len(wave), 1152):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1152].astype("<i2"), "s16", "mono")
            frame.rate, frame.pts = RATE_HZ, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def copied(number: int = 0, seconds: float = LENGTH_S) -> Sample:
    data = mp3(440.0 + number, seconds)
    digest = Digest(digest_bytes(data))
    return Sample(Medium.AUDIO, 10.0, 10.0 + seconds, digest, "audio/mpeg", data, copied=True)


class CopiedHarness(SafeCommsHarness):
    """SafeComms under test with sound that was copied, and nothing else."""

    def media(self) -> list[Medium]:
        return [Medium.AUDIO]

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        return copied(number)

    def raw(self, told: Told, medium: Medium) -> str:
        return json.dumps(json.loads(super().raw(told, medium)) | TOLD)


@pytest.fixture
def harness(safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch) -> CopiedHarness:
    return CopiedHarness(safecomms_server, monkeypatch)


class TestContract(HttpEndpointContract):
    @pytest.fixture
    def harness(self, safecomms_server: SafeCommsServer, monkeypatch: pytest.MonkeyPatch) -> HttpHarness:
        return CopiedHarness(safecomms_server, monkeypatch)


def asked(sample: Sample) -> Request:
    return Request(RequestId("r"), "safecomms", "audio", (sample,), 51)


async def test_the_metadata_are_asked_for_and_paid_and_tell_that_all_was_heard(harness: CopiedHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    request = harness.request(endpoint, Medium.AUDIO)
    answer = await endpoint.submit(request)
    (seen,) = (call for call in harness.server.calls if call.operation == "audio")
    assert seen.fields == {"language": "English", "extractMetadata": True}
    assert (seen.mime, seen.digest) == ("audio/mpeg", request.samples[0].digest)
    assert request.tokens_max == answer.tokens_charged == harness.tokens_charged() == 51
    assert endpoint.shortfall(request, answer) is None
    assert not any(score.unclean for score in endpoint.read(request, answer))
    await endpoint.close()


async def test_sound_that_was_decoded_is_asked_about_as_before(harness: CopiedHarness) -> None:
    endpoint = harness.endpoint()
    await endpoint.open()
    sample = replace(copied(), copied=False)
    answer = await endpoint.submit(asked(sample))
    assert answer.tokens_charged == endpoint.quote(Medium.AUDIO, (sample,)) == 50
    assert endpoint.shortfall(asked(sample), answer) is None
    await endpoint.close()


async def test_a_service_that_tells_no_length_calls_nothing_clean(harness: CopiedHarness) -> None:
    harness.server.tells_metadata = False
    endpoint = harness.endpoint()
    await endpoint.open()
    answer = await endpoint.submit(asked(copied()))
    gap = endpoint.shortfall(asked(copied()), answer)
    assert gap is not None
    assert "does not say how long the sound is" in gap.detail
    assert not any(score.unclean for score in endpoint.read(asked(copied()), answer))  # kept, and not paid again
    await endpoint.close()


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, [], {}, {"Duration": "soon"}, {"Duration": None}, {"Duration": 60}),
        *({"Duration": "00:00:30"}, {"Duration": "00:00:58.9"}, {"Duration": "00:01:01.1"}, {"Duration": "00:00:00"}),
    ],
)
def test_an_answer_about_another_length_leaves_the_sound_unheard_and_findings_stay(metadata: Any) -> None:
    endpoint = build(SafeCommsConfig.model_validate({"copied": {"tolerance_s": 1.0}}))
    sample = replace(copied(), end_s=70.0)
    good = Answer(json.dumps(clean(metadata=metadata)), 51, 200)
    bad = Answer(json.dumps(found({"Violence": "High"}, metadata=metadata)), 51, 200)
    assert any(score.unclean for score in endpoint.read(asked(sample), bad))
    for answer in (good, bad):
        gap = endpoint.shortfall(asked(sample), answer)
        assert gap is not None
        assert gap.reason is Reason.NOT_UNDERSTOOD


@pytest.mark.parametrize(("told", "is_heard"), [("00:00:59.1", True), ("1:00", True), ("00:01:00.9", True)])
def test_a_length_may_differ_a_little(told: str, *, is_heard: bool) -> None:
    endpoint = build(SafeCommsConfig.model_validate({"copied": {"tolerance_s": 1.0}}))
    answer = Answer(json.dumps(clean(metadata={"Duration": told})), 51, 200)
    assert (endpoint.shortfall(asked(replace(copied(), end_s=70.0)), answer) is None) is is_heard


def needs_of(**table: Any) -> tuple[AudioCodec, tuple[str, ...]]:
    needs = build(SafeCommsConfig.model_validate(table)).needs.audio
    assert needs is not None
    return needs.codec, needs.copies


def test_what_is_taken_undecoded_is_what_the_page_names_or_the_table() -> None:
    assert needs_of() == (AudioCodec.MP3, ("mp3",))
    assert needs_of(audio_format="wav", copied={"codecs": ["mp3", "aac"]}) == (AudioCodec.WAV, ("mp3", "aac"))
    assert needs_of(copied={"codecs": []}) == (AudioCodec.MP3, ())


def test_how_long_it_may_differ_changes_no_answer() -> None:
    plain: SafeComms = build(SafeCommsConfig())
    other = build(SafeCommsConfig.model_validate({"copied": {"tolerance_s": 1.0, "codecs": ["aac"]}}))
    assert plain.settings == other.settings
