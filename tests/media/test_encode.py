from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from batch_scan.errors import MediaError
from batch_scan.media.encode import MP3_KBPS, capacity, open_encoder, wav_bytes
from batch_scan.media.interface import AudioCodec, AudioSpec, MediaLimits
from batch_scan.vocabulary import Reason

RATE = 16_000
NOISE = np.random.default_rng(5).integers(-20_000, 20_000, 12 * RATE).astype("<i2").tobytes()


async def encoded(spec: AudioSpec, *parts: bytes, rate_hz: int = RATE) -> list[bytes]:
    async with open_encoder(spec, rate_hz, MediaLimits()) as encoder:
        for part in parts:
            await encoder.write(part)
        return [piece.data for piece in await encoder.finish()]


@pytest.mark.parametrize("codec", list(AudioCodec))
async def test_how_samples_come_in_does_not_show_in_the_bytes(codec: AudioCodec) -> None:
    spec = AudioSpec(codec)
    odd = [NOISE[at : at + 77_778] for at in range(0, len(NOISE), 77_778)]
    assert await encoded(spec, NOISE) == await encoded(spec, *odd)


@pytest.mark.parametrize("kbps", MP3_KBPS)
async def test_an_mp3_of_the_planned_length_fits_and_wastes_little(kbps: int) -> None:
    spec = AudioSpec(AudioCodec.MP3, max_bytes=1000 * kbps + 5000, bitrate_kbps=kbps)
    planned = capacity(spec, RATE)
    assert planned > 7 * RATE
    (data,) = await encoded(spec, NOISE[: 2 * planned])
    assert spec.max_bytes - 5000 <= len(data) <= spec.max_bytes


@pytest.mark.parametrize("codec", [AudioCodec.PCM, AudioCodec.WAV])
@pytest.mark.parametrize("rate_hz", [RATE, 48_000])
async def test_uncompressed_sound_fills_what_is_allowed(codec: AudioCodec, rate_hz: int) -> None:
    spec = AudioSpec(codec, max_bytes=100_000)
    planned = capacity(spec, rate_hz)
    (data,) = await encoded(spec, NOISE[: 2 * planned], rate_hz=rate_hz)
    assert 99_800 <= len(data) <= 100_000


async def test_flac_that_does_not_compress_is_parted_without_losing_a_sample() -> None:
    spec = AudioSpec(AudioCodec.FLAC, max_bytes=200_000)
    planned = NOISE[: 2 * capacity(spec, RATE)]
    async with open_encoder(spec, RATE, MediaLimits()) as encoder:
        await encoder.write(planned)
        pieces = await encoder.finish()
    assert len(pieces) == 2
    assert max(len(piece.data) for piece in pieces) <= spec.max_bytes
    assert sum(piece.samples for piece in pieces) * 2 == len(planned)


def test_the_bound_in_seconds_holds_too() -> None:
    assert capacity(AudioSpec(AudioCodec.MP3, max_s=10.0), RATE) == 10 * RATE


@pytest.mark.parametrize(("kbps", "rate_hz"), [(33, 16_000), (32, 15_000)])
def test_an_mp3_that_cannot_be_is_refused(kbps: int, rate_hz: int) -> None:
    with pytest.raises(ValueError, match="no MP3 has"):
        capacity(AudioSpec(AudioCodec.MP3, bitrate_kbps=kbps, sample_rate_hz=rate_hz), RATE)


async def test_more_than_was_planned_for_is_an_error_not_a_large_chunk() -> None:
    spec = AudioSpec(AudioCodec.MP3, max_bytes=10_000)
    with pytest.raises(MediaError) as caught:
        await encoded(spec, NOISE)
    assert caught.value.reason is Reason.SAMPLE_TOO_LARGE


async def test_an_encoder_out_of_memory_is_an_error() -> None:
    limits = MediaLimits(memory_bytes=64 << 20)
    async with open_encoder(AudioSpec(AudioCodec.MP3), RATE, limits) as encoder:
        await encoder.write(NOISE)
        with pytest.raises(MediaError):
            await encoder.finish()


def test_wav_holds_the_samples_under_a_short_header() -> None:
    data = wav_bytes(NOISE, RATE)
    assert len(data) == 44 + len(NOISE)
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.readframes(file.getnframes()) == NOISE
