"""Samples and times of a worker, against the ffmpeg program with the same filters."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.interface import MediaLimits
from batch_scan.media.mix import keep_channels
from batch_scan.media.runner import ffmpeg_exe
from batch_scan.media.worker_open import LibavLog
from batch_scan.media.worker_sound import TrackSound
from batch_scan.vocabulary import Reason
from tests.corpus_media import corrupted, make, numbered_source, tone

if TYPE_CHECKING:
    from pathlib import Path

Samples = NDArray[np.int16]

RATE = 16_000
SHOWN = re.compile(r"\bpts:(-?\d+) .*\bnb_samples:(\d+)")
LIMITS = MediaLimits()


@pytest.fixture(scope="module")
def log() -> LibavLog:
    return LibavLog()


@dataclass
class Heard:
    """What came of one track."""

    pcm: Samples
    stamps: list[wire.Stamp] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    tally: dict[str, Any] = field(default_factory=dict)


def by_worker(
    path: Path, log: LibavLog, channels: int, rate_hz: int = RATE, block: int = 10 * RATE, *, track: int = 0
) -> Heard:
    with av.open(path) as container:
        name = container.format.name
    request = {
        "path": str(path),
        "container": name,
        "track": track,
        "rate_hz": rate_hz,
        "channels": channels,
        "pan": keep_channels(channels),
        "block_samples": block,
        "max_streams": LIMITS.max_streams,
        "max_pixels": LIMITS.max_pixels,
    }
    sent: list[bytes] = []
    TrackSound(request, log, sent.append).run()
    heard = Heard(np.empty((0, channels), np.int16))
    for message in sent:
        kind, _ = wire.unpack_header(message[: wire.HEADER.size])
        if kind is wire.Kind.TALLY:
            heard.tally = wire.unpack_json(message[wire.HEADER.size :])
            continue
        sound = wire.unpack_sound(message[wire.HEADER.size :])
        frames = np.frombuffer(sound.pcm, "<i2").reshape(-1, channels)
        heard.pcm = np.concatenate([heard.pcm, frames])
        heard.stamps += sound.stamps
        heard.sizes.append(len(frames))
    return heard


def by_program(path: Path, channels: int, rate_hz: int = RATE, *, track: int = 0) -> Heard:
    filters = (
        f"aformat=sample_fmts=fltp,{keep_channels(channels)},aresample={rate_hz},aformat=sample_fmts=s16,"
        f"asetnsamples=n={rate_hz // 4}:p=0,ashowinfo"
    )
    head = [ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "info", "-threads", "1", "-i", f"file:{path}"]
    words = [*head, "-copyts", "-map", f"0:{track}", "-af", filters, "-f", "s16le", "pipe:1"]
    done = subprocess.run(words, capture_output=True, check=True)
    start = re.search(r"start: (-?[\d.]+)", done.stderr.decode())
    first = round(float(start[1]) * rate_hz) if start else 0
    shown = SHOWN.findall(done.stderr.decode())
    stamps = [wire.Stamp(int(pts) - first, int(samples), complained=False) for pts, samples in shown]
    return Heard(np.frombuffer(done.stdout, "<i2").reshape(-1, channels), stamps)


def noisy(path: Path, rate_hz: int, channels: int, *args: str) -> Path:
    """Sweeps and noise, each channel its own."""
    voices = "|".join(f"0.3*sin(2*PI*({300 + 90 * at}+{20 + at}*t)*t)+0.1*(random({at})-0.5)" for at in range(channels))
    layout = {1: "mono", 2: "stereo", 6: "5.1", 24: "22.2"}[channels]
    return make(path, "-f", "lavfi", "-i", f"aevalsrc='{voices}':s={rate_hz}:c={layout}:d=3.3", *args)


KINDS = {
    "PCM 8 kHz mono": ("a.wav", 8000, 1, ("-c:a", "pcm_u8")),
    "PCM 48 kHz": ("a.wav", 48_000, 2, ()),
    "PCM 24 bit, 96 kHz": ("a.wav", 96_000, 2, ("-c:a", "pcm_s24le")),
    "PCM float 5.1": ("a.wav", 48_000, 6, ("-c:a", "pcm_f32le")),
    "PCM of 24 channels": ("a.wav", 16_000, 24, ()),
    "PCM at the rate wanted": ("a.wav", 16_000, 2, ()),
    "AAC in a transport stream": ("a.ts", 44_100, 2, ("-c:a", "aac")),
    "AAC 5.1": ("a.mkv", 48_000, 6, ("-c:a", "aac")),
    "AAC mono 22 kHz": ("a.mkv", 22_050, 1, ("-c:a", "aac")),
    "AAC alone": ("a.aac", 44_100, 2, ()),
    "AAC in Flash": ("a.flv", 44_100, 2, ("-c:a", "aac")),
    "MP3": ("a.mp3", 44_100, 2, ()),
    "MP3 mono 16 kHz": ("a.mp3", 16_000, 1, ()),
    "Opus": ("a.webm", 48_000, 2, ("-c:a", "libopus")),
    "Opus in Ogg": ("a.opus", 48_000, 1, ()),
    "Vorbis": ("a.ogg", 44_100, 2, ("-c:a", "libvorbis")),
    "FLAC 96 kHz": ("a.flac", 96_000, 2, ()),
    "AC-3 5.1": ("a.ac3", 48_000, 6, ()),
    "E-AC-3": ("a.mkv", 48_000, 2, ("-c:a", "eac3")),
    "MP2": ("a.ts", 48_000, 2, ("-c:a", "mp2")),
    "WMA": ("a.wma", 44_100, 2, ()),
    "ADPCM": ("a.wav", 44_100, 2, ("-c:a", "adpcm_ima_wav")),
    "ALAC": ("a.m4a", 44_100, 2, ("-c:a", "alac")),
    "A-law": ("a.wav", 8000, 1, ("-c:a", "pcm_alaw")),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_samples_and_times_are_those_of_the_ffmpeg_program(tmp_path: Path, log: LibavLog, kind: str) -> None:
    name, rate_hz, channels, args = KINDS[kind]
    path = noisy(tmp_path / name, rate_hz, channels, *args)
    ours, theirs = by_worker(path, log, max(channels, 2)), by_program(path, max(channels, 2))
    assert np.array_equal(ours.pcm, theirs.pcm)
    assert [stamp.samples for stamp in ours.stamps] == [stamp.samples for stamp in theirs.stamps]
    apart = [abs(one.at - other.at) for one, other in zip(ours.stamps, theirs.stamps, strict=True)]
    assert max(apart) <= RATE // 50  # a container that counts in milliseconds leaves room for either
    assert not any(stamp.complained for stamp in ours.stamps)
    assert ours.tally["refused"] == 0


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "eac3"])
def test_of_an_mp4_the_frame_that_its_sound_ends_in_is_heard_whole(tmp_path: Path, log: LibavLog, codec: str) -> None:
    """libavformat 62.12, which PyAV carries, hands on the whole of it; the program's 63 cuts it where the MP4 says.

    All before is the same. Resampling looks ahead, so that the cut changes the last 16 to 25 samples before it.
    """
    path = noisy(tmp_path / "a.mp4", 48_000, 2, "-c:a", codec)
    ours, theirs = by_worker(path, log, 2).pcm, by_program(path, 2).pcm
    same = len(theirs) - 32
    assert np.array_equal(ours[:same], theirs[:same])
    assert 0 <= len(ours) - len(theirs) <= 1536 * RATE // 48_000


H264 = ("-c:v", "libx264", "-bf", "3", "-c:a", "libmp3lame")
FILMS = {
    "a.mp4": H264,
    "a.mov": H264,
    "fragments.mp4": (*H264, "-g", "20", "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=4"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12"),
    "a.mkv": H264,
    "a.webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "a.ts": H264,
    "a.avi": H264,
    "a.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"),
}


@pytest.mark.parametrize("delay_s", ["0", "1.5", "-0.5"])
@pytest.mark.parametrize("name", list(FILMS))
def test_times_beside_pictures_are_those_of_the_ffmpeg_program(
    tmp_path: Path, log: LibavLog, name: str, delay_s: str
) -> None:
    late = ("-itsoffset", delay_s, "-f", "lavfi", "-i", "sine=f=440:d=4:r=48000", "-ac", "2")
    path = make(tmp_path / name, *numbered_source(4, 25), *late, *FILMS[name])
    with av.open(path) as container:
        track = container.streams.audio[0].index
    ours, theirs = by_worker(path, log, 2, track=track), by_program(path, 2, track=track)
    apart = [abs(one.at - other.at) for one, other in zip(ours.stamps, theirs.stamps, strict=False)]
    assert len(apart) > 10
    assert max(apart) <= RATE // 50
    same = min(len(ours.pcm), len(theirs.pcm)) - 32
    assert np.array_equal(ours.pcm[:same], theirs.pcm[:same])
    assert abs(len(ours.pcm) - len(theirs.pcm)) <= 1536 * RATE // 48_000


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 24_000, 48_000])
def test_every_rate_that_is_wanted_comes_as_from_the_program(tmp_path: Path, log: LibavLog, rate_hz: int) -> None:
    path = noisy(tmp_path / "a.mp3", 44_100, 2)
    assert np.array_equal(by_worker(path, log, 2, rate_hz).pcm, by_program(path, 2, rate_hz).pcm)


def test_blocks_have_the_size_asked_for_and_times_come_no_later_than_their_samples(
    tmp_path: Path, log: LibavLog
) -> None:
    path = tone(tmp_path / "a.wav", 9)
    heard = by_worker(path, log, 2, block=22_222)
    assert heard.sizes == [22_222] * 6 + [9 * RATE - 6 * 22_222]
    assert np.array_equal(heard.pcm, by_worker(path, log, 2).pcm)
    assert sum(stamp.samples for stamp in heard.stamps) == len(heard.pcm)


def test_a_stream_that_changes_its_shape_keeps_all_of_its_sound_and_its_times(tmp_path: Path, log: LibavLog) -> None:
    shapes = [("48000", "2"), ("48000", "6"), ("32000", "1"), ("44100", "2"), ("48000", "1")]
    parts = [
        tone(tmp_path / f"{at}.ac3", 2, "-ar", rate, "-ac", channels).read_bytes()
        for at, (rate, channels) in enumerate(shapes)
    ]
    path = tmp_path / "a.ac3"
    path.write_bytes(b"".join(parts))
    heard = by_worker(path, log, 2)
    assert len(heard.pcm) == pytest.approx(10 * RATE, abs=RATE // 5)
    ends = [stamp.at + stamp.samples for stamp in heard.stamps]
    assert max(abs(stamp.at - end) for stamp, end in zip(heard.stamps[1:], ends, strict=False)) < RATE // 4


def test_damage_is_counted_and_what_comes_after_it_says_so(tmp_path: Path, log: LibavLog) -> None:
    path = noisy(tmp_path / "a.mkv", 44_100, 2, "-c:a", "aac", "-write_crc32", "0")
    heard = by_worker(corrupted(path, tmp_path / "b.mkv", 0.4, 0.6), log, 2)
    assert heard.tally["complaint"]
    assert not heard.stamps[0].complained
    assert heard.stamps[-1].complained


def test_more_channels_than_any_filter_takes_are_refused_each_and_counted(tmp_path: Path, log: LibavLog) -> None:
    data = bytearray(tone(tmp_path / "a.wav", 1, "-bitexact").read_bytes())
    at = data.index(b"fmt ") + 8
    data[at + 2 : at + 4] = (100).to_bytes(2, "little")
    data[at + 8 : at + 14] = (44_100 * 200).to_bytes(4, "little") + (200).to_bytes(2, "little")
    path = tmp_path / "b.wav"
    path.write_bytes(data)
    heard = by_worker(path, log, 64)
    assert not len(heard.pcm)
    assert heard.tally["refused"] > heard.tally["frames"] == 0
    assert heard.tally["complaint"]


@pytest.mark.parametrize("kind", [("a.flac", "-c:a", "flac", "-frame_size", "65535"), ("a.wv", "-c:a", "wavpack")])
def test_a_long_first_packet_is_no_lost_beginning(tmp_path: Path, log: LibavLog, kind: tuple[str, ...]) -> None:
    name, *args = kind
    heard = by_worker(make(tmp_path / name, "-f", "lavfi", "-i", "sine=d=14", "-ar", "8000", *args), log, 1)
    assert heard.tally["unheard_before_s"] == 0
    assert len(heard.pcm) == pytest.approx(14 * RATE, abs=10)


def test_times_before_zero_make_the_delay_of_a_decoder_no_longer(tmp_path: Path, log: LibavLog) -> None:
    args = ("-c:a", "aac", "-muxdelay", "0", "-output_ts_offset", "95437.7")
    path = make(tmp_path / "a.ts", "-f", "lavfi", "-i", "sine=d=14", *args)
    with av.open(path) as container:
        assert container.streams[0].start_time is not None
        assert container.streams[0].start_time < 0  # its clock goes round on the way
    assert by_worker(path, log, 1).tally["unheard_before_s"] < 0.1


def test_a_track_that_is_not_sound_is_told_apart(tmp_path: Path, log: LibavLog) -> None:
    path = make(tmp_path / "a.mp4", "-f", "lavfi", "-i", "color=s=64x64:d=1")
    with pytest.raises(MediaError) as failure:
        by_worker(path, log, 2)
    assert failure.value.reason is Reason.CHANGED
