from __future__ import annotations

import asyncio
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.interface import AudioSpec, FrameSpec
from batch_scan.media.reader import MediaReader
from batch_scan.media.runner import ffmpeg_exe
from batch_scan.media.structure import structure_gap
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason
from tests.corpus_media import make

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "film.avi"
    source = "testsrc2=s=160x120:r=10:d=8"
    return make(path, "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-g", "10", "-f", "avi")


async def test_a_whole_film_is_whole(film: Path) -> None:
    assert structure_gap(film, "avi") is None
    async with MediaReader(1) as reader:
        assert (await reader.probe(film)).shortfalls == ()


def first_part(film: Path, part: Path, share: float) -> Path:
    part.write_bytes(film.read_bytes()[: int(film.stat().st_size * share)])
    return part


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
async def test_half_a_film_does_not_pass_as_a_shorter_one(film: Path, tmp_path: Path, share: float) -> None:
    part = first_part(film, tmp_path / "part.avi", share)
    async with MediaReader(1) as reader:
        info = await reader.probe(part)
        seen = [event async for event in reader.frames(part, info, FrameSpec(interval_s=1.0))]
    assert seen
    (gap,) = info.shortfalls
    assert gap.reason is Reason.DAMAGED
    assert f"{part.stat().st_size:,}" in gap.detail


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_size_that_was_never_filled_in_says_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "recorded.avi"
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", length, b"AVI ") + bytes(1000))
    assert structure_gap(path, "avi") is None


def test_every_part_of_a_long_film_counts(tmp_path: Path) -> None:
    path = tmp_path / "long.avi"
    first = struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(96)
    path.write_bytes(first + struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(96))
    assert structure_gap(path, "avi") is None
    path.write_bytes(first + struct.pack("<4sI4s", b"RIFF", 100, b"AVIX") + bytes(46))
    assert structure_gap(path, "avi") is not None


def test_padding_at_the_very_end_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 101, b"AVI ") + bytes(97))
    assert structure_gap(path, "avi") is None


def test_other_containers_are_not_looked_at(tmp_path: Path) -> None:
    assert structure_gap(tmp_path / "not there", "mov,mp4,m4a,3gp,3g2,mj2") is None


FILMS = {
    "avi": ("mpeg4", "avi"),
    "mov,mp4,m4a,3gp,3g2,mj2": ("libx264", "mp4"),
    "matroska,webm": ("libx264", "matroska"),
}


@pytest.mark.parametrize("container", FILMS)
async def test_a_second_film_behind_the_first_is_told_of(tmp_path: Path, container: str) -> None:
    codec, muxer = FILMS[container]
    films = [
        make(tmp_path / f"{hue}.bin", "-f", "lavfi", "-i", f"color={hue}:s=64x64:r=5:d=2", "-c:v", codec, "-f", muxer)
        for hue in ("red", "blue")
    ]
    joined = tmp_path / "joined.bin"
    joined.write_bytes(b"".join(film.read_bytes() for film in films))
    async with MediaReader(1) as reader:
        for film in films:
            info = await reader.probe(film)
            assert (info.container, info.shortfalls) == (container, ())
        (gap,) = (await reader.probe(joined)).shortfalls
    assert gap.reason is Reason.DAMAGED
    assert "joined end to end" in gap.detail


@pytest.mark.parametrize("options", [("-movflags", "frag_keyframe+empty_moov"), ("-movflags", "+faststart"), ()])
def test_however_a_film_is_laid_out_it_is_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x64:r=5:d=3", "-c:v", "libx264", "-g", "5")
    film = make(tmp_path / "film.mp4", *source, *options)
    assert structure_gap(film, "mov,mp4,m4a,3gp,3g2,mj2") is None
    live = make(tmp_path / "live.mkv", *source, "-live", "1", "-f", "matroska")
    assert structure_gap(live, "matroska,webm") is None


@given(st.binary(max_size=200), st.sampled_from([*FILMS, "flv", "rm", "swf", "voc", "webp_pipe", "wtv"]))
def test_no_bytes_make_it_stumble_or_run_on(data: bytes, container: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        gap = structure_gap(Path(file.name), container)
    assert gap is None or gap.reason is Reason.DAMAGED


# ------------------------------------------------------------------------------------------ one container after another

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
SINE = ("-f", "lavfi", "-i", "sine=d=6:r=44100", "-ac", "2")
SCREEN = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=6")
KINDS = {
    "WAV": ("a.wav", *SINE),
    "RF64": ("b.wav", *SINE, "-rf64", "always"),
    "W64": ("a.w64", *SINE),
    "AIFF": ("a.aiff", *SINE),
    "CAF": ("a.caf", *SINE),
    "WavPack": ("a.wv", *SINE, "-metadata", "title=a"),
    "WMA": ("a.wma", *SINE),
    "FLV": ("a.flv", *SCREEN, "-c:v", "flv1"),
    "APNG": ("a.apng", *SCREEN),
    "VOC": ("a.voc", *SINE),
    "RealAudio": ("a.rm", *SINE, "-c:a", "ac3"),
    "SWF": ("a.swf", *SCREEN),
    "WebP": ("a.webp", *SCREEN),
    "WTV": ("a.wtv", *SINE, "-c:a", "mp2"),
    "transport stream": ("a.ts", *SINE, "-c:a", "ac3"),
}
JOINED = tuple(kind for kind in KINDS if kind != "transport stream")


def made(directory: Path, kind: str) -> Path:
    name, *args = KINDS[kind]
    return make(directory / name, *args)


async def gaps_of(path: Path) -> list[str]:
    async with MediaReader(1) as reader:
        info = await reader.probe(path)
        gaps = [gap.detail for gap in info.shortfalls]
        events = [event async for event in reader.audio(path, info, (AudioSpec(),))]
    return gaps + [event.detail for event in events if isinstance(event, Shortfall)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_file_has_no_gap(tmp_path: Path, kind: str) -> None:
    assert await gaps_of(made(tmp_path, kind)) == []


@pytest.mark.parametrize("kind", JOINED)
async def test_of_two_files_in_one_the_second_is_told_of(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    path.write_bytes(path.read_bytes() * 2)
    gap = (await gaps_of(path))[0]
    assert ("may hold more" if kind in {"WavPack", "APNG"} else "joined end to end") in gap


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "CAF", "WavPack", "WMA", "APNG"])
async def test_what_a_header_speaks_of_and_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    assert (await gaps_of(path))[0].startswith("the file is cut off")


@pytest.mark.parametrize(
    ("kind", "name", "at", "form"),
    [("WAV", b"data", 4, "<I"), ("W64", b"data", 16, "<Q"), ("CAF", b"data", 4, ">Q"), ("AIFF", b"SSND", 4, ">I")],
)
async def test_sound_behind_an_end_that_is_too_early_is_told(
    tmp_path: Path, kind: str, name: bytes, at: int, form: str
) -> None:
    path = made(tmp_path, kind)
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, content.find(name) + at, 100_004)
    path.write_bytes(content)
    assert any("the file's structure breaks off" in gap for gap in await gaps_of(path))


@pytest.mark.parametrize("options", [("-f", "wav"), ("-f", "caf"), ("-f", "wv"), ("-f", "asf", "-c:a", "wmav2")])
async def test_what_was_written_to_a_pipe_ends_where_it_ends(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "piped"
    command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", *SINE, *options, "pipe:1"]
    path.write_bytes((await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)).stdout)
    assert await gaps_of(path) == []


async def test_a_byte_that_was_forgotten_behind_an_odd_chunk_is_no_gap(tmp_path: Path) -> None:
    path = made(tmp_path, "WAV")
    content = path.read_bytes()
    path.write_bytes(
        content + b"odd " + struct.pack("<I", 3) + b"abc" + b"next" + struct.pack("<I", 9000) + bytes(9000)
    )
    assert await gaps_of(path) == []


async def test_a_transport_stream_that_ends_in_zeros_is_told_with_the_place(tmp_path: Path) -> None:
    path = made(tmp_path, "transport stream")
    content = path.read_bytes()
    path.write_bytes(content[:100_016] + bytes(len(content) - 100_016))
    (gap,) = await gaps_of(path)
    at = int(gap.removeprefix("the file's structure breaks off at byte ").split(":")[0].replace(",", ""))
    assert at == pytest.approx(100_016, abs=9000)


@pytest.fixture(scope="module")
def fragments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fragments") / "film.mp4"
    options = ("-c:v", "libx264", "-c:a", "aac", "-g", "10", "-movflags", "frag_keyframe+empty_moov")
    return make(path, *SCREEN, *SINE[:4], *options)


def second_fragment(content: bytes) -> int:
    return content.find(b"moof", content.find(b"moof") + 4) - 4


def blank(content: bytes, at: int, count: int) -> bytes:
    return content[:at] + bytes(count) + content[at + count :]


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "its header": lambda content, at: blank(content, at, 8),
    "what it begins with": lambda content, at: blank(content, at + 8, 8),
    "more than it": lambda content, at: blank(content, at - 2000, 5000),
    "bytes left out": lambda content, at: content[: at - 1000] + content[at - 812 :],
    "all of its end": lambda content, at: content[: at + 2000],
    "a name": lambda content, at: content[: at + 4] + b"\x81\x02\x03\x04" + content[at + 8 :],
    "no size": lambda content, at: content[:at] + bytes(4) + content[at + 4 :],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_fragment_that_is_none_is_told(tmp_path: Path, fragments: Path, damage: str) -> None:
    assert structure_gap(fragments, MP4) is None
    content = fragments.read_bytes()
    path = tmp_path / "film.mp4"
    path.write_bytes(DAMAGE[damage](content, second_fragment(content)))
    assert structure_gap(path, MP4) is not None


def box(name: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(body) if size is None else size, name) + body


@pytest.mark.parametrize(
    "end",
    [
        box(b"mdat", bytes(9000), size=0),
        box(b"uuid", bytes(9000)) + box(b"free", bytes(9000)) + box(b"sidx") + box(b"emsg") + box(b"wide"),
        box(b"free", bytes(9000), size=20_000),
        box(b"\xa9xyz", bytes(9000)),
        bytes(4000),
        b"TAG" + bytes(125),
    ],
)
def test_whatever_a_film_may_end_with_is_no_gap(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(box(b"ftyp", bytes(8)) + box(b"moov", bytes(100)) + box(b"mdat", bytes(500)) + end)
    assert structure_gap(path, MP4) is None


def test_what_was_made_to_be_broadcast_declares_nothing(tmp_path: Path) -> None:
    whole = made(tmp_path, "WMA").read_bytes()
    at = whole.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 88
    path = tmp_path / "part.wma"
    path.write_bytes(whole[: len(whole) // 2])
    assert structure_gap(path, "asf") is not None
    path.write_bytes((whole[:at] + bytes([whole[at] | 1]) + whole[at + 1 :])[: len(whole) // 2])
    assert structure_gap(path, "asf") is None


@given(
    st.binary(max_size=200), st.sampled_from(["aiff", "apng", "asf", "caf", "flv", "mpegts", "w64", "wav", "wv", MP4])
)
def test_no_bytes_make_any_walk_stumble_or_run_on(data: bytes, container: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data + bytes(9000))
        file.flush()
        gap = structure_gap(Path(file.name), container)
    assert gap is None or gap.reason is Reason.DAMAGED


async def test_links_of_an_ogg_chain_that_cannot_be_heard_are_told_whatever_their_serials(tmp_path: Path) -> None:
    """libav takes a link of the same serial for more of the first, and breaks off where its rate is another."""
    sound = ("-f", "lavfi", "-i", "sine=d=3", "-c:a", "libvorbis", "-fflags", "+bitexact", "-serial_offset", "7")
    links = [make(tmp_path / f"{rate}.ogg", *sound, "-ar", rate) for rate in ("44100", "22050")]
    for link in links:
        assert await gaps_of(link) == []
    path = tmp_path / "chain.ogg"
    path.write_bytes(b"".join(link.read_bytes() for link in links))
    (gap,) = await gaps_of(path)
    assert "more may be missing" in gap


async def test_sound_that_ends_before_its_film_is_whole_where_a_container_tells_only_how_long_the_film_is(
    tmp_path: Path,
) -> None:
    film = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=12", "-f", "lavfi", "-i", "sine=d=6")
    assert await gaps_of(make(tmp_path / "film.wmv", *film)) == []
