from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import simplejpeg

from batch_scan.digest import digest_bytes, digest_file
from batch_scan.endpoint.interface import BatchLimits, Needs, StreamNeeds
from batch_scan.harmless import FILM_S, SENTENCE, SOUND_S, harmless_samples
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.model import Sample

EVERYTHING = Needs(AudioSpec(), BatchLimits(), BatchLimits(), StreamNeeds(pictures=True))


async def samples_of(needs: Needs, scratch: Path) -> dict[Medium, Sample]:
    return {sample.medium: sample async for sample in harmless_samples(needs, scratch)}


async def test_there_is_one_of_each_kind_that_is_taken(tmp_path: Path) -> None:
    assert await samples_of(Needs(), tmp_path) == {}
    samples = await samples_of(EVERYTHING, tmp_path)
    assert set(samples) == set(Medium)
    for sample in samples.values():
        in_memory = sample.data is not None
        assert sample.digest == (
            digest_bytes(sample.data or b"") if in_memory else digest_file(sample.path or tmp_path)
        )
    assert samples[Medium.UTTERANCE].data == SENTENCE.encode()


async def test_the_picture_is_grey_and_large_enough_for_every_vendor(tmp_path: Path) -> None:
    data = (await samples_of(EVERYTHING, tmp_path))[Medium.FRAME].data or b""
    pixels = simplejpeg.decode_jpeg(data)
    assert min(pixels.shape[:2]) >= 256
    assert np.ptp(pixels.astype(int), axis=2).max() <= 2
    assert np.ptp(pixels) > 50


@pytest.mark.parametrize("codec", list(AudioCodec))
async def test_the_sound_is_what_was_asked_for_and_is_no_silence(codec: AudioCodec, tmp_path: Path) -> None:
    sample = (await samples_of(Needs(audio=AudioSpec(codec=codec)), tmp_path))[Medium.AUDIO]
    assert sample.duration_s == SOUND_S
    if codec is AudioCodec.PCM:
        pcm = np.frombuffer(sample.data or b"", "<i2")
    else:
        with av.open(io.BytesIO(sample.data or b""), "r") as file:
            pcm = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
    assert len(pcm) / 16_000 == pytest.approx(SOUND_S, abs=0.2)
    assert np.abs(pcm).max() > 0


async def test_a_taker_of_short_chunks_gets_a_short_one(tmp_path: Path) -> None:
    sample = (await samples_of(Needs(audio=AudioSpec(max_s=1.0)), tmp_path))[Medium.AUDIO]
    assert sample.duration_s == 1.0


async def test_the_film_has_pictures_and_sound_and_is_as_long_as_it_says(tmp_path: Path) -> None:
    sample = (await samples_of(Needs(stream=StreamNeeds(pictures=True)), tmp_path))[Medium.STREAM]
    assert (sample.end_s, sample.track, sample.data) == (FILM_S, 0, None)
    with av.open(str(sample.path), "r") as file:
        assert [stream.codec_context.name for stream in file.streams] == ["h264", "aac"]
        assert [float((stream.duration or 0) * (stream.time_base or 0)) for stream in file.streams] == pytest.approx(
            [FILM_S, FILM_S], abs=0.1
        )


async def test_whoever_pulls_by_url_gets_sound_alone(tmp_path: Path) -> None:
    needs = Needs(audio=AudioSpec(), stream=StreamNeeds(sound=True, by_url=True))
    assert set(await samples_of(needs, tmp_path)) == {Medium.AUDIO}
