from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch_scan.media.audio import read_audio
from batch_scan.media.copied import why_decoded
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.interface import AudioCodec, AudioSpec, AudioTally, Chunk, MediaLimits, Silence
from batch_scan.media.probe import probe
from batch_scan.media.ways import SoundWork
from batch_scan.model import AudioTrack, MediaInfo, Shortfall
from batch_scan.vocabulary import Reason
from tests.corpus_media import corrupted, make, silence

if TYPE_CHECKING:
    from pathlib import Path

Event = Chunk | Silence | Shortfall | AudioTally

SPEC = AudioSpec(AudioCodec.MP3, copies=("mp3", "aac"))
MP3_ONLY = replace(SPEC, copies=("mp3",))
TRACK = AudioTrack(0, "mp3", 2, 44_100, 60.0)
MP3 = ("-c:a", "libmp3lame", "-b:a", "64k")


async def heard(path: Path, *specs: AudioSpec, limits: MediaLimits | None = None) -> list[Event]:
    limits = limits or MediaLimits()
    async with DecoderPool(1, limits) as pool:
        info = await probe(pool, path, limits)
        return [event async for event in read_audio(pool, path, info, specs or (SPEC,), limits)]


def chunks_of(events: list[Event], spec: AudioSpec = SPEC) -> list[Chunk]:
    return [event for event in events if isinstance(event, Chunk) and event.spec == spec]


def shortfalls_of(events: list[Event]) -> list[str]:
    return [event.detail for event in events if isinstance(event, Shortfall) and event.reason is Reason.DAMAGED]


def tally_of(events: list[Event]) -> AudioTally:
    assert isinstance(events[-1], AudioTally)
    return events[-1]


def noise(path: Path, seconds: float, *args: str) -> Path:
    return make(path, "-f", "lavfi", "-i", f"anoisesrc=d={seconds}:c=pink:a=0.4:seed=7:r=44100", *args)


# ------------------------------------------------------------------------------------------------------ what is copied


async def test_sound_that_everybody_takes_undecoded_is_copied(tmp_path: Path) -> None:
    events = await heard(noise(tmp_path / "a.mp3", 20, *MP3))
    (chunk,) = chunks_of(events)
    sample = chunk.sample
    assert (sample.copied, sample.mime, sample.start_s, sample.track) == (True, "audio/mpeg", 0.0, 0)
    assert sample.end_s == pytest.approx(20.0, abs=0.1)
    tally = tally_of(events)
    assert events == [chunk, tally]
    assert tally.work == SoundWork(0, copied_s=tally.decoded_s)
    assert tally.decoded_s == sample.end_s


async def test_takers_get_chunks_of_their_own_sizes(tmp_path: Path) -> None:
    short = replace(SPEC, max_s=12.0)
    events = await heard(noise(tmp_path / "a.mp3", 30, *MP3), SPEC, short, SPEC)
    assert (len(chunks_of(events)), len(chunks_of(events, short))) == (1, 3)
    for one, other in zip(chunks_of(events, short), chunks_of(events, short)[1:], strict=False):
        assert other.sample.start_s < one.sample.end_s < other.sample.end_s


async def test_a_cover_and_tags_are_not_handed_on(tmp_path: Path) -> None:
    cover = make(tmp_path / "cover.png", "-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", "1")
    words = ("-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic")
    path = noise(tmp_path / "a.mp3", 5, *words, *MP3, "-metadata", "title=Jane Doe", "-write_id3v1", "1")
    (chunk, tally) = await heard(path)
    assert isinstance(chunk, Chunk)
    assert isinstance(tally, AudioTally)
    assert chunk.sample.copied
    data = chunk.sample.data or b""
    assert (b"Jane Doe" in path.read_bytes(), b"Jane Doe" in data, b"PNG" in data) == (True, False, False)
    assert tally.decoded_s == pytest.approx(5.0, abs=0.1)


async def test_silence_is_copied_too(tmp_path: Path) -> None:
    events = await heard(silence(tmp_path / "a.mp3", 10))
    assert len(chunks_of(events)) == 1
    assert not any(isinstance(event, Silence) for event in events)


async def test_one_taker_who_needs_samples_has_it_decoded_for_all(tmp_path: Path) -> None:
    samples = AudioSpec(AudioCodec.PCM)
    events = await heard(noise(tmp_path / "a.mp3", 3, *MP3), SPEC, samples)
    assert [chunk.sample.copied for spec in (SPEC, samples) for chunk in chunks_of(events, spec)] == [False, False]
    assert tally_of(events).work == SoundWork(0, because="not everybody takes mp3 undecoded")


async def test_where_nobody_takes_copies_nothing_is_said_of_them(tmp_path: Path) -> None:
    events = await heard(noise(tmp_path / "a.mp3", 3, *MP3), replace(SPEC, copies=()))
    assert tally_of(events).work is None


async def test_every_track_goes_its_own_way(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.mkv", 3, "-map", "0", "-map", "0", "-c:a:0", "libmp3lame", "-c:a:1", "aac")
    events = await heard(path, MP3_ONLY)
    assert [(chunk.sample.track, chunk.sample.copied) for chunk in chunks_of(events, MP3_ONLY)] == [
        (0, True),
        (1, False),
    ]
    first, second = (event.work for event in events if isinstance(event, AudioTally))
    assert first is not None
    assert first.copied_s == pytest.approx(3.0, abs=0.1)
    assert second == SoundWork(1, because="aac is taken by nobody undecoded")


async def test_what_turns_out_not_to_be_copyable_is_decoded(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.m4a", 3, "-c:a", "aac")
    content = path.read_bytes()
    config = content.index(b"\x05\x80\x80\x80", content.index(b"esds")) + 5
    changed = bytes([content[config] & 0x07 | 5 << 3, content[config + 1]])  # spectral band replication, badly told
    path.write_bytes(content[:config] + changed + content[config + 2 :])
    events = await heard(path)
    assert not any(chunk.sample.copied for chunk in chunks_of(events))
    work = tally_of(events).work
    assert work is not None
    assert (work.copied_s, bool(work.because)) == (0.0, True)


@pytest.mark.parametrize(
    ("track", "specs", "why"),
    [
        (TRACK, (SPEC,), ""),
        (TRACK, (SPEC, MP3_ONLY), ""),
        (replace(TRACK, codec="aac"), (SPEC, MP3_ONLY), "not everybody takes aac undecoded"),
        (replace(TRACK, codec="opus"), (SPEC,), "opus is taken by nobody undecoded"),
        (replace(TRACK, codec="flac"), (replace(SPEC, copies=("flac",)),), "flac cannot be parted undecoded"),
        (replace(TRACK, channels=6), (SPEC,), "it has 6 channels, which are mixed here"),
        (replace(TRACK, channels=0), (SPEC,), "it has 0 channels, which are mixed here"),
        (TRACK, (replace(SPEC, max_s=5.0),), "it is taken in chunks that are too small"),
    ],
)
def test_why_a_track_is_decoded(track: AudioTrack, specs: tuple[AudioSpec, ...], why: str) -> None:
    assert why_decoded(track, specs) == why


# ------------------------------------------------------------------------------------------------- never a silent clean


async def test_a_file_that_is_cut_off_falls_short(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.mp3", 20, *MP3)
    path.write_bytes(path.read_bytes()[:80_000])
    events = await heard(path)
    (gap,) = shortfalls_of(events)
    assert gap.startswith("sound found to 10.0 s of 20.0 s declared")
    tally = tally_of(events)
    assert tally.planned_s == pytest.approx(20.0, abs=0.1)
    assert tally.decoded_s == pytest.approx(10.0, abs=0.1)


async def test_bytes_that_are_no_sound_fall_short(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.mp3", 20, *MP3, "-write_xing", "0")
    content = bytearray(path.read_bytes())
    content[60_000:100_000] = bytes(40_000)
    path.write_bytes(content)
    assert any("no sound that can be read, as many as 5.0 s" in gap for gap in shortfalls_of(await heard(path)))


async def test_sound_that_is_encrypted_falls_short(tmp_path: Path) -> None:
    """Its packets have their sizes and times like any, and half of them begin like sound."""
    path = noise(tmp_path / "a.mka", 20, "-c:a", "aac", "-bsf:a", "noise=amount=gt(n\\,100)")
    events = await heard(path)
    assert any("corrupt, and were handed on" in gap for gap in shortfalls_of(events))
    assert len(chunks_of(events)) == 1


@pytest.mark.parametrize(("name", "falls_short"), [("a.mp3", False), ("a.nut", True)])
async def test_bytes_behind_the_last_frame_fall_short_where_nothing_tells_how_long_the_sound_is(
    tmp_path: Path, name: str, *, falls_short: bool
) -> None:
    """A tag with a picture stands behind an MP3; of a stream that declares nothing nobody knows what it was."""
    spoiled_end = ("-bsf:a", "noise=amount=gt(n\\,575)") if falls_short else ()
    path = noise(tmp_path / name, 20, *MP3, *spoiled_end)
    if not falls_short:
        path.write_bytes(path.read_bytes() + bytes(range(250)) * 60)
    assert bool(shortfalls_of(await heard(path))) is falls_short


async def test_lost_packets_of_a_transport_stream_fall_short(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.ts", 20, *MP3)
    content = path.read_bytes()
    third = len(content) // 188 // 3 * 188
    path.write_bytes(content[:third] + content[third * 2 :])
    events = await heard(path)
    gaps = shortfalls_of(events)
    assert any("are missing at" in gap or "found to" in gap for gap in gaps)
    assert all(chunk.sample.copied for chunk in chunks_of(events))


async def test_noise_in_the_bytes_is_told_where_it_shows_in_the_packets(tmp_path: Path) -> None:
    path = corrupted(noise(tmp_path / "good.ts", 20, "-c:a", "aac"), tmp_path / "a.ts", 0.4, 0.6)
    assert shortfalls_of(await heard(path))


async def test_more_than_a_file_may_have_is_told(tmp_path: Path) -> None:
    events = await heard(noise(tmp_path / "a.mp3", 20, *MP3), limits=MediaLimits(max_duration_s=12.0))
    (gap,) = (event for event in events if isinstance(event, Shortfall))
    assert gap.reason is Reason.TOO_LONG
    assert chunks_of(events)[-1].sample.end_s <= 12.0


# ------------------------------------------------------------------------------------------- a worker that is not ours

ROGUE = """
import os, signal, sys
from batch_scan.media import wire

S = 705_600_000
def say(kind, body): os.write(1, wire.pack(kind, body))
def chunk(start, end, *, taker=0, is_last=True, size=1000):
    os.write(1, wire.pack_copied(wire.Copied(taker, 0, start * S, end * S, is_last, bytes(size))))
def tally(**told): os.write(1, wire.pack_json(wire.Kind.TALLY, {"frames": 9, "heard": 10 * S} | told))

say(wire.Kind.END, b"{}")
sys.stdin.buffer.read(wire.unpack_header(sys.stdin.buffer.read(wire.HEADER.size))[1])
chunk(0, 10)
do = sys.argv[1]
if do == "crash": os.kill(os.getpid(), signal.SIGSEGV)
if do == "half a chunk": chunk(9, 20, is_last=False)
if do == "the same again": chunk(2, 10)
if do == "another taker": chunk(9, 20, taker=7)
if do == "too much": [chunk(9, 20, is_last=False, size=1 << 20) for _ in range(30)]
if do == "beyond the end of the day": chunk(9, 1_000_000)
if do == "more than it sent": tally(heard=20 * S)
if do == "not copied after all": tally(not_copied="no", heard=0)
if do == "a sound": say(wire.Kind.SOUND, bytes(100))
if do == "chunk after the tally": tally(); chunk(9, 20)
if do != "no tally": tally()
say(wire.Kind.END, b"{}")
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    "do",
    [
        *("crash", "half a chunk", "the same again", "another taker", "too much", "beyond the end of the day"),
        *("more than it sent", "not copied after all", "a sound", "chunk after the tally", "no tally"),
    ],
)
async def test_a_worker_that_misbehaves_costs_what_it_had_not_sent_and_says_so(tmp_path: Path, do: str) -> None:
    argv = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ROGUE}", do]
    limits = MediaLimits()
    info = MediaInfo("mp3", 10.0, (replace(TRACK, duration_s=10.0),))
    async with DecoderPool(1, limits, argv) as pool:
        events = [event async for event in read_audio(pool, tmp_path / "a.mp3", info, (SPEC,), limits)]
    chunk, short, tally = events
    assert isinstance(chunk, Chunk)
    assert isinstance(short, Shortfall)
    assert short.reason is Reason.DECODER_CRASHED
    assert short.detail.endswith("after 10.0 s of sound")
    assert isinstance(tally, AudioTally)
    assert (tally.planned_s, tally.decoded_s) == (10.0, 10.0)
