"""What the passes take of pictures that come as two fields, each a packet of its own, against what was written."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import av
import pytest

from batch_scan.media.interface import FrameMode
from batch_scan.media.wanted import WantedTimes
from batch_scan.media.ways import Whole
from batch_scan.media.worker_decode import TrackDecoder
from batch_scan.media.worker_open import LibavLog, open_media
from batch_scan.media.worker_packets import TrackPackets
from batch_scan.media.worker_plain import PlainPass
from batch_scan.media.worker_progress import Progress
from tests.corpus_media import make, numbered_source
from tests.media.field_coded import GROUP, RATE, STREAMS, field_coded, fields_of, true_fields, wrapped
from tests.media.test_worker_frames import DEFAULTS, X264, Taken, wanted_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.media.field_coded import Coded

COUNT = 101
INTERVALS_S = (0.04, 0.3, 1.0, 1.01, 1.02, 1.51, 3.99, 4.02, 10.0)
"""Before, on and between fields, and behind the last picture."""
CONTAINERS: dict[str, Callable[[Path, list[Coded]], Path]] = {
    "whole.mp4": wrapped,
    "whole.mkv": wrapped,
    "pictures.ts": wrapped,
    "fields.ts": lambda path, pictures: wrapped(path, pictures, timed="fields"),
    "copied_pictures.mp4": lambda path, pictures: copied(wrapped(path.with_suffix(".ts"), pictures), path),
    "copied_fields.mp4": lambda path, pictures: copied(
        wrapped(path.with_suffix(".ts"), pictures, timed="fields"), path
    ),
    "copied_fields.mkv": lambda path, pictures: copied(
        wrapped(path.with_suffix(".ts"), pictures, timed="fields"), path
    ),
}
APART = tuple(CONTAINERS)[2:]


def copied(given: Path, path: Path) -> Path:
    return make(path, "-i", str(given), "-c", "copy")


@pytest.fixture(autouse=True)
def _libav_may_complain(expected_errors: list[str]) -> None:
    """What libav says of damaged files in this process is kept by `LibavLog` and is no error of ours."""
    expected_errors.append("")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fields")


def film(films: Path, stream: str, container: str) -> Path:
    path = films / f"{stream}_{container}"
    return path if path.exists() else CONTAINERS[container](path, field_coded(COUNT, **STREAMS[stream]))


def taken(path: Path, interval_s: float, mode: str = "exact", **changes: Any) -> Taken:
    return Taken(path, interval_s=interval_s, mode=mode, jpeg_quality=100, **changes)


def shown(given: Taken) -> list[tuple[int, list[tuple[int, int]]]]:
    return [(round(picture.start_s * RATE), fields_of(picture.jpeg)) for picture in given.pictures]


def expected(interval_s: float) -> list[tuple[int, list[tuple[int, int]]]]:
    return [(number, true_fields(number)) for number in wanted_numbers(COUNT, RATE, interval_s)]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_libav_decodes_what_was_written(films: Path, stream: str, container: str) -> None:
    path = film(films, stream, container)
    given = taken(path, 1 / RATE)
    assert shown(given) == expected(1 / RATE)
    complaints = make(films / "out.yuv", "-xerror", "-i", str(path), "-fps_mode", "passthrough")
    assert complaints.stat().st_size == COUNT * 64 * 32 * 3 // 2


@pytest.fixture(scope="module")
def in_one_packet(films: Path) -> Callable[[str, float, str], Taken]:
    """What is taken of a film that has both fields in one packet."""

    @cache
    def of(stream: str, interval_s: float, mode: str) -> Taken:
        return taken(film(films, stream, "whole.mp4"), interval_s, mode)

    return of


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("container", APART)
@pytest.mark.parametrize("mode", ["exact", "fast", "keyframe"])
def test_pictures_have_both_fields_and_their_own_times_and_cost_no_more_than_in_one_packet(
    films: Path, in_one_packet: Callable[[str, float, str], Taken], stream: str, container: str, mode: str
) -> None:
    for interval_s in INTERVALS_S:
        given, whole = taken(film(films, stream, container), interval_s, mode), in_one_packet(stream, interval_s, mode)
        assert shown(given) == (shown(whole) if mode == "keyframe" else expected(interval_s))
        assert (given.tally, given.shortfalls) == (whole.tally, [])
        works = [(one.packets, one.keyframes, one.sent, one.alone, one.whole) for one in (given.work, whole.work)]
        assert works[0] == works[1]
        assert given.work.whole is None


@pytest.mark.parametrize("container", APART)
def test_a_keyframe_decoded_alone_has_both_fields(films: Path, container: str) -> None:
    given = taken(film(films, "open", container), 0.96, "keyframe")
    assert shown(given) == [(number, true_fields(number)) for number in range(0, COUNT, 2 * GROUP)]
    assert given.work.alone == given.work.decoded == 5


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("container", APART)
@pytest.mark.parametrize("interval_s", [0.3, 1.02, 4.02])
def test_a_plain_pass_gives_the_same(films: Path, stream: str, container: str, interval_s: float) -> None:
    log = LibavLog()
    with open_media(str(film(films, stream, container)), DEFAULTS, log) as opened:
        track = opened.streams.video[0]
        packets = TrackPackets(opened, track, log, 1e6, all_tracks=False)
        decoder = TrackDecoder(track, packets, log, FrameMode.EXACT, 1_000_000)
        progress = Progress(WantedTimes(interval_s), COUNT)
        times = [round(one.time_s * RATE) for one in PlainPass(packets, decoder, progress)]
    assert times == wanted_numbers(COUNT, RATE, interval_s)
    assert (packets.count, decoder.decoded, decoder.sent) == (COUNT, COUNT, COUNT)
    assert packets.end_s == pytest.approx(COUNT / RATE)
    assert (progress.hidden, progress.undecoded_from_s) == (0, None)


def test_fields_without_any_times_are_decoded_plainly(films: Path) -> None:
    raw = films / "raw.h264"
    raw.write_bytes(b"".join(part for picture in field_coded(COUNT) for part in picture.parts))
    given = taken(raw, 1 / RATE)
    assert [fields for _, fields in shown(given)] == [true_fields(number) for number in range(COUNT)]
    assert given.work.whole is Whole.NO_TIMES


@pytest.mark.parametrize("container", ["pictures.ts", "fields.ts"])
@pytest.mark.parametrize("stream", ["closed", "mixed"])
def test_a_recording_cut_anywhere_begins_with_a_whole_picture(films: Path, stream: str, container: str) -> None:
    data = film(films, stream, container).read_bytes()
    for skipped in range(2, 140, 19):
        (films / "cut.ts").write_bytes(data[188 * skipped :])
        given = taken(films / "cut.ts", 1.01)
        assert given.shortfalls == []
        assert given.work.whole is None
        for _, (top, bottom) in shown(given):
            assert top == bottom
            assert top[0] == top[1] // GROUP


@pytest.mark.parametrize("container", ["pictures.ts", "fields.ts"])
def test_fields_that_follow_pictures_without_are_found(films: Path, container: str) -> None:
    before = make(films / "before.ts", *numbered_source(4, RATE, "64x32"), *X264, "-g", str(GROUP))
    (films / "both.ts").write_bytes(before.read_bytes() + film(films, "closed", container).read_bytes())
    given = taken(films / "both.ts", 0.3)
    fields = [fields_of(picture.jpeg) for picture in given.pictures if picture.start_s > 4.5]
    assert len(fields) == 12
    assert fields == [true_fields(top[1]) for top, _ in fields]
    assert (given.work.packets, given.work.whole) == (100 + COUNT, None)


@pytest.mark.parametrize("field", [0, 1])
@pytest.mark.parametrize("timed", ["pictures", "fields"])
def test_a_damaged_field_is_told_of_its_picture(films: Path, field: int, timed: str) -> None:
    pictures = field_coded(COUNT)
    for number in (48, 49, 50):
        parts = next(list(picture.parts) for picture in pictures if picture.number == number)
        parts[field] = parts[field][: len(parts[field]) // 2]
        broken = [type(one)(number, one.is_key, tuple(parts)) if one.number == number else one for one in pictures]
        given = taken(wrapped(films / "damaged.ts", broken, timed=timed), number / RATE)
        ((reason, detail),) = given.shortfalls
        assert reason == "damaged"
        assert f"the picture at {number / RATE:.1f} s is damaged" in detail


def test_a_field_that_the_receiver_knew_to_be_damaged_is_told_of_its_picture(films: Path) -> None:
    data = film(films, "closed", "fields.ts").read_bytes()
    starts = [at for at in range(0, len(data), 188) if data[at + 1] & 0x5F == 0x41 and data[at + 2] == 0]
    path, seconds = films / "marked.ts", []
    for start in starts[97:103]:
        marked = bytearray(data)
        marked[start + 188 + 1] |= 0x80  # transport error
        path.write_bytes(marked)
        with av.open(str(path)) as container:
            times_s = [one.pts * one.time_base for one in container.demux(video=0) if one.pts and one.is_corrupt]
            (field,) = (round((time_s - Fraction(container.start_time or 0, 10**6)) * 2 * RATE) for time_s in times_s)
        number = field // 2
        ((reason, detail),) = taken(path, number / RATE).shortfalls
        assert (reason, detail.split(": ")[1]) == ("damaged", f"the picture at {number / RATE:.1f} s is damaged")
        seconds.append(field % 2)
    assert set(seconds) == {0, 1}
