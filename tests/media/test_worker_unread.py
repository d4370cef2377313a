"""Bare sound of which a part was overwritten with zeros: what demuxers and parsers pass over is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.media.audio import read_audio
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.interface import AudioCodec, AudioSpec, AudioTally, MediaLimits
from batch_scan.media.probe import probe
from batch_scan.model import Shortfall
from tests.corpus_media import make

if TYPE_CHECKING:
    from pathlib import Path

SPEC = AudioSpec(AudioCodec.FLAC)
COPY = AudioSpec(AudioCodec.MP3, copies=("mp3", "aac"))
SECONDS = 12
KINDS = {
    "AAC": ("a.aac", "-c:a", "aac"),
    "AAC in LOAS": ("a.latm", "-c:a", "aac", "-f", "latm"),
    "AC-3": ("a.ac3",),
    "E-AC-3": ("a.eac3",),
    "DTS": ("a.dts", "-c:a", "dca", "-strict", "-2"),
    "TrueHD": ("a.thd", "-c:a", "truehd", "-strict", "-2", "-ar", "48000"),
    "MP3 without an index": ("a.mp3", "-write_xing", "0"),
    "MPEG layer II": ("a.mp2",),
    "MP3 of few bits": ("a.mp3", "-write_xing", "0", "-ar", "16000", "-ac", "1", "-b:a", "24k"),
}
COPIED = ("AAC", "MP3 without an index", "MP3 of few bits")
BOTH = [*((kind, SPEC) for kind in KINDS), *((kind, COPY) for kind in COPIED)]


def noise(directory: Path, kind: str) -> Path:
    name, *args = KINDS[kind]
    source = f"anoisesrc=d={SECONDS}:c=pink:a=0.4:seed=7:r=44100"
    return make(directory / name, "-f", "lavfi", "-i", source, "-ac", "2", *args)


def blank(path: Path, begin: float, end: float) -> Path:
    """Overwrite a part of a file with zeros."""
    content = bytearray(path.read_bytes())
    first, last = int(begin * len(content)), int(end * len(content))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


async def heard(path: Path, spec: AudioSpec) -> tuple[list[str], AudioTally]:
    limits = MediaLimits()
    async with DecoderPool(1, limits) as pool:
        info = await probe(pool, path, limits)
        events = [event async for event in read_audio(pool, path, info, (spec,), limits)]
    assert isinstance(events[-1], AudioTally)
    return [event.detail for event in events if isinstance(event, Shortfall)], events[-1]


@pytest.mark.parametrize(("kind", "spec"), BOTH)
async def test_a_whole_file_has_nothing_unread(tmp_path: Path, kind: str, spec: AudioSpec) -> None:
    gaps, tally = await heard(noise(tmp_path, kind), spec)
    assert gaps == []
    assert tally.decoded_s == pytest.approx(SECONDS, abs=0.2)


@pytest.mark.parametrize(("kind", "spec"), BOTH)
@pytest.mark.parametrize(("begin", "end", "at_s"), [(0.4, 0.6, 4.8), (0.8, 1.0, 9.6)])
async def test_a_blank_fifth_is_told_with_its_place(
    tmp_path: Path, kind: str, spec: AudioSpec, *, begin: float, end: float, at_s: float
) -> None:
    gaps, tally = await heard(blank(noise(tmp_path, kind), begin, end), spec)
    (gap,) = (gap for gap in gaps if "no sound that can be read" in gap)
    _, _, rest = gap.partition(" bytes at ")
    assert float(rest.split(" s ")[0]) == pytest.approx(at_s, abs=1.7)
    assert float(rest.partition("as many as ")[2].split(" s ")[0]) == pytest.approx(2.4, abs=0.6)
    assert tally.decoded_s < 10.0
    assert tally.planned_s == pytest.approx(SECONDS, abs=0.6)


_ID3_SIZES = b"\4\0\x10\0\2\x38\x40"  # 40,000 bytes, and a footer
_ID3 = b"ID3" + _ID3_SIZES + bytes(40_000) + b"3DI" + _ID3_SIZES


async def test_a_large_part_before_the_first_frame_is_told(tmp_path: Path) -> None:
    path = noise(tmp_path, "MP3 without an index")
    path.write_bytes(bytes(30_000) + path.read_bytes())
    gaps, _ = await heard(path, SPEC)
    assert len(gaps) == 1
    assert gaps[0].startswith("30,0")
    assert "bytes at 0.0 s are no sound" in gaps[0]


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"APETAGEX" + bytes(40_000), _ID3])
@pytest.mark.parametrize("kind", ["AAC", "MP3 without an index"])
async def test_tags_are_no_lost_sound(tmp_path: Path, kind: str, tag: bytes) -> None:
    path = noise(tmp_path, kind)
    path.write_bytes(path.read_bytes() + tag)
    assert (await heard(path, SPEC))[0] == []


async def test_a_little_that_is_no_sound_is_let_pass(tmp_path: Path) -> None:
    path = noise(tmp_path, "AAC")
    path.write_bytes(bytes(4000) + path.read_bytes())
    assert (await heard(path, SPEC))[0] == []
