from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.timeline import Hole, Timeline

RATE = 16_000


def stamp(pts: int | str, samples: int = 4000, rate: int = RATE) -> str:
    return (
        f"[Parsed_ashowinfo_5 @ 0x7fd80001c980] [info] n:17 pts:{pts} pts_time:1.7 fmt:s16 channels:1 chlayout:mono "
        f"rate:{rate} nb_samples:{samples} checksum:4983DD67 plane_checksums: [ 4983DD67 ]"
    )


def fed(*lines: str, container: str = "") -> Timeline:
    timeline = Timeline(RATE, container)
    for line in lines:
        timeline.take(line)
    return timeline


def header(start_s: float) -> str:
    return f"[info] Duration: 00:00:08.90, start: {start_s:.6f}, bitrate: 282 kb/s"


@given(st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from([0, 5000, 40_000, 10**9])), max_size=40))
def test_holes_are_what_time_stamps_leave_out(steps: list[tuple[int, int]]) -> None:
    timeline = Timeline(RATE)
    at = decoded = 0
    expected = []
    for samples, hole in steps:
        if hole and decoded:
            expected.append(Hole(decoded, hole, damaged=False))
            at += hole
        timeline.take(stamp(at, samples))
        at += samples
        decoded += samples
    assert list(timeline.holes) == expected
    assert timeline.shown == decoded


@given(st.lists(st.integers(-1900, 1900), max_size=60))
def test_jitter_is_no_hole(jitter: list[int]) -> None:
    stamps = [stamp(4000 * at + wobble) for at, wobble in enumerate(jitter)]
    assert not fed(*stamps).holes


def test_small_losses_add_up_until_they_show() -> None:
    timeline = fed(*(stamp(5000 * at) for at in range(9)))
    assert sum(hole.length for hole in timeline.holes) == 8 * 1000 - 8 * 1000 % 4000
    assert [hole.after for hole in timeline.holes] == [16_000, 32_000]


def test_the_start_of_the_file_is_taken_off() -> None:
    assert fed(header(1.4), stamp(round(5.4 * RATE))).start_s == pytest.approx(4.0)
    assert fed(header(1.4), stamp(round(1.4 * RATE) - 300)).start_s == 0.0
    assert fed(stamp("NOPTS")).start_s == 0.0


def test_a_header_like_line_after_sound_began_is_a_tag_and_changes_nothing() -> None:
    assert fed(header(1.4), stamp(round(5.4 * RATE)), header(99.0)).start_s == pytest.approx(4.0)


def test_samples_without_a_time_follow_those_before() -> None:
    timeline = fed(stamp(0), stamp("NOPTS"), stamp(8000))
    assert not timeline.holes
    assert timeline.shown == 12_000


def test_a_time_line_that_starts_anew_goes_on_and_later_holes_still_show() -> None:
    timeline = fed(stamp(30 * RATE), stamp(0), stamp(4000), stamp(4000 + 4000 + 9 * RATE))
    assert list(timeline.holes) == [Hole(12_000, 9 * RATE, damaged=False)]


def test_time_stamps_that_stumble_back_and_recover_make_no_hole() -> None:
    assert not fed(stamp(5 * RATE), stamp(RATE), stamp(5 * RATE + 8000)).holes


@pytest.mark.parametrize(
    "complaint",
    [
        "[aist#0:0/aac @ 0x55b] [dec:aac @ 0x55b] [error] Error submitting packet to decoder: Invalid data found",
        "[in#0/mpegts @ 0x556] [warning] Packet corrupt (stream = 0, dts = 1448880).",
        "[fatal] out of everything",
    ],
)
def test_a_hole_after_a_complaint_is_damage(complaint: str) -> None:
    timeline = fed(stamp(0), complaint, stamp(40_000))
    assert list(timeline.holes) == [Hole(4000, 36_000, damaged=True)]
    assert timeline.complaint in complaint


@pytest.mark.parametrize("line", ["[in#0/mp3 @ 0x5] [warning] Estimating duration from bitrate", "[info] [error", ""])
def test_other_lines_are_no_complaint(line: str) -> None:
    assert not fed(line).complaint


@pytest.mark.parametrize(
    ("line", "container"),
    [
        ("[in#0/matroska,webm @ 0x5581] [error] File ended prematurely", "matroska,webm"),
        ("[matroska,webm @ 0x5581] [error] File ended prematurely", "matroska,webm"),
    ],
)
def test_complaints_of_the_demuxer_are_told_from_those_of_the_decoder(line: str, container: str) -> None:
    assert fed(line, container=container).container_complaint == "File ended prematurely"
    assert not fed("[aac @ 0x55b8] [error] Reserved bit set.", container=container).container_complaint


def test_a_missing_decoder_and_a_lack_of_memory_are_known_by_their_messages() -> None:
    missing = fed("[aist#0:0/none @ 0x5] [fatal] Decoding requested, but no decoder found for: none")
    assert (missing.no_decoder, missing.no_memory) == (True, False)
    assert fed("[error] Error while filtering: Cannot allocate memory").no_memory
