"""Films whose containers say of pictures what is not so: when they are shown, or that decoding can begin there."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import pytest
import pytest_asyncio

from batch_scan.media.interface import AudioSpec, AudioTally, FrameMode, FrameSpec, FrameTally
from batch_scan.media.reader import MediaReader
from batch_scan.model import Sample, Shortfall
from batch_scan.vocabulary import Reason
from tests.corpus_media import make, numbered_source, numbered_video, shown_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FPS = 10
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-bf", "3")


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[MediaReader]:
    async with MediaReader(1) as made:
        yield made


async def _numbers(
    reader: MediaReader, path: Path, interval_s: float, mode: FrameMode = FrameMode.EXACT
) -> list[tuple[float, int]]:
    """Return the times and the numbers of the pictures of a film of which nothing is missing."""
    spec = FrameSpec(interval_s=interval_s, mode=mode, dedup=False)
    told = [one async for one in reader.frames(path, await reader.probe(path), spec)]
    assert not [one for one in told if isinstance(one, Shortfall)]
    return [(one.start_s, shown_number(cast("bytes", one.data))) for one in told if isinstance(one, Sample)]


def _each(interval_s: float, seconds: float, fps: float = FPS) -> list[tuple[object, int]]:
    count = round(seconds / interval_s)
    return [(pytest.approx(k * interval_s), round(k * interval_s * fps)) for k in range(count)]


def _with_late_packets(source: Path, path: Path, numbers: range, late_s: float) -> Path:
    with av.open(str(source)) as given, av.open(str(path), "w") as taken:
        track = given.streams.video[0]
        copy = taken.add_stream_from_template(track)
        for at, packet in enumerate(given.demux(track)):
            if packet.pts is None or packet.time_base is None:
                continue
            if at in numbers:
                packet.pts += round(late_s / packet.time_base)
            packet.stream = copy
            taken.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "flv"])
@pytest.mark.parametrize(("number", "late_s"), [(8, 9.0), (8, 2.2), (41, 5.0)])
async def test_a_picture_that_is_said_to_be_shown_far_ahead_hides_no_other(
    reader: MediaReader, tmp_path: Path, suffix: str, number: int, late_s: float
) -> None:
    film = numbered_video(tmp_path / "film.mp4", 10, *X264, "-g", "20", fps=FPS)
    lying = _with_late_packets(film, tmp_path / f"lying.{suffix}", range(number, number + 1), late_s)
    found = await _numbers(reader, lying, 0.5)
    assert [number for _, number in found] == [5 * k for k in range(20)]


async def test_a_few_pictures_in_a_row_that_are_said_to_be_shown_far_ahead_do_not_vouch_for_one_another(
    reader: MediaReader, tmp_path: Path
) -> None:
    film = numbered_video(tmp_path / "film.mp4", 10, *X264, "-g", "20", fps=FPS)
    lying = _with_late_packets(film, tmp_path / "lying.ts", range(6, 10), 5.0)
    found = [number for _, number in await _numbers(reader, lying, 0.5)]
    assert [number for number in found if not 5 <= number < 12] == [0, *(5 * k for k in range(3, 20))]


@pytest.mark.parametrize("suffix", ["ts", "mp4"])
async def test_a_film_that_is_shown_long_after_it_is_decoded_is_believed(
    reader: MediaReader, tmp_path: Path, suffix: str
) -> None:
    film = numbered_video(tmp_path / "film.mp4", 10, *X264, "-g", "20", fps=FPS)
    late = _with_late_packets(film, tmp_path / f"late.{suffix}", range(10_000), 3.0)
    assert [number for _, number in await _numbers(reader, late, 0.5)] == [5 * k for k in range(20)]


@pytest.mark.parametrize("group", [250, 6])
@pytest.mark.parametrize("fps", [1.0, 0.5])
async def test_a_slow_film_in_matroska_does_not_jump_where_its_pictures_are_reordered(
    reader: MediaReader, tmp_path: Path, fps: float, group: int
) -> None:
    """Its first packets have no times to decode, and those they are shown at go back by seconds."""
    film = numbered_video(tmp_path / "slow.mkv", 40 / fps, *X264, "-g", str(group), fps=fps)
    every_s = 5 / fps
    assert await _numbers(reader, film, every_s) == _each(every_s, 40 / fps, fps)


@pytest.mark.parametrize("codec", ["msmpeg4v3", "wmv2", "flv1"])
@pytest.mark.parametrize("mode", [FrameMode.EXACT, FrameMode.KEYFRAME])
async def test_pictures_that_are_only_called_keyframes_are_not_decoded_alone(
    reader: MediaReader, tmp_path: Path, codec: str, mode: FrameMode
) -> None:
    """libav calls every packet of an AVI a keyframe that has lost its index."""
    film = make(tmp_path / "film.avi", *numbered_source(6, FPS), "-c:v", codec, "-b:v", "2M", "-g", "25")
    content = film.read_bytes()
    at = content.rindex(b"idx1")
    film.write_bytes(content[:at] + b"JUNK" + content[at + 4 :])
    assert await _numbers(reader, film, 1.0, mode) == _each(1.0, 6)


@pytest.mark.parametrize("interval_s", [0.1, 0.7, 2.0])
async def test_pictures_that_were_packed_two_in_a_packet_come_in_their_order(
    reader: MediaReader, tmp_path: Path, interval_s: float
) -> None:
    packed = ("-c:v", "libxvid", "-bf", "2", "-g", "40", "-q:v", "1")
    film = make(tmp_path / "divx.avi", *numbered_source(7, FPS), *packed)
    assert b"p\0" in film.read_bytes().partition(b"DivX503b1393")[2][:2]
    found = await _numbers(reader, film, interval_s)
    numbers = [number for _, number in found]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 7 / interval_s - 3  # the encoder drops one
    assert all(abs(time_s - number / FPS) < 2.5 / FPS for time_s, number in found)


async def test_a_time_beyond_everything_is_no_reason_to_stop_there(reader: MediaReader, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.ivf", 8, "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", fps=FPS)
    film = bytearray(path.read_bytes())
    at = 32
    for _ in range(45):
        at += 12 + int.from_bytes(film[at : at + 4], "little")
    film[at + 4 : at + 12] = (1 << 61).to_bytes(8, "little")
    path.write_bytes(film)
    info = await reader.probe(path)
    told = [one async for one in reader.frames(path, info, FrameSpec(interval_s=1.0, dedup=False))]
    assert [one.reason for one in told if isinstance(one, Shortfall)] in ([], [Reason.DAMAGED])
    (tally,) = [one for one in told if isinstance(one, FrameTally)]
    assert tally.planned <= 9
    assert shown_number(cast("bytes", [one for one in told if isinstance(one, Sample)][-1].data)) >= 70


async def test_a_track_that_begins_late_ends_late(reader: MediaReader, tmp_path: Path) -> None:
    film = numbered_video(tmp_path / "film.mp4", 4, *X264, fps=FPS)
    sound = ("-f", "lavfi", "-i", "sine=d=5", "-itsoffset", "20", "-i", str(film), "-c:v", "copy")
    both = make(tmp_path / "both.mp4", *sound, "-map", "0", "-map", "1")
    assert (await reader.probe(both)).duration_s == pytest.approx(24, abs=0.2)


async def test_sound_that_begins_late_in_a_transport_stream_is_as_long_as_it_is(
    reader: MediaReader, tmp_path: Path
) -> None:
    film = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=60", "-itsoffset", "50", "-f", "lavfi", "-i", "sine=d=4")
    path = make(tmp_path / "late.ts", *film, "-c:v", "mpeg2video", "-c:a", "mp2", "-map", "0", "-map", "1")
    info = await reader.probe(path)
    assert info.duration_s == pytest.approx(60, abs=0.5)
    told = [one async for one in reader.audio(path, info, (AudioSpec(),))]
    assert not [one for one in told if isinstance(one, Shortfall)]
    (tally,) = [one for one in told if isinstance(one, AudioTally)]
    assert [tally.planned_s, tally.decoded_s] == pytest.approx([4, 4], abs=0.2)


async def test_a_hole_that_was_met_while_the_film_was_opened_is_told(reader: MediaReader, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.flv", 12, *X264, "-g", "10", fps=FPS)
    film = bytearray(path.read_bytes())
    film[len(film) // 4 : 3 * len(film) // 4] = bytes(len(film) // 2)
    path.write_bytes(film)
    told = [one async for one in reader.frames(path, await reader.probe(path), FrameSpec(interval_s=1.0, dedup=False))]
    assert {one.reason for one in told if isinstance(one, Shortfall)} == {Reason.DAMAGED}
    assert any("no pictures from" in one.detail for one in told if isinstance(one, Shortfall))
    (tally,) = [one for one in told if isinstance(one, FrameTally)]
    assert tally.planned >= 11 > tally.extracted
