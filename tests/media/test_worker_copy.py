"""Copied sound, decoded by whoever gets it, against the track decoded whole."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.cutting import FLICKS_PER_S
from batch_scan.media.interface import MediaLimits
from batch_scan.media.worker_copy import TrackCopy
from batch_scan.media.worker_open import LibavLog
from batch_scan.vocabulary import Reason
from tests.corpus_media import make

if TYPE_CHECKING:
    from pathlib import Path

    from av import AudioFrame

Samples = NDArray[np.float32]

LIMITS = MediaLimits()
WARM_UP_S = 1.0
"""Within the lead of a chunk a decoder has not all it needs, at 8 kbit/s for half a second; then it gives what it would
have given anyway."""
MP3 = ("-c:a", "libmp3lame")
AAC = ("-c:a", "aac", "-aac_pns", "0")
"""Noise is made up by the decoder, by chance."""


@pytest.fixture(scope="module")
def log() -> LibavLog:
    return LibavLog()


@dataclass
class Chunk:
    taker: int
    start_s: float
    end_s: float
    data: bytes


@dataclass
class Copied:
    """What came of one track."""

    chunks: list[Chunk] = field(default_factory=list)
    begins_s: float = 0.0
    tally: dict[str, Any] = field(default_factory=dict)
    parts: list[int] = field(default_factory=list)


def copy_of(
    path: Path,
    log: LibavLog,
    *bounds: tuple[float, int],
    codec: str = "mp3",
    track: int | None = None,
    max_s: float = LIMITS.max_duration_s,
    sent: list[bytes] | None = None,
) -> Copied:
    with av.open(path) as container:
        name, index = container.format.name, container.streams.audio[0].index if track is None else track
    request = {
        "path": str(path),
        "container": name,
        "track": index,
        "codec": codec,
        "bounds": bounds or ((3600.0, 20_000_000),),
        "max_s": max_s,
        "max_streams": LIMITS.max_streams,
        "max_pixels": LIMITS.max_pixels,
    }
    sent = [] if sent is None else sent
    TrackCopy(request, log, sent.append).run()
    copied, data = Copied(), b""
    for message in sent:
        kind, _ = wire.unpack_header(message[: wire.HEADER.size])
        if kind is wire.Kind.TALLY:
            copied.tally = wire.unpack_json(message[wire.HEADER.size :])
            continue
        part = wire.unpack_copied(message[wire.HEADER.size :])
        data += part.data
        copied.parts.append(len(part.data))
        copied.begins_s = part.begins / FLICKS_PER_S
        if part.is_last:
            copied.chunks.append(Chunk(part.taker, part.start / FLICKS_PER_S, part.end / FLICKS_PER_S, data))
            data = b""
    assert data == b""
    return copied


def all_of(opened: Path | io.BytesIO) -> tuple[Samples, int]:
    """Return everything that the frames of a file sound like, what gapless information leaves out included."""
    with av.open(opened, "r") as container:
        stream = container.streams.audio[0]
        stream.codec_context.flags2 |= 1 << 29  # AV_CODEC_FLAG2_SKIP_MANUAL
        frames: list[AudioFrame] = list(container.decode(stream))
        rate = stream.codec_context.sample_rate
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32), rate


def assert_is_all(copied: Copied, path: Path, *, overlap_s: float = 1.9) -> None:
    """Every sample of the track is in some chunk, and is what it is in the track."""
    whole, rate = all_of(path)
    reached_s = 0.0
    for number, chunk in enumerate(copied.chunks):
        pcm, own_rate = all_of(io.BytesIO(chunk.data))
        assert own_rate == rate
        assert len(pcm) / rate == pytest.approx(chunk.end_s - chunk.start_s, abs=1e-6)
        at = round(chunk.start_s * rate)
        warm = round(WARM_UP_S * rate) if number else 0
        assert np.array_equal(pcm[warm:], whole[at + warm : at + len(pcm)])
        assert number == 0 or reached_s - chunk.start_s >= overlap_s
        reached_s = chunk.end_s
    assert copied.chunks[0].start_s == 0
    assert reached_s * rate == pytest.approx(len(whole), abs=0.01)


def noise(path: Path, seconds: float, *args: str) -> Path:
    """Sound that never repeats itself, so that a piece of it fits in one place alone."""
    return make(path, "-f", "lavfi", "-i", f"anoisesrc=d={seconds}:c=pink:a=0.4:seed=7:r=44100", *args)


MADE = {
    "constant bit rate": ("a.mp3", "mp3", (*MP3, "-b:a", "64k")),
    "two channels, joint": ("a.mp3", "mp3", ("-ac", "2", *MP3, "-b:a", "128k", "-joint_stereo", "1")),
    "variable bit rate": ("a.mp3", "mp3", (*MP3, "-q:a", "6")),
    "the highest bit rate": ("a.mp3", "mp3", (*MP3, "-b:a", "320k")),
    "the lowest rate": ("a.mp3", "mp3", ("-ar", "8000", *MP3, "-b:a", "8k")),
    "without its length": ("a.mp3", "mp3", (*MP3, "-b:a", "64k", "-write_xing", "0")),
    "tags": ("a.mp3", "mp3", (*MP3, "-b:a", "64k", "-metadata", "title=x", "-id3v2_version", "4", "-write_id3v1", "1")),
    "mp3 in mp4": ("a.mp4", "mp3", (*MP3, "-b:a", "64k")),
    "mp3 in matroska": ("a.mkv", "mp3", (*MP3, "-q:a", "6")),
    "mp3 in a transport stream": ("a.ts", "mp3", (*MP3, "-b:a", "64k")),
    "mp3 in avi": ("a.avi", "mp3", (*MP3, "-b:a", "64k")),
    "aac": ("a.m4a", "aac", (*AAC, "-b:a", "64k")),
    "aac, two channels": ("a.m4a", "aac", ("-ac", "2", *AAC, "-b:a", "64k")),
    "aac in matroska": ("a.mkv", "aac", (*AAC, "-b:a", "64k")),
    "aac in a transport stream": ("a.ts", "aac", (*AAC, "-b:a", "64k")),
    "adts": ("a.aac", "aac", (*AAC, "-b:a", "64k")),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_track_that_fits_is_one_chunk_and_sounds_the_same(tmp_path: Path, log: LibavLog, kind: str) -> None:
    name, codec, args = MADE[kind]
    path = noise(tmp_path / name, 3, *args)
    copied = copy_of(path, log, codec=codec)
    assert len(copied.chunks) == 1
    assert_is_all(copied, path)
    assert {key: copied.tally[key] for key in ("still", "lost", "spoiled_s", "stray_s", "complaint", "late")} == {
        "still": 0,
        "lost": [],
        "spoiled_s": 0.0,
        "stray_s": 0.0,
        "complaint": "",
        "late": "",
    }


@pytest.mark.parametrize("kind", MADE)
def test_chunks_together_hold_every_sample_of_a_track(tmp_path: Path, log: LibavLog, kind: str) -> None:
    name, codec, args = MADE[kind]
    path = noise(tmp_path / name, 25, *args)
    copied = copy_of(path, log, (10.0, 20_000_000), codec=codec)
    assert len(copied.chunks) == 3
    assert all(chunk.end_s - chunk.start_s <= 10.0 for chunk in copied.chunks)
    assert_is_all(copied, path)


def test_takers_with_other_bounds_get_their_own_chunks_from_one_pass(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mp3", 40, *MP3, "-b:a", "128k")
    copied = copy_of(path, log, (3600.0, 20_000_000), (15.0, 20_000_000), (3600.0, 300_000))
    for taker, (number, max_bytes) in enumerate([(1, 20_000_000), (3, 20_000_000), (3, 300_000)]):
        own = Copied([chunk for chunk in copied.chunks if chunk.taker == taker])
        assert len(own.chunks) == number
        assert max(len(chunk.data) for chunk in own.chunks) <= max_bytes
        assert_is_all(own, path)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mp3", 25, *MP3, "-q:a", "6")
    first, second = (copy_of(path, log, (10.0, 20_000_000)) for _ in range(2))
    assert first == second


def test_large_chunks_come_in_parts(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mp3", 40, *MP3, "-b:a", "320k")
    copied = copy_of(path, log)
    assert copied.parts[0] == 1 << 20
    assert sum(copied.parts) == len(copied.chunks[0].data) > 1 << 20


def test_a_chunk_of_a_variable_bit_rate_tells_its_true_length(tmp_path: Path, log: LibavLog) -> None:
    source = "aevalsrc='0.4*sin(2000*t)*gt(mod(t,8),4)':d=40:s=44100"
    path = make(tmp_path / "a.mp3", "-f", "lavfi", "-i", source, *MP3, "-q:a", "4")
    for chunk in copy_of(path, log, (15.0, 20_000_000)).chunks:
        with av.open(io.BytesIO(chunk.data), "r") as container:
            told_s = (container.duration or 0) / 1_000_000
        assert told_s == pytest.approx(chunk.end_s - chunk.start_s, abs=0.15)


def test_sound_that_begins_after_the_pictures_keeps_its_times(tmp_path: Path, log: LibavLog) -> None:
    path = make(
        tmp_path / "a.mkv",
        *("-f", "lavfi", "-i", "color=s=64x64:r=10:d=8"),
        *("-itsoffset", "3", "-f", "lavfi", "-i", "sine=d=4", "-map", "0", "-map", "1", "-c:v", "mpeg4", *MP3),
    )
    copied = copy_of(path, log)
    assert copied.begins_s == pytest.approx(3.0, abs=0.06)
    assert copied.chunks[0].end_s == pytest.approx(4.0, abs=0.08)


# -------------------------------------------------------------------------------------------------------- what is wrong


def test_a_track_that_is_cut_off_is_copied_as_far_as_it_goes(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mp3", 20, *MP3, "-b:a", "64k")
    path.write_bytes(path.read_bytes()[:80_000])
    copied = copy_of(path, log)
    assert copied.tally["heard"] / FLICKS_PER_S == pytest.approx(10.0, abs=0.1)


def test_bytes_that_are_no_frames_are_counted_by_the_time_they_stand_for(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mp3", 20, *MP3, "-b:a", "64k", "-write_xing", "0")
    content = bytearray(path.read_bytes())
    content[60_000:100_000] = bytes(40_000)
    path.write_bytes(content)
    tally = copy_of(path, log).tally
    assert tally["stray_s"] + tally["heard"] / FLICKS_PER_S == pytest.approx(20.0, abs=0.2)
    assert tally["stray_s"] == pytest.approx(5.0, abs=0.2)
    assert tally["complaint"]


def test_bytes_behind_the_last_frame_are_counted_apart(tmp_path: Path, log: LibavLog) -> None:
    """Tags stand there, with pictures in them; what is declared tells whether it is sound that is missing."""
    path = noise(tmp_path / "a.mp3", 20, *MP3, "-b:a", "64k")
    path.write_bytes(path.read_bytes() + bytes(range(250)) * 240)
    tally = copy_of(path, log).tally
    assert tally["stray_s"] == 0.0
    assert tally["stray_after_s"] == pytest.approx(7.5, abs=0.2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["a.m4a", "a.aac"])
def test_packets_whose_content_is_no_sound_are_counted_whatever_their_headers_say(
    tmp_path: Path, log: LibavLog, name: str, channels: int
) -> None:
    """Blocks that never arrived are zeros in files that were fetched in pieces."""
    path = noise(tmp_path / name, 20, "-ac", str(channels), *AAC, "-b:a", "64k")
    with av.open(path) as container:
        frames = [packet.pos or 0 for packet in container.demux(audio=0) if packet.size]
    content = bytearray(path.read_bytes())
    header_bytes = 7 if name == "a.aac" else 0
    for at, following in pairwise(frames[200:300]):
        content[at + header_bytes : following] = bytes(following - at - header_bytes)
    path.write_bytes(content)
    copied = copy_of(path, log, codec="aac")
    assert len(copied.chunks) == 1, "a break would be a request more"
    assert copied.tally["spoiled_s"] == pytest.approx(99 * 1024 / 44_100, abs=0.01)
    assert copied.tally["stray_s"] == 0.0


def test_a_track_whose_settings_change_is_left_there(tmp_path: Path, log: LibavLog) -> None:
    one, other = (
        make(tmp_path / f"{rate}.flv", "-f", "lavfi", "-i", f"anoisesrc=d=5:r={rate}", *AAC)
        for rate in (44_100, 22_050)
    )
    path = tmp_path / "a.flv"
    path.write_bytes(one.read_bytes() + delayed_flv(other.read_bytes(), 5_000))
    sent: list[bytes] = []
    with pytest.raises(MediaError, match="copy_sound = false") as caught:
        copy_of(path, log, codec="aac", sent=sent)
    assert caught.value.reason is Reason.DAMAGED
    (message,) = sent
    assert wire.unpack_copied(message[wire.HEADER.size :]).end / FLICKS_PER_S == pytest.approx(5.0, abs=0.1)


def delayed_flv(content: bytes, by_ms: int) -> bytes:
    """Return the sound of an FLV file, begun later."""
    delayed, at = bytearray(), 13
    while at < len(content):
        end = at + 11 + int.from_bytes(content[at + 1 : at + 4], "big") + 4
        tag = bytearray(content[at:end])
        if tag[0] == 8:
            tag[4:7] = (int.from_bytes(tag[4:7], "big") + by_ms).to_bytes(3, "big")
            delayed += tag
        at = end
    return bytes(delayed)


def test_times_that_fall_back_are_no_complaint(tmp_path: Path, log: LibavLog) -> None:
    once = noise(tmp_path / "once.ts", 12, *MP3, "-b:a", "64k")
    path = tmp_path / "a.ts"
    path.write_bytes(once.read_bytes() * 2)
    copied = copy_of(path, log)
    assert copied.chunks[0].end_s == pytest.approx(24.0, abs=0.15)
    assert copied.tally["complaint"] == ""


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
def test_what_a_container_trims_is_not_cut_off_elsewhere(tmp_path: Path, log: LibavLog, rate_hz: int) -> None:
    """libav makes of an end to be trimmed, without a beginning to be trimmed, one that is: 4,096 samples."""
    trimmed = noise(tmp_path / "a.mp3", 5, "-ar", str(rate_hz), *MP3, "-b:a", "16k")
    path = make(tmp_path / "a.mkv", "-i", str(trimmed), "-c", "copy")
    (chunk,) = copy_of(path, log).chunks
    with av.open(io.BytesIO(chunk.data), "r") as container:
        heard = sum(frame.samples for frame in container.decode(audio=0))
    assert heard >= 5 * rate_hz


def test_recordings_that_were_joined_are_parted_where_the_rate_changes(tmp_path: Path, log: LibavLog) -> None:
    first = noise(tmp_path / "1.mp3", 5, *MP3, "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0")
    second = noise(
        tmp_path / "2.mp3", 7, "-ar", "22050", *MP3, "-b:a", "48k", "-write_xing", "0", "-id3v2_version", "0"
    )
    path = tmp_path / "a.mp3"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    copied = copy_of(path, log)
    one, other = copied.chunks
    for chunk, own, rate in ((one, first, 44_100), (other, second, 22_050)):
        pcm, own_rate = all_of(io.BytesIO(chunk.data))
        assert own_rate == rate
        assert np.array_equal(pcm, all_of(own)[0])
    assert other.start_s == one.end_s
    assert other.end_s == pytest.approx(12.0, abs=0.15)


def test_a_hole_in_the_times_parts_chunks_and_is_told(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mkv", 20, *MP3, "-b:a", "64k", "-bsf:a", "noise=drop=between(n\\,200\\,300)")
    copied = copy_of(path, log)
    (before, after), length_s = copied.chunks, 101 * 1152 / 44_100
    assert after.start_s - before.end_s == pytest.approx(length_s, abs=0.01)
    assert copied.tally["still"] / FLICKS_PER_S == pytest.approx(length_s, abs=0.01)
    assert before.end_s == pytest.approx(200 * 1152 / 44_100, abs=0.01)


def with_times_of(content: bytes, moved: dict[int, int]) -> bytes:
    """Return an FLV file whose sound tags, by number, are said to come later by so many milliseconds."""
    changed, at, number = bytearray(content), 13, 0
    while at < len(content):
        if content[at] == 8:
            time_ms = int.from_bytes(content[at + 7 : at + 8] + content[at + 4 : at + 7], "big") + moved.get(number, 0)
            changed[at + 4 : at + 8] = (time_ms & 0xFFFFFF).to_bytes(3, "big") + bytes([time_ms >> 24])
            number += 1
        at += 11 + int.from_bytes(content[at + 1 : at + 4], "big") + 4
    return bytes(changed)


@pytest.mark.parametrize(("number", "by_ms"), [(100, 3_600_000), (100, 1000), (-1, 3_600_000)])
def test_one_wrong_time_is_no_hole(tmp_path: Path, log: LibavLog, number: int, by_ms: int) -> None:
    whole = noise(tmp_path / "whole.flv", 12, *MP3, "-b:a", "64k")
    with av.open(whole) as container:
        packets = sum(packet.size > 0 for packet in container.demux(audio=0))
    path = tmp_path / "a.flv"
    path.write_bytes(with_times_of(whole.read_bytes(), {number % packets: by_ms}))
    copied = copy_of(path, log)
    (chunk,) = copied.chunks
    assert chunk.end_s == pytest.approx(12.0, abs=0.1)
    assert (copied.tally["still"], copied.tally["lost"], copied.tally["frames"]) == (0, [], packets)
    assert_is_all(copied, whole)


def test_times_that_leap_and_stay_there_are_a_hole(tmp_path: Path, log: LibavLog) -> None:
    whole = noise(tmp_path / "whole.flv", 12, *MP3, "-b:a", "64k")
    path = tmp_path / "a.flv"
    path.write_bytes(with_times_of(whole.read_bytes(), dict.fromkeys(range(100, 1000), 5000)))
    copied = copy_of(path, log)
    before, after = copied.chunks
    assert after.start_s - before.end_s == pytest.approx(5.0, abs=0.1)
    assert copied.tally["still"] / FLICKS_PER_S == pytest.approx(5.0, abs=0.1)


def test_a_track_of_pieces_is_left(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mkv", 130, *MP3, "-b:a", "32k", "-bsf:a", "noise=drop=lt(mod(n\\,30)\\,12)")
    with pytest.raises(MediaError, match="copy_sound = false") as caught:
        copy_of(path, log)
    assert caught.value.reason is Reason.DAMAGED


def test_more_than_a_file_may_have_is_left(tmp_path: Path, log: LibavLog) -> None:
    copied = copy_of(noise(tmp_path / "a.mp3", 20, *MP3, "-b:a", "32k"), log, max_s=12.0)
    assert copied.tally["too_long"]
    assert 11.9 < copied.chunks[-1].end_s <= 12.0


def test_aac_that_adts_has_no_place_for_is_not_copied(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.m4a", 2, *AAC)
    content = path.read_bytes()
    config = content.index(b"\x05\x80\x80\x80", content.index(b"esds")) + 5  # AudioSpecificConfig
    changed = bytes([content[config], content[config + 1] | 0x04])  # frames of 960 samples
    path.write_bytes(content[:config] + changed + content[config + 2 :])
    copied = copy_of(path, log, codec="aac")
    assert copied.chunks == []
    assert "ADTS" in copied.tally["not_copied"]


def test_a_track_that_does_not_begin_with_a_frame_is_not_copied(tmp_path: Path, log: LibavLog) -> None:
    path = noise(tmp_path / "a.mkv", 2, "-c:a", "mp2")
    copied = copy_of(path, log, codec="mp3")
    assert copied.chunks == []
    assert "frame" in copied.tally["not_copied"]


def test_a_track_that_is_gone_is_said(tmp_path: Path, log: LibavLog) -> None:
    with pytest.raises(MediaError) as caught:
        copy_of(noise(tmp_path / "a.mp3", 1, *MP3), log, track=4)
    assert caught.value.reason is Reason.CHANGED
