"""The reader as its users see it: real workers, real files, hostile ones among them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from batch_scan.digest import digest_bytes
from batch_scan.errors import MediaError
from batch_scan.media.interface import AudioCodec, AudioSpec, AudioTally, Chunk, FrameSpec, FrameTally, MediaLimits
from batch_scan.media.reader import MediaReader
from batch_scan.media.runner import ChildLimits, start_child
from batch_scan.model import Sample, Shortfall
from batch_scan.vocabulary import Medium, Reason
from tests.corpus_media import (
    H264,
    concat_in_disguise,
    corrupted,
    cover_mp3,
    hls_in_disguise,
    huge_png,
    make,
    many_streams,
    multi_audio,
    numbered_source,
    numbered_video,
    recut,
    shown_number,
    silence,
    still_video,
    tiny_clip,
    tone,
    truncated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.model import MediaInfo

SPEC = FrameSpec(interval_s=2.0)


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[MediaReader]:
    async with MediaReader(2) as made:
        yield made


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_video(tmp_path_factory.mktemp("reader") / "film.mp4", sound=True)


class Taken:
    """All that the frames of a file gave."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.shortfalls: list[Shortfall] = []
        self.tallies: list[FrameTally] = []

    @property
    def numbers(self) -> list[int]:
        return [shown_number(cast("bytes", sample.data)) for sample in self.samples]


async def frames(reader: MediaReader, path: Path, spec: FrameSpec = SPEC, info: MediaInfo | None = None) -> Taken:
    taken = Taken()
    async for one in reader.frames(path, info or await reader.probe(path), spec):
        if isinstance(one, Sample):
            taken.samples.append(one)
        elif isinstance(one, Shortfall):
            taken.shortfalls.append(one)
        else:
            taken.tallies.append(one)
    return taken


async def refusal(reader: MediaReader, path: Path) -> Reason:
    with pytest.raises(MediaError) as failure:
        await reader.probe(path)
    assert failure.value.detail.isprintable()
    return failure.value.reason


# ------------------------------------------------------------------------------------------- pictures and sound


@pytest.mark.parametrize("first", ["pictures", "sound"])
async def test_with_one_worker_neither_pictures_nor_sound_wait_for_the_other_to_be_taken(
    tmp_path: Path, first: str
) -> None:
    """Both of a file are read at once, by takers of whom one may be slow for hours."""
    path = numbered_video(tmp_path / "a.mp4", 120, sound=True)
    async with MediaReader(1) as reader:
        info = await reader.probe(path)
        pictures = reader.frames(path, info, FrameSpec(interval_s=0.1, dedup=False))
        sound = reader.audio(path, info, (AudioSpec(codec=AudioCodec.PCM, max_s=1.0),))
        async with aclosing(pictures), aclosing(sound):
            slow, fast = (pictures, sound) if first == "pictures" else (sound, pictures)
            begun = [await anext(slow)]
            assert [event async for event in fast][-1] is not None
            begun += [event async for event in slow]
    assert isinstance(begun[-1], FrameTally if first == "pictures" else AudioTally)
    assert not [event for event in begun if isinstance(event, Shortfall)]


async def test_many_files_with_pictures_and_sound_go_through_one_worker_at_once(tmp_path: Path, film: Path) -> None:
    paths = [Path(shutil.copy(film, tmp_path / f"{at}.mp4")) for at in range(8)]

    async def whole(reader: MediaReader, path: Path) -> list[object]:
        info = await reader.probe(path)
        taken, heard = await asyncio.gather(frames(reader, path, info=info), sounds(reader, path, info))
        assert taken.shortfalls == []
        return [*(sample.digest for sample in taken.samples), *heard]

    async with MediaReader(1) as reader:
        results = await asyncio.gather(*(whole(reader, path) for path in paths))
    assert all(result == results[0] for result in results)


async def sounds(reader: MediaReader, path: Path, info: MediaInfo) -> list[object]:
    return [event.sample.digest async for event in reader.audio(path, info, (AudioSpec(),)) if isinstance(event, Chunk)]


async def test_a_file_that_was_replaced_after_its_probe_is_read_as_it_is(reader: MediaReader, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.mp4", 8, sound=True)
    other = numbered_video(tmp_path / "b.mp4", 4, sound=True)
    info = await reader.probe(path)
    other.replace(path)
    taken = await frames(reader, path, info=info)
    assert [round(sample.start_s) for sample in taken.samples] == [0, 2]


# ------------------------------------------------------------------------------------------------- late tracks

LATE_TS = ("-mpegts_start_pid", "0x300", "-mpegts_pmt_start_pid", "0x1200", "-output_ts_offset", "14")


def opened_by_children(path: Path) -> list[str]:
    """Return the descriptors under which our child processes have a file open, by device and inode."""
    children = {pid for told in Path("/proc/self/task").glob("*/children") for pid in told.read_text().split()}
    links = [link for child in children for link in Path(f"/proc/{child}/fd").iterdir()]
    wanted = path.stat()
    return [str(link) for link in links if link.exists() and link.stat().st_ino == wanted.st_ino]


@pytest.mark.parametrize("is_lasting", [True, False])
async def test_a_file_that_is_removed_soon_is_not_kept_open(tmp_path: Path, film: Path, *, is_lasting: bool) -> None:
    """It would keep its room on the disk, which the scratch is bounded by."""
    path = Path(shutil.copy(film, tmp_path))
    async with MediaReader(1) as reader:
        await reader.probe(path, is_lasting=is_lasting)
        assert bool(opened_by_children(path)) == is_lasting


async def told_of(reader: MediaReader, path: Path) -> list[Shortfall]:
    """What the probe and the pictures of a file say is missing of it."""
    return [*(await reader.probe(path)).shortfalls, *(await frames(reader, path)).shortfalls]


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("first", ["film", "sound"])
async def test_tracks_that_begin_late_in_a_transport_stream_are_told(
    reader: MediaReader, tmp_path: Path, first: str
) -> None:
    begin = tmp_path / "a.ts"
    begin = numbered_video(begin, 12, sound=True) if first == "film" else tone(begin, 12, "-c:a", "aac")
    second = numbered_video(tmp_path / "b.ts", 3, *H264, *LATE_TS, sound=True)
    (shortfall,) = await told_of(reader, joined(tmp_path / "both.ts", begin, second))
    assert shortfall.reason is Reason.DAMAGED
    assert shortfall.detail.startswith("a picture track begins late in the file")
    assert "1 more alike" in shortfall.detail


async def test_a_late_sound_track_is_told_with_its_time_where_only_sound_is_read(
    reader: MediaReader, tmp_path: Path
) -> None:
    first = numbered_video(tmp_path / "a.ts", 12, sound=True)
    second = tone(tmp_path / "b.ts", 3, "-c:a", "aac", *LATE_TS)
    path = joined(tmp_path / "both.ts", first, second)
    told = [
        event
        async for event in reader.audio(path, await reader.probe(path), (AudioSpec(),))
        if isinstance(event, Shortfall)
    ]
    assert [one.reason for one in told] == [Reason.DAMAGED]
    assert told[0].detail.startswith("a sound track begins at 14.0 s")


async def test_pictures_that_a_flash_header_denies_are_told(reader: MediaReader, tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=f=300:d=40", "-itsoffset", "30")
    flags = ("-map", "0:a", "-map", "1:v", "-c:v", "flv1", "-c:a", "aac", "-flvflags", "no_metadata")
    path = make(tmp_path / "a.flv", *sound, *numbered_source(10), *flags)
    data = bytearray(path.read_bytes())
    data[4] = 0x04  # sound alone
    path.write_bytes(data)
    (shortfall,) = await told_of(reader, path)
    assert shortfall.detail.startswith("a picture track begins late")


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.flv", "a.ogg", "a.asf"])
async def test_sound_whose_tracks_are_all_there_at_the_beginning_is_whole(
    reader: MediaReader, tmp_path: Path, name: str
) -> None:
    assert await told_of(reader, tone(tmp_path / name, 12, *(("-c:a", "libvorbis") if name == "a.ogg" else ()))) == []


# -------------------------------------------------------------------------------------------------------- probing


async def test_a_film_is_described(reader: MediaReader, film: Path) -> None:
    info = await reader.probe(film)
    assert info.container.startswith("mov,mp4")
    assert info.duration_s == pytest.approx(10, abs=0.1)
    (video,), (audio,) = info.video, info.audio
    assert (video.index, video.codec, video.width, video.height, video.is_cover) == (0, "h264", 320, 240, False)
    assert (audio.index, audio.codec, audio.channels, audio.sample_rate_hz) == (1, "aac", 1, 44_100)
    assert audio.duration_s == pytest.approx(10, abs=0.1)


async def test_every_sound_track_is_described(reader: MediaReader, tmp_path: Path) -> None:
    info = await reader.probe(multi_audio(tmp_path / "a.mkv"))
    assert [track.index for track in info.audio] == [1, 2, 3]
    assert all(track.duration_s == pytest.approx(4, abs=0.1) for track in info.audio)


async def test_cover_art_is_no_film(reader: MediaReader, tmp_path: Path) -> None:
    info = await reader.probe(cover_mp3(tmp_path / "a.mp3"))
    assert [track.is_cover for track in info.video] == [True]
    assert info.main_video is None
    assert info.duration_s == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("a.wav", ()),
        ("a.mp3", ("-write_xing", "0", "-q:a", "4")),
        ("a.aac", ()),
        ("a.flac", ()),
        ("a.ac3", ()),
        ("a.ogg", ()),
        ("a.opus", ()),
    ],
)
async def test_the_length_of_sound_is_known_without_a_guess(
    reader: MediaReader, tmp_path: Path, name: str, args: tuple[str, ...]
) -> None:
    codec = ("-c:a", "libvorbis") if name.endswith("ogg") else ()
    info = await reader.probe(tone(tmp_path / name, 7, *codec, *args))
    assert info.duration_s == pytest.approx(7, abs=0.15)
    assert info.video == ()


async def test_a_length_that_is_only_guessed_is_not_told(reader: MediaReader, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h264", *numbered_source(3), *H264)
    assert (await reader.probe(path)).duration_s is None


NAMES = [
    b"-i.mp4",
    b"a\nb.mp4",
    b"http:a.mp4",
    b"\xff\xfe.mp4",
    b"%03d.mp4",
    b"a b'\"*?[x].mp4",
    b"\xe2\x80\xae4pm.mp4",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_file_name_works(reader: MediaReader, tmp_path: Path, film: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    shutil.copyfile(film, path)
    assert (await frames(reader, path)).numbers == [0, 20, 40, 60, 80]


async def test_a_picture_whose_name_is_a_pattern_is_that_picture_alone(reader: MediaReader, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        make(tmp_path / f"{number}.png", *numbered_source(1), "-vf", f"select=gte(n\\,{number})", "-frames:v", "1")
    (tmp_path / "1.png").rename(tmp_path / "%d.png")
    assert (await frames(reader, tmp_path / "%d.png")).numbers == [1]


async def test_what_is_no_media_is_refused_with_its_reason(
    reader: MediaReader, tmp_path: Path, film: Path, expected_reasons: dict[str, Reason]
) -> None:
    made = {
        "playlist.mp4": hls_in_disguise(tmp_path / "playlist.mp4", film),
        "script.mp4": concat_in_disguise(tmp_path / "script.mp4", film),
        "many.mp4": many_streams(tmp_path / "many.mp4", 100),
        "huge.png": huge_png(tmp_path / "huge.png"),
        "cut.mp4": truncated(film, tmp_path / "cut.mp4"),
    }
    (tmp_path / "noise.mp4").write_bytes(os.urandom(10_000))
    made["noise.mp4"] = tmp_path / "noise.mp4"
    made["gone.mp4"] = tmp_path / "gone.mp4"
    assert {name: await refusal(reader, path) for name, path in made.items()} == expected_reasons


@pytest.fixture
def expected_reasons() -> dict[str, Reason]:
    return {
        "playlist.mp4": Reason.FORMAT_REFUSED,
        "script.mp4": Reason.FORMAT_REFUSED,
        "many.mp4": Reason.TOO_MANY_STREAMS,
        "huge.png": Reason.TOO_MANY_PIXELS,
        "cut.mp4": Reason.DAMAGED,
        "noise.mp4": Reason.NOT_MEDIA,
        "gone.mp4": Reason.MISSING,
    }


async def test_pictures_above_the_pixel_limit_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *numbered_source(0.5, 10, "640x480"), *H264)
    async with MediaReader(1, MediaLimits(max_pixels=640 * 480 - 1)) as reader:
        assert await refusal(reader, path) is Reason.TOO_MANY_PIXELS


# --------------------------------------------------------------------------------------------------------- frames


async def test_frames_come_as_samples_and_are_closed_by_a_tally(reader: MediaReader, film: Path) -> None:
    taken = await frames(reader, film)
    assert taken.numbers == [0, 20, 40, 60, 80]
    assert [sample.start_s for sample in taken.samples] == pytest.approx([0, 2, 4, 6, 8])
    assert taken.tallies == [FrameTally(0, 5, 5, 0)]
    assert taken.shortfalls == []
    for sample in taken.samples:
        assert sample.data is not None
        assert sample.digest == digest_bytes(sample.data)
        assert (sample.medium, sample.mime, sample.stands_for, sample.track) == (Medium.FRAME, "image/jpeg", 1, 0)
        assert sample.end_s == sample.start_s


async def test_a_beginning_that_cannot_be_decoded_is_damage_where_more_than_one_picture_is_wanted_of_it(
    reader: MediaReader, tmp_path: Path, film: Path
) -> None:
    path = recut(film, tmp_path / "a.mkv", nonsense_s=(0.0, 1.5))
    taken_out = await frames(reader, path, FrameSpec(interval_s=0.5, dedup=False))
    assert [short.reason for short in taken_out.shortfalls] == [Reason.DAMAGED]
    (tally,) = taken_out.tallies
    assert tally.planned > tally.extracted


async def test_twins_are_one_sample_that_stands_for_all(reader: MediaReader, tmp_path: Path) -> None:
    taken = await frames(reader, still_video(tmp_path / "a.mp4", 10))
    assert [(sample.start_s, sample.end_s, sample.stands_for) for sample in taken.samples] == [(0.0, 8.0, 5)]
    assert taken.tallies == [FrameTally(0, 5, 5, 4)]


async def test_cover_art_is_judged_once(reader: MediaReader, tmp_path: Path) -> None:
    taken = await frames(reader, cover_mp3(tmp_path / "a.mp3"))
    assert [(sample.start_s, sample.end_s) for sample in taken.samples] == [(0.0, 0.0)]
    assert taken.tallies == [FrameTally(1, 1, 1, 0)]


async def test_a_file_without_pictures_gives_nothing(reader: MediaReader, tmp_path: Path) -> None:
    taken = await frames(reader, silence(tmp_path / "a.flac", 1))
    assert (taken.samples, taken.shortfalls, taken.tallies) == ([], [], [])


async def test_a_tiny_clip_gives_its_picture(reader: MediaReader, tmp_path: Path) -> None:
    taken = await frames(reader, tiny_clip(tmp_path / "a.mp4"))
    assert taken.numbers == [0]
    assert taken.tallies == [FrameTally(0, 1, 1, 0)]


async def test_every_film_track_is_looked_at(reader: MediaReader, tmp_path: Path) -> None:
    two = (*numbered_source(4), *numbered_source(6, 10, "160x120"))
    taken = await frames(reader, make(tmp_path / "a.mkv", *two, "-map", "0", "-map", "1", *H264))
    assert [(sample.track, sample.start_s) for sample in taken.samples] == [(0, 0), (0, 2), (1, 0), (1, 2), (1, 4)]
    assert [tally.track for tally in taken.tallies] == [0, 1]


async def test_a_cap_is_shared_between_tracks(reader: MediaReader, tmp_path: Path) -> None:
    two = (*numbered_source(6), *numbered_source(6, 10, "160x120"))
    path = make(tmp_path / "a.mkv", *two, "-map", "0", "-map", "1", *H264)
    taken = await frames(reader, path, FrameSpec(interval_s=1.0, max_frames=4))
    assert [tally.planned for tally in taken.tallies] == [2, 2]
    assert len(taken.samples) == 4


async def test_a_codec_that_only_the_program_knows_goes_through_it(reader: MediaReader, tmp_path: Path) -> None:
    path = make(tmp_path / "a.jxl", *numbered_source(7), "-c:v", "libjxl_anim", "-f", "image2pipe")
    taken = await frames(reader, path)
    assert taken.numbers == [0, 20, 40, 60]
    assert [sample.start_s for sample in taken.samples] == pytest.approx([0, 2, 4, 6])
    assert taken.tallies == [FrameTally(0, 4, 4, 0)]
    broken = await frames(reader, corrupted(path, tmp_path / "b.jxl", 0.3, 1.0))
    assert broken.shortfalls
    assert broken.tallies[0].planned > 0


async def test_animated_webp_goes_through_the_program_that_knows_it(reader: MediaReader, tmp_path: Path) -> None:
    path = make(tmp_path / "a.webp", *numbered_source(7), "-c:v", "libwebp_anim")
    taken = await frames(reader, path)
    assert taken.numbers == [0, 20, 40, 60]
    assert (taken.shortfalls, taken.tallies) == ([], [FrameTally(0, 4, 4, 0)])


async def test_a_program_ends_with_who_reads_its_pictures(reader: MediaReader, tmp_path: Path) -> None:
    path = make(tmp_path / "a.webp", *numbered_source(60), "-c:v", "libwebp_anim")
    info = await reader.probe(path, is_lasting=False)
    async with aclosing(reader.frames(path, info, FrameSpec(interval_s=0.1))) as told:
        await anext(told)
        assert opened_by_children(path)
    assert not opened_by_children(path)


async def test_what_the_program_leaves_out_at_a_bound_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "a.webp", *numbered_source(7), "-c:v", "libwebp_anim")
    async with MediaReader(1) as reader:
        few = await frames(reader, path, FrameSpec(interval_s=2.0, max_frames=3))
        enough = await frames(reader, path, FrameSpec(interval_s=2.0, max_frames=4))
    async with MediaReader(1, MediaLimits(max_wanted_frames=2)) as reader:
        fewer = await frames(reader, path)
    async with MediaReader(1, MediaLimits(max_duration_s=3.0)) as reader:
        short = await frames(reader, path)
    assert (few.numbers, fewer.numbers, short.numbers) == ([0, 20, 40], [0, 20], [0, 20])
    told = [(one.reason, one.detail) for taken in (few, fewer, short) for one in taken.shortfalls]
    assert told == [
        (Reason.FRAME_CAP, "picture track 0: 3 pictures taken, to 4.0 s; more are wanted after"),
        (Reason.FRAME_CAP, "picture track 0: 2 pictures taken, to 2.0 s; more are wanted after"),
        (Reason.TOO_LONG, "picture track 0: pictures examined to 3 s; what is shown later is not looked at"),
    ]
    assert (enough.numbers, enough.shortfalls) == ([0, 20, 40, 60], [])


async def test_a_decoder_over_its_memory_is_a_value_with_a_tally(film: Path) -> None:
    async with MediaReader(1, MediaLimits(memory_bytes=450 << 20)) as reader:
        assert (await frames(reader, film)).numbers == [0, 20, 40, 60, 80]
    async with MediaReader(1, MediaLimits(memory_bytes=64 << 20)) as reader:
        assert await refusal(reader, film) is Reason.INTERNAL


async def test_a_decoder_over_its_time_is_a_value_with_a_tally(film: Path) -> None:
    limits = MediaLimits(wall_base_s=0.0, wall_per_media_s=1e-6)
    async with MediaReader(1) as patient, MediaReader(1, limits) as reader:
        info = await patient.probe(film)
        told = [one async for one in reader.frames(film, info, SPEC)]
    assert [type(one) for one in told] == [Shortfall, FrameTally]
    assert isinstance(told[0], Shortfall)
    assert told[0].reason is Reason.DECODER_TIMEOUT
    assert told[1] == FrameTally(0, 5, 0, 0)


async def test_frames_that_are_not_read_to_the_end_leave_the_reader_usable(reader: MediaReader, film: Path) -> None:
    info = await reader.probe(film)
    for _ in range(3):
        async with aclosing(reader.frames(film, info, SPEC)) as told:
            assert isinstance(await anext(told), Sample)
    assert len((await frames(reader, film)).samples) == 5


async def test_a_slow_taker_stops_the_decoder_and_loses_nothing(film: Path) -> None:
    limits = MediaLimits(wall_base_s=5.0, wall_per_media_s=0.0)
    async with MediaReader(1, limits) as reader:
        info = await reader.probe(film)
        count = 0
        async for one in reader.frames(film, info, FrameSpec(interval_s=0.1, jpeg_quality=100)):
            count += isinstance(one, Sample)
            await asyncio.sleep(0.01)  # the taker's own time is what is tested
    assert count == 100


async def test_mutated_files_are_values_and_leave_the_reader_usable(
    reader: MediaReader, tmp_path: Path, film: Path
) -> None:
    for step in range(12):
        path = corrupted(film, tmp_path / f"{step}.mp4", step / 12, step / 12 + 0.03)
        try:
            taken = await frames(reader, path)
        except MediaError as error:
            assert error.reason in Reason  # noqa: PT017 - either way out is right, none other
        else:
            assert len(taken.tallies) == len((await reader.probe(path)).video)
    assert len((await frames(reader, film)).samples) == 5


# ------------------------------------------------------------------------------------------------------- process


_PROBE_ALONE = """
import asyncio, resource, sys
from pathlib import Path
from batch_scan.errors import MediaError
from batch_scan.media.reader import MediaReader

async def main():
    async with MediaReader(1) as reader:
        try:
            await reader.probe(Path(sys.argv[1]))
        except MediaError as error:
            print(error.reason)

asyncio.run(main())
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


async def test_a_huge_picture_takes_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROBE_ALONE, str(huge_png(tmp_path / "a.png"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: ASYNC221
    reason, peak_kib = done.stdout.split()
    assert reason == Reason.TOO_MANY_PIXELS
    assert int(peak_kib) < 500_000


async def test_the_worker_imports_nothing_heavy() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import batch_scan.media.worker\n"
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'pydantic', 'httpx', 'ffmpeg', 'asyncio'} & set(sys.modules)))"
    )
    limits = ChildLimits(memory_bytes=4 << 30, cpu_s=60, file_bytes=0, wall_s=60)
    async with start_child([sys.executable, "-I", "-c", code], limits) as child:
        assert (await child.read(1000)).strip() == b"[]"


@pytest.mark.parametrize("name", ["photo.jpg", "photo.JPEG", "photo.bin"])
async def test_a_photo_with_much_in_front_of_its_picture_is_a_picture(tmp_path: Path, name: str) -> None:
    """Cameras put their notes and a thumbnail first; libav then goes by the name, and would look for a sequence."""
    plain = make(tmp_path / "plain.jpg", "-f", "lavfi", "-i", "testsrc2=s=320x240", "-frames:v", "1").read_bytes()
    notes = b"\xff\xfe\xff\xff" + b"a" * 0xFFFD
    photo = write_bytes(tmp_path / name, plain[:2] + notes * 4 + plain[2:])
    async with MediaReader(1) as reader:
        info = await reader.probe(photo)
        events = [event async for event in reader.frames(photo, info, FrameSpec())]
    assert [(track.width, track.height) for track in info.video] == [(320, 240)]
    assert [type(event) for event in events] == [Sample, FrameTally]


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
