from __future__ import annotations

import asyncio
import io
import math
import os
import subprocess
import sys
import wave
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from batch_scan.media.audio import read_audio
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.interface import AudioCodec, AudioSpec, AudioTally, Chunk, MediaLimits, Silence
from batch_scan.media.runner import ffmpeg_exe
from batch_scan.model import AudioTrack, MediaInfo, Shortfall, VideoTrack
from batch_scan.vocabulary import Reason
from tests.corpus_media import (
    H264,
    concat_in_disguise,
    corrupted,
    make,
    multi_audio,
    numbered_source,
    silence,
    tiny_clip,
    tone,
    tone_and_silence,
    truncated,
)

Event = Chunk | Silence | Shortfall | AudioTally

PCM = AudioSpec(AudioCodec.PCM)
RATE = 16_000
AAC_FRAME_S = 1024 / 44_100
"""An MP4 says within which frame its sound ends; that frame is heard whole."""
FAST_START = ("-c:a", "aac", "-movflags", "+faststart")


def info_for(
    duration_s: float | None = None,
    *,
    container: str = "wav",
    index: int = 0,
    channels: int = 1,
    file_s: float | None = None,
    video: bool = False,
) -> MediaInfo:
    pictures = (VideoTrack(0, "h264", 320, 240, duration_s),) if video else ()
    return MediaInfo(container, file_s, (AudioTrack(index, "any", channels, 48_000, duration_s),), pictures)


async def heard(path: Path, info: MediaInfo, *specs: AudioSpec, limits: MediaLimits | None = None) -> list[Event]:
    limits = limits or MediaLimits()
    async with DecoderPool(1, limits) as pool:
        return [event async for event in read_audio(pool, path, info, specs or (PCM,), limits)]


def chunks_of(events: list[Event], spec: AudioSpec = PCM) -> list[Chunk]:
    return [event for event in events if isinstance(event, Chunk) and event.spec == spec]


def shortfalls_of(events: list[Event]) -> list[Shortfall]:
    return [event for event in events if isinstance(event, Shortfall)]


def silences_of(events: list[Event]) -> list[tuple[float, float]]:
    return [(round(event.start_s, 1), round(event.end_s, 1)) for event in events if isinstance(event, Silence)]


def tally_of(events: list[Event]) -> AudioTally:
    assert isinstance(events[-1], AudioTally)
    return events[-1]


def samples_of(chunk: Chunk) -> np.ndarray:
    assert chunk.sample.data is not None
    return np.frombuffer(chunk.sample.data, "<i2")


def only_chunk(events: list[Event], spec: AudioSpec = PCM) -> Chunk:
    (chunk,) = chunks_of(events, spec)
    return chunk


def decoded(data: bytes) -> np.ndarray:
    """What the bytes of a chunk sound like, at their own rate."""
    argv = [ffmpeg_exe(), "-v", "error", "-i", "pipe:0", "-f", "s16le", "pipe:1"]
    return np.frombuffer(subprocess.run(argv, input=data, capture_output=True, check=True).stdout, "<i2")


def write_wav(path: Path, frames: np.ndarray, rate_hz: int) -> None:
    """Frames of shape (time, channels)."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(frames.shape[1])
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(frames.astype("<i2").tobytes())


def children() -> list[str]:
    """Decoders and encoders that this process has started and that still run."""
    pid = os.getpid()
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if command:
            found.append(command.decode("utf-8", "replace"))
    return [command for command in found if "ffmpeg" in command or "media.worker" in command]


# ---------------------------------------------------------------------------------------------------- chunks as bytes


async def test_a_short_file_is_one_chunk_with_its_times_and_a_tally(tmp_path: Path) -> None:
    events = await heard(tone(tmp_path / "a.m4a", 5), info_for(5.0, container="mov,mp4,m4a,3gp,3g2,mj2"))
    sample = only_chunk(events).sample
    assert (sample.start_s, sample.track, sample.mime) == (0.0, 0, "audio/pcm")
    assert sample.end_s == pytest.approx(5.0, abs=AAC_FRAME_S)
    assert len(samples_of(only_chunk(events))) == sample.end_s * RATE
    assert events[1:] == [AudioTally(0, 5.0, sample.end_s)]


@pytest.mark.parametrize("codec", list(AudioCodec))
async def test_every_codec_carries_all_of_the_sound_at_the_rate_asked_for(tmp_path: Path, codec: AudioCodec) -> None:
    spec = AudioSpec(codec)
    events = await heard(tone(tmp_path / "a.wav", 3), info_for(3.0), spec)
    data = only_chunk(events, spec).sample.data
    assert data is not None
    pcm = np.frombuffer(data, "<i2") if codec is AudioCodec.PCM else decoded(data)
    assert len(pcm) == pytest.approx(3 * RATE, abs=600 if codec is AudioCodec.MP3 else 0)  # whole MP3 frames
    spectrum = np.abs(np.fft.rfft(pcm[: 3 * RATE].astype(float)))
    assert np.argmax(spectrum) == pytest.approx(440 * 3, abs=2)


@pytest.mark.parametrize("codec", list(AudioCodec))
async def test_the_same_file_gives_the_same_bytes_again(tmp_path: Path, codec: AudioCodec) -> None:
    path = tone(tmp_path / "a.ogg", 12, "-c:a", "libvorbis")
    spec = AudioSpec(codec, max_s=5.0)
    first, second = [chunks_of(await heard(path, info_for(12.0, container="ogg"), spec), spec) for _ in range(2)]
    assert len(first) == 3
    assert [chunk.sample.digest for chunk in first] == [chunk.sample.digest for chunk in second]


async def test_bytes_do_not_depend_on_names_tags_or_cover_art(tmp_path: Path) -> None:
    spec = AudioSpec(AudioCodec.MP3)
    plain = tone(tmp_path / "a.flac", 3)
    tagged = make(tmp_path / "b.flac", "-i", str(plain), "-metadata", "title=Another", "-c", "copy")
    digests = {only_chunk(await heard(path, info_for(3.0), spec), spec).sample.digest for path in (plain, tagged)}
    assert len(digests) == 1


async def test_takers_with_several_wishes_share_one_decoding_and_equal_wishes_are_one(tmp_path: Path) -> None:
    narrow = AudioSpec(AudioCodec.WAV, sample_rate_hz=8000)
    mp3 = AudioSpec(AudioCodec.MP3, max_s=4.0)
    events = await heard(tone(tmp_path / "a.wav", 10), info_for(10.0), PCM, narrow, mp3, PCM)
    assert len(chunks_of(events)) == 1
    assert len(chunks_of(events, mp3)) == 3
    data = only_chunk(events, narrow).sample.data
    assert data is not None
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 80_000)
    assert sum(isinstance(event, AudioTally) for event in events) == 1


async def test_nothing_of_the_sound_is_lost_or_doubled_between_chunks(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", "-f", "lavfi", "-i", "anoisesrc=d=25:c=pink:r=16000:seed=3:a=0.4")
    whole = samples_of(only_chunk(await heard(path, info_for(25.0))))
    short = AudioSpec(AudioCodec.PCM, max_s=10.0)
    parts = chunks_of(await heard(path, info_for(25.0), short), short)
    assert len(parts) == 3
    assert np.array_equal(np.concatenate([samples_of(part) for part in parts]), whole)
    assert [part.sample.end_s for part in parts[:-1]] == [part.sample.start_s for part in parts[1:]]


@pytest.mark.parametrize(("codec", "chunks"), [("pcm_s16le", 7), ("wav", 7), ("flac", 10), ("mp3", 1)])
async def test_no_chunk_is_larger_than_the_taker_allows(tmp_path: Path, codec: str, chunks: int) -> None:
    path = make(tmp_path / "a.wav", "-f", "lavfi", "-i", "anoisesrc=d=40:c=white:r=16000:seed=3:a=1")
    spec = AudioSpec(AudioCodec(codec), max_bytes=200_000)
    made = chunks_of(await heard(path, info_for(40.0), spec), spec)
    assert max(len(chunk.sample.data or b"") for chunk in made) <= 200_000
    assert len(made) <= chunks
    assert [chunk.sample.end_s for chunk in made[:-1]] == pytest.approx([chunk.sample.start_s for chunk in made[1:]])
    assert made[-1].sample.end_s == pytest.approx(40.0)


async def test_a_wish_that_cannot_be_met_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MP3"):
        await heard(tone(tmp_path / "a.wav", 1), info_for(1.0), AudioSpec(AudioCodec.MP3, bitrate_kbps=33))


async def test_nothing_asked_for_or_nothing_there_yields_nothing(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", 1)
    async with DecoderPool(1, MediaLimits()) as pool:
        assert [event async for event in read_audio(pool, path, info_for(1.0), (), MediaLimits())] == []
    assert await heard(path, MediaInfo("wav", 1.0)) == []


# ------------------------------------------------------------------------------------------------- what can be heard

KINDS = {
    "8 kHz AMR": ("a.amr", "amr", ("-ar", "8000", "-ac", "1", "-c:a", "libopencore_amrnb")),
    "AC-3 5.1": ("a.ac3", "ac3", ("-ac", "6")),
    "ADPCM": ("a.wav", "wav", ("-c:a", "adpcm_ima_wav")),
    "96 kHz float": ("a.wav", "wav", ("-ar", "96000", "-c:a", "pcm_f32le")),
    "8 bit": ("a.wav", "wav", ("-ar", "8000", "-c:a", "pcm_u8")),
    "G.711 au": ("a.au", "au", ("-ar", "8000", "-c:a", "pcm_mulaw")),
    "Opus": ("a.webm", "matroska,webm", ("-c:a", "libopus")),
    "Vorbis": ("a.ogg", "ogg", ("-c:a", "libvorbis")),
    "WMA": ("a.wma", "asf", ()),
    "ADTS": ("a.aac", "aac", ()),
    "ALAC": ("a.m4a", "mov,mp4,m4a,3gp,3g2,mj2", ("-c:a", "alac")),
    "MP2 in a transport stream": ("a.ts", "mpegts", ("-c:a", "mp2")),
    "MP3 in AVI": ("a.avi", "avi", ("-c:a", "libmp3lame")),
    "AAC in FLV": ("a.flv", "flv", ("-ar", "44100", "-c:a", "aac")),
}


@pytest.mark.parametrize("kind", list(KINDS))
async def test_common_kinds_of_sound_are_read_in_full(tmp_path: Path, kind: str) -> None:
    name, container, args = KINDS[kind]
    events = await heard(tone(tmp_path / name, 4, *args), info_for(4.0, container=container))
    assert shortfalls_of(events) == []
    sample = only_chunk(events).sample
    assert sample.start_s == pytest.approx(0.0, abs=0.1)
    assert sample.end_s == pytest.approx(4.0, abs=0.2)


async def test_a_clip_of_a_picture_length_is_heard(tmp_path: Path) -> None:
    events = await heard(tiny_clip(tmp_path / "a.mp4"), info_for(0.04, container="mov,mp4", index=1))
    assert shortfalls_of(events) == []
    assert only_chunk(events).sample.duration_s == pytest.approx(0.04, abs=0.03)


async def test_an_mp3_with_a_cover_and_junk_around_it_is_heard_in_full(tmp_path: Path) -> None:
    path = tmp_path / "junk.mp3"
    sound = tone(tmp_path / "a.mp3", 4)
    picture = make(tmp_path / "a.jpg", "-f", "lavfi", "-i", "smptebars=s=300x300", "-frames:v", "1")
    both = (
        "-i",
        str(sound),
        "-i",
        str(picture),
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v",
        "attached_pic",
    )
    covered = make(tmp_path / "b.mp3", *both)
    path.write_bytes(b"\0" * 3000 + covered.read_bytes() + b"TAG" + b"x" * 5000)
    events = await heard(path, info_for(None, container="mp3"))
    assert shortfalls_of(events) == []
    assert tally_of(events).decoded_s == pytest.approx(4.0, abs=0.1)


async def test_every_track_is_heard_with_its_own_sound(tmp_path: Path) -> None:
    path = multi_audio(tmp_path / "a.mkv", (440, 880, 1320), 4)
    tracks = tuple(AudioTrack(index, "aac", 1, 44_100, None, "eng") for index in (1, 2, 3))
    events = await heard(path, MediaInfo("matroska,webm", 4.0, tracks, (VideoTrack(0, "h264", 320, 240, None),)))
    assert [event.track for event in events if isinstance(event, AudioTally)] == [1, 2, 3]
    for chunk, hz in zip(chunks_of(events), (440, 880, 1320), strict=True):
        assert np.argmax(np.abs(np.fft.rfft(samples_of(chunk)[: 4 * RATE].astype(float)))) == pytest.approx(
            hz * 4, abs=4
        )
        assert chunk.sample.language == "eng"


async def test_a_stream_that_changes_rate_and_channels_on_the_way_is_heard_in_full(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    parts = [("48000", "2"), ("48000", "6"), ("32000", "1")]
    whole = b"".join(
        tone(
            tmp_path / f"{at}.ts", 3, "-ar", rate, "-ac", channels, "-c:a", "ac3", "-output_ts_offset", str(3 * at)
        ).read_bytes()
        for at, (rate, channels) in enumerate(parts)
    )
    path.write_bytes(whole)
    events = await heard(path, info_for(None, container="mpegts", channels=2))
    assert shortfalls_of(events) == []
    assert only_chunk(events).sample.end_s == pytest.approx(9.0, abs=0.3)


# ------------------------------------------------------------------------------------------------------------ silence


async def test_a_silent_file_is_examined_and_nothing_of_it_handed_on(tmp_path: Path) -> None:
    events = await heard(silence(tmp_path / "a.m4a", 8), info_for(8.0, container="mov,mp4"))
    assert chunks_of(events) == []
    assert silences_of(events) == [(0.0, 8.0)]
    assert tally_of(events).planned_s == 8.0
    assert tally_of(events).decoded_s == pytest.approx(8.0, abs=AAC_FRAME_S)


async def test_a_silent_file_is_handed_on_where_silence_is_wanted(tmp_path: Path) -> None:
    spec = replace(PCM, skip_silence=False)
    events = await heard(silence(tmp_path / "a.wav", 8), info_for(8.0), spec)
    assert len(samples_of(only_chunk(events, spec))) == 8 * RATE
    assert silences_of(events) == []


async def test_quiet_speech_is_never_silence(tmp_path: Path) -> None:
    """A tone whose peaks lie 45 dB below full scale, on a floor of dither."""
    source = "aevalsrc='0.0056*sin(2*PI*300*t)+0.00003*(random(0)-0.5):s=16000:d=10'"
    events = await heard(make(tmp_path / "a.wav", "-f", "lavfi", "-i", source), info_for(10.0))
    assert silences_of(events) == []
    assert only_chunk(events).sample.duration_s == pytest.approx(10.0)


async def test_the_noise_floor_of_a_recording_is_silence(tmp_path: Path) -> None:
    source = "aevalsrc='0.0004*(random(0)-0.5):s=16000:d=10'"
    events = await heard(make(tmp_path / "a.wav", "-f", "lavfi", "-i", source), info_for(10.0))
    assert silences_of(events) == [(0.0, 10.0)]


@pytest.mark.parametrize(
    ("channels", "mix"),
    [
        pytest.param(2, "stereo|c0=c0|c1=-1*c0", id="opposite phase"),
        pytest.param(2, "stereo|c0=c0|c1=-2*c0", id="sides that unequal weights cancel"),
        pytest.param(6, "5.1|c0=c0|c1=-2*c0", id="front sides that unequal weights cancel"),
        pytest.param(6, "5.1|c1=c0|c2=c0|c4=-2*c0", id="three of six that cancel"),
        pytest.param(2, "stereo|c0=0*c0|c1=c0", id="right side alone"),
        pytest.param(6, "5.1|c0=0*c0|c3=c0", id="low-frequency channel alone"),
        pytest.param(24, "22.2|c23=c0", id="the last of 24 channels alone"),
    ],
)
async def test_sound_that_a_plain_downmix_would_lose_is_heard(tmp_path: Path, channels: int, mix: str) -> None:
    path = tone(tmp_path / "a.wav", 5, "-af", f"pan={mix}")
    events = await heard(path, info_for(5.0, channels=channels))
    assert silences_of(events) == []
    assert np.abs(samples_of(only_chunk(events))).max() > 1000


async def test_sound_is_heard_that_cancels_only_after_mono_has_become_stereo(tmp_path: Path) -> None:
    first = silence(tmp_path / "a.mp3", 5)
    second = tone(tmp_path / "b.mp3", 5, "-af", "pan=stereo|c0=c0|c1=-2*c0", "-b:a", "256k")
    path = tmp_path / "both.mp3"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    sample = only_chunk(await heard(path, info_for(10.0, container="mp3"))).sample
    assert sample.start_s == pytest.approx(5, abs=0.5)
    assert sample.end_s == pytest.approx(10, abs=0.5)


async def test_many_channels_without_a_layout_are_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    frames = np.zeros((5 * RATE, 9), "<i2")
    frames[:, 7] = 12_000 * np.sin(np.arange(5 * RATE))
    write_wav(path, frames, RATE)
    events = await heard(path, info_for(5.0, channels=9))
    assert shortfalls_of(events) == []
    assert np.abs(samples_of(only_chunk(events))).max() > 1000


async def test_long_silence_is_left_out_at_the_ends_and_keeps_the_times(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.wav",
        *("-f", "lavfi", "-i", "sine=f=440:d=2"),
        *("-af", "adelay=12s:all=1,apad=pad_dur=10"),
    )
    events = await heard(path, info_for(24.0))
    sample = only_chunk(events).sample
    assert (sample.start_s, sample.end_s) == pytest.approx((11.7, 14.3), abs=0.11)
    assert silences_of(events) == [(0.0, round(sample.start_s, 1)), (round(sample.end_s, 1), 24.0)]


async def test_silence_inside_stays_for_takers_paid_by_the_request_and_goes_for_those_paid_by_the_second(
    tmp_path: Path,
) -> None:
    path = tone_and_silence(tmp_path / "a.wav", 3, 20, 3)
    by_the_second = replace(PCM, split_silence_s=5.0)
    events = await heard(path, info_for(26.0), PCM, by_the_second)
    whole = samples_of(only_chunk(events))
    assert len(whole) == 26 * RATE
    assert not whole[9 * RATE : 22 * RATE].any()
    first, second = chunks_of(events, by_the_second)
    assert (first.sample.end_s, second.sample.start_s) == pytest.approx((3.3, 22.7), abs=0.11)


# --------------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
async def test_sound_that_starts_late_has_the_times_of_the_pictures_beside_it(tmp_path: Path, name: str) -> None:
    path = make(
        tmp_path / name, *numbered_source(10), "-itsoffset", "4", "-f", "lavfi", "-i", "sine=f=440:d=6", *H264,
        "-c:a", "aac",
    )  # fmt: skip
    container = {"a.mkv": "matroska,webm", "a.ts": "mpegts", "a.mp4": "mov,mp4"}[name]
    declared_s = 10.0 if name == "a.mkv" else 6.0
    events = await heard(path, info_for(declared_s, container=container, index=1, file_s=10.0, video=True))
    assert shortfalls_of(events) == []
    sample = only_chunk(events).sample
    assert (sample.start_s, sample.end_s) == pytest.approx((4.0, 10.0), abs=0.15)


def with_hole(path: Path, hole_s: int) -> Path:
    """Two seconds of tone, a hole, two more seconds of tone."""
    times = f"asetnsamples=480,asetpts='if(lt(N,48000*2),PTS,PTS+{hole_s}*48000)'"
    return tone(path, 4, "-ar", "48000", "-af", f"aresample=48000,{times}", "-c:a", "libopus")


async def test_a_hole_without_an_error_is_no_damage_and_sound_after_it_keeps_its_time(tmp_path: Path) -> None:
    events = await heard(with_hole(tmp_path / "a.mkv", 6), info_for(10.0, container="matroska,webm"))
    assert shortfalls_of(events) == []
    pcm = samples_of(only_chunk(events))
    assert len(pcm) == pytest.approx(10 * RATE, abs=RATE // 10)
    loud = np.abs(pcm).reshape(-1, 1)[: 10 * RATE].max(axis=1) > 500
    assert loud[8 * RATE + RATE // 2 : 9 * RATE].any()
    assert not loud[3 * RATE : 7 * RATE].any()
    assert tally_of(events).decoded_s == pytest.approx(10.0, abs=0.1)


async def test_a_bomb_of_a_hole_costs_nothing(tmp_path: Path) -> None:
    path = with_hole(tmp_path / "a.mkv", 20_000)
    assert path.stat().st_size < 100_000
    events = await heard(path, info_for(None, container="matroska,webm", video=True))
    first, second = chunks_of(events)
    assert first.sample.end_s == pytest.approx(2.0, abs=0.3)
    assert second.sample.start_s == pytest.approx(20_002.0, abs=0.3)
    assert sum(len(samples_of(chunk)) for chunk in (first, second)) < 5 * RATE
    assert len(silences_of(events)) == 1
    assert shortfalls_of(events) == []


async def test_sound_past_the_longest_duration_is_not_examined_and_the_file_says_so(tmp_path: Path) -> None:
    limits = MediaLimits(max_duration_s=1000.0)
    events = await heard(
        with_hole(tmp_path / "a.mkv", 20_000), info_for(None, container="matroska,webm", video=True), limits=limits
    )
    assert only_chunk(events).sample.end_s == pytest.approx(2.0, abs=0.3)
    assert [short.reason for short in shortfalls_of(events)] == [Reason.TOO_LONG]

    events = await heard(tone(tmp_path / "b.wav", 30), info_for(30.0), limits=MediaLimits(max_duration_s=12.0))
    assert only_chunk(events).sample.end_s == pytest.approx(12.0)
    assert [short.reason for short in shortfalls_of(events)] == [Reason.TOO_LONG]
    assert tally_of(events) == AudioTally(0, 30.0, 12.0)


# ------------------------------------------------------------------------------------------------------------- damage


async def test_half_a_film_is_damaged_and_the_other_half_still_heard(tmp_path: Path) -> None:
    half = truncated(tone(tmp_path / "a.m4a", 30, *FAST_START), tmp_path / "half.m4a")
    events = await heard(half, info_for(30.0, container="mov,mp4"))
    (short,) = shortfalls_of(events)
    assert short.reason is Reason.DAMAGED
    assert "of 30.0 s declared" in short.detail
    assert 10 < only_chunk(events).sample.end_s < 20
    assert tally_of(events).decoded_s < 20


@pytest.mark.parametrize(
    ("name", "container", "args"),
    [
        ("a.ogg", "ogg", ("-c:a", "libvorbis")),
        ("a.opus", "ogg", ("-c:a", "libopus")),
        ("a.mkv", "matroska,webm", ("-c:a", "aac")),
    ],
)
async def test_half_a_file_that_declares_no_length_is_damaged(
    tmp_path: Path, name: str, container: str, args: tuple[str, ...]
) -> None:
    whole = tone(tmp_path / name, 20, *args)
    info = info_for(None, container=container, video=True)
    assert shortfalls_of(await heard(whole, info)) == []
    events = await heard(truncated(whole, tmp_path / f"half-{name}"), info)
    assert [short.reason for short in shortfalls_of(events)] == [Reason.DAMAGED]
    assert chunks_of(events)


def with_nonsense(source: Path, path: Path, from_s: float, to_s: float = math.inf) -> Path:
    """Copy a track into a Matroska that was recorded live, and so declares no length, with nonsense in a stretch."""
    with av.open(str(source)) as given, av.open(str(path), "w", format="matroska", options={"live": "1"}) as taken:
        track = given.streams.audio[0]
        copy = taken.add_stream_from_template(track)
        for packet in given.demux(track):
            if packet.pts is None:  # the end
                continue
            is_lost = from_s <= float(packet.pts * packet.time_base) < to_s
            sent = Packet(b"\xff" * packet.size) if is_lost else packet
            sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, packet.time_base
            sent.duration, sent.is_keyframe, sent.stream = packet.duration, packet.is_keyframe, copy
            taken.mux(sent)
    return path


@pytest.mark.parametrize("args", [("-c:a", "aac"), ("-c:a", "flac"), ("-c:a", "libvorbis")])
async def test_an_end_that_cannot_be_decoded_is_damage_also_where_no_length_is_declared(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    whole = tone(tmp_path / "whole.mka", 10, *args)
    info = info_for(None, container="matroska,webm", video=True)
    for from_s, reasons in ((20, []), (6, [Reason.DAMAGED])):
        events = await heard(with_nonsense(whole, tmp_path / "live.mka", from_s), info)
        assert [short.reason for short in shortfalls_of(events)] == reasons
        assert only_chunk(events).sample.end_s == pytest.approx(min(from_s, 10), abs=0.2)


@pytest.mark.parametrize("declared_s", [None, 10.0])
async def test_a_beginning_that_cannot_be_decoded_is_damage_and_no_late_beginning(
    tmp_path: Path, declared_s: float | None
) -> None:
    whole = tone(tmp_path / "whole.mka", 10, "-c:a", "aac")
    info = info_for(declared_s, container="matroska,webm", video=True)
    events = await heard(with_nonsense(whole, tmp_path / "live.mka", 0.0, 4.0), info)
    assert [short.reason for short in shortfalls_of(events)] == [Reason.DAMAGED]
    assert only_chunk(events).sample.start_s == pytest.approx(4, abs=0.2)
    (tally,) = [event for event in events if isinstance(event, AudioTally)]
    assert tally.planned_s == pytest.approx(10, abs=0.2)
    assert tally.decoded_s == pytest.approx(6, abs=0.2)


async def test_a_damaged_stretch_is_named_and_sound_after_it_keeps_its_time(tmp_path: Path) -> None:
    path = tone_and_silence(tmp_path / "a.m4a", 12, 12, 6, args=FAST_START)
    # The middle of the file holds the tone and the silence before 15 s; AAC spends its bytes on the tone.
    events = await heard(corrupted(path, tmp_path / "b.m4a", 0.3, 0.4), info_for(30.0, container="mov,mp4"))
    (short,) = shortfalls_of(events)
    assert short.reason is Reason.DAMAGED
    assert "s of sound are missing at" in short.detail
    assert chunks_of(events)[-1].sample.end_s == pytest.approx(30.0, abs=0.3)


async def test_what_is_lost_is_never_called_silence(tmp_path: Path) -> None:
    noise = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "anoisesrc=d=60:c=pink:a=0.4:seed=2", *FAST_START)
    spec = replace(PCM, split_silence_s=4.0)
    events = await heard(corrupted(noise, tmp_path / "b.m4a", 0.4, 0.7), info_for(60.0, container="mov,mp4"), spec)
    assert silences_of(events) == []
    assert shortfalls_of(events)
    assert len(chunks_of(events, spec)) >= 2


async def test_an_unknown_codec_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    data = bytearray(tone(tmp_path / "b.wav", 1, "-bitexact").read_bytes())
    at = data.index(b"fmt ") + 8
    data[at : at + 2] = b"\x99\x77"
    path.write_bytes(data)
    events = await heard(path, info_for(1.0))
    assert [short.reason for short in shortfalls_of(events)] == [Reason.CODEC_UNSUPPORTED]
    assert tally_of(events) == AudioTally(0, 1.0, 0.0)


async def test_a_track_without_any_sound_is_a_shortfall(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(tone(tmp_path / "b.wav", 1, "-bitexact").read_bytes()[:44])
    events = await heard(path, info_for(None))
    assert [short.reason for short in shortfalls_of(events)] == [Reason.DAMAGED]
    assert tally_of(events).decoded_s == 0.0


async def test_a_script_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    secret = tone(tmp_path / "secret.wav", 2)
    events = await heard(concat_in_disguise(tmp_path / "a.mp4", secret), info_for(2.0, container="mov,mp4"))
    assert chunks_of(events) == []
    assert [short.reason for short in shortfalls_of(events)] == [Reason.FORMAT_REFUSED]


async def test_a_file_that_is_gone_is_a_shortfall(tmp_path: Path) -> None:
    events = await heard(tmp_path / "gone.wav", info_for(2.0))
    assert [(short.reason, short.detail) for short in shortfalls_of(events)] == [(Reason.MISSING, "the file is gone")]
    assert tally_of(events) == AudioTally(0, 2.0, 0.0)


async def test_a_file_that_became_another_is_a_shortfall(tmp_path: Path) -> None:
    events = await heard(tone(tmp_path / "a.wav", 2), info_for(2.0, index=1))
    assert [short.reason for short in shortfalls_of(events)] == [Reason.CHANGED]


@pytest.mark.parametrize("name", ["-y.wav", "a:b.wav", "new\nline.wav", "%d.wav", "'quote,[x].wav", "\udcff.wav"])
async def test_hostile_names_are_only_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(tone(tmp_path / "plain.wav", 1).read_bytes())
    assert shortfalls_of(await heard(path, info_for(1.0))) == []


# ------------------------------------------------------------------------------------------------------------- limits


async def test_a_decoder_that_takes_too_long_is_stopped_and_named(tmp_path: Path) -> None:
    limits = MediaLimits(wall_base_s=0.001, wall_per_media_s=0.0)
    events = await heard(tone(tmp_path / "a.wav", 5), info_for(5.0), limits=limits)
    assert [short.reason for short in shortfalls_of(events)] == [Reason.DECODER_TIMEOUT]
    assert children() == []


async def test_a_decoder_without_memory_is_a_shortfall(tmp_path: Path) -> None:
    events = await heard(tone(tmp_path / "a.wav", 5), info_for(5.0), limits=MediaLimits(memory_bytes=64 << 20))
    assert shortfalls_of(events)
    assert tally_of(events).decoded_s < 5.0


def long_noise(path: Path) -> Path:
    """Ten minutes of noise: more than fits into the pipes between a decoder and its reader."""
    write_wav(path, np.random.default_rng(1).integers(-9000, 9000, (600 * 8000, 1)), 8000)
    return path


async def test_leaving_early_ends_every_child(tmp_path: Path) -> None:
    path = long_noise(tmp_path / "a.wav")
    specs = (AudioSpec(AudioCodec.PCM, max_s=20.0), AudioSpec(AudioCodec.MP3))
    async with DecoderPool(1, MediaLimits()) as pool:
        async with aclosing(read_audio(pool, path, info_for(600.0), specs, MediaLimits())) as events:
            first = await anext(events)
            assert isinstance(first, Chunk)
            assert len(children()) == 2
            left = asyncio.get_running_loop().time()
        assert children() == []
        assert asyncio.get_running_loop().time() - left < 5  # a full pipe that nobody reads holds nothing up


async def test_cancelling_ends_every_child(tmp_path: Path) -> None:
    path = long_noise(tmp_path / "a.wav")
    started = asyncio.Event()

    async def read(pool: DecoderPool) -> None:
        specs = (AudioSpec(AudioCodec.PCM, max_s=20.0), AudioSpec(AudioCodec.MP3))
        async with aclosing(read_audio(pool, path, info_for(600.0), specs, MediaLimits())) as events:
            async for _ in events:
                started.set()

    async with DecoderPool(1, MediaLimits()) as pool:
        task = asyncio.create_task(read(pool))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() == []


# ------------------------------------------------------------------------------------------ a decoder that is not ours

ROGUE = """
import os, signal, sys, time
from batch_scan.media import wire

def say(kind, body): os.write(1, wire.pack(kind, body))

def sound(samples, told):
    os.write(1, wire.pack_sound(wire.Sound((wire.Stamp(0, told, False),), b"\\x10\\x20" * 2 * samples)))

COUNTS = b'"frames": 9, "refused": 0, "unheard_s": 0, "unheard_before_s": 0'
TALLY = b'{' + COUNTS + b', "complaint": "", "container_complaint": "", "late": ""}'
say(wire.Kind.END, b"{}")
sys.stdin.buffer.read(wire.unpack_header(sys.stdin.buffer.read(wire.HEADER.size))[1])
sound(16_000, 16_000)
do = sys.argv[1]
if do == "crash": os.kill(os.getpid(), signal.SIGSEGV)
if do == "hang": time.sleep(600)
if do == "sound without times": sound(16_000, 100)
if do == "half a sample": os.write(1, wire.pack(wire.Kind.SOUND, bytes(4) + b"abc"))
if do == "a picture": say(wire.Kind.PICTURE, b"a picture")
if do == "no tally": pass
if do == "a tally of nothing": say(wire.Kind.TALLY, b"{}")
if do == "two tallies": say(wire.Kind.TALLY, TALLY)
if do == "sound after the tally": say(wire.Kind.TALLY, TALLY); sound(100, 100)
say(wire.Kind.TALLY, TALLY) if do != "no tally" else None
say(wire.Kind.END, b"{}")
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    "do",
    [
        *("crash", "hang", "sound without times", "half a sample", "a picture", "no tally", "a tally of nothing"),
        *("two tallies", "sound after the tally"),
    ],
)
async def test_a_decoder_that_misbehaves_costs_what_it_had_not_sent_and_says_so(tmp_path: Path, do: str) -> None:
    argv = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ROGUE}", do]
    limits = MediaLimits(wall_base_s=3.0 if do == "hang" else 60.0)
    path = tone(tmp_path / "a.wav", 1)
    async with DecoderPool(1, limits, argv) as pool:
        events = [event async for event in read_audio(pool, path, info_for(1.0, channels=2), (PCM,), limits)]
    (short,) = shortfalls_of(events)
    assert short.reason is (Reason.DECODER_TIMEOUT if do == "hang" else Reason.DECODER_CRASHED)
    assert short.detail.endswith("after 1.0 s of sound")
    assert len(samples_of(only_chunk(events))) == RATE
    assert tally_of(events) == AudioTally(0, 1.0, 1.0)
