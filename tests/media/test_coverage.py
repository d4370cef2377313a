from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import MediaError
from batch_scan.media.coverage import SoundRead, Unread, judge
from batch_scan.media.interface import AudioTally
from batch_scan.media.timeline import Hole, Timeline
from batch_scan.vocabulary import Reason

RATE = 1000


def read_of(seconds: float, stopped: MediaError | None = None, **known: Any) -> SoundRead:
    return SoundRead(RATE, decoded=round(seconds * RATE), stopped=stopped, **known)


def reasons(read: SoundRead, declared_s: float | None) -> list[Reason]:
    return [short.reason for short in judge(read, timeline(), 1, declared_s)[0]]


def timeline() -> Timeline:
    return Timeline(RATE)


@pytest.mark.parametrize(
    ("declared_s", "decoded_s", "damaged"),
    [(30, 30, False), (30, 29.6, False), (30, 29.4, True), (30, 31, False), (0.04, 0.02, False), (0.04, 0.0, True)],
)
def test_less_decoded_than_declared_is_damage_beyond_codec_delay(
    declared_s: float,
    decoded_s: float,
    damaged: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert bool(reasons(read_of(decoded_s), declared_s)) == damaged


def test_no_more_than_two_seconds_of_a_long_file_may_be_missing() -> None:
    assert reasons(read_of(7198.1), 7200) == []
    assert reasons(read_of(7197.9), 7200) == [Reason.DAMAGED]


def test_both_figures_are_named() -> None:
    (short,), tally = judge(read_of(13.9), timeline(), 1, 30.0)
    assert short.detail == "sound decoded to 13.9 s of 30.0 s declared"
    assert tally == AudioTally(1, 30.0, 13.9)


def test_what_is_declared_nowhere_is_planned_as_it_was_decoded() -> None:
    assert judge(read_of(13.9), timeline(), 1, None) == ([], AudioTally(1, 13.9, 13.9))


def test_holes_without_sound_count_as_heard_and_lost_sound_does_not() -> None:
    read = read_of(20)
    read.add_hole(5000, Hole(5000, 6000, damaged=False))
    assert judge(read, timeline(), 1, 26.0) == ([], AudioTally(1, 26.0, 26.0))
    read.add_hole(15_000, Hole(9000, 4000, damaged=True))
    (short,), tally = judge(read, timeline(), 1, 30.0)
    assert short.reason is Reason.DAMAGED
    assert short.detail == "4.0 s of sound are missing at 15.0 to 19.0 s"
    assert tally == AudioTally(1, 30.0, 26.0)
    assert judge(read, timeline(), 1, None)[1] == AudioTally(1, 30.0, 26.0)
    assert read.is_lost(0, 15_001)
    assert not read.is_lost(19_000, 20_000)


def test_many_lost_places_are_counted_not_listed() -> None:
    read = read_of(20)
    for at in range(9):
        read.add_hole(at * 2000, Hole(at, 1000, damaged=True))
    assert judge(read, timeline(), 1, 29.0)[0][0].detail.endswith("and 6 more places")


@pytest.mark.parametrize("reason", [Reason.DECODER_CRASHED, Reason.DECODER_LIMIT, Reason.CODEC_UNSUPPORTED])
def test_a_decoder_that_ends_badly_is_named_even_where_all_seems_there(reason: Reason) -> None:
    assert reasons(read_of(30, MediaError(reason, "it ended")), 30) == [reason]
    (short,), _ = judge(read_of(0, MediaError(reason, "it ended")), timeline(), 1, 30)
    assert short.detail == "it ended"


@pytest.mark.parametrize(
    ("frames", "refused", "damaged"), [(100, 0, False), (1, 2, False), (33, 67, True), (0, 1, True)]
)
def test_a_decoder_that_refuses_most_of_a_track_has_failed(
    frames: int,
    refused: int,
    damaged: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert bool(reasons(read_of(30, frames=frames, refused=refused), 30)) == damaged


def test_a_decoder_that_was_stopped_and_a_file_too_long_say_how_far_they_came() -> None:
    read = read_of(12)
    read.stopped = MediaError(Reason.DECODER_TIMEOUT, "it kept us waiting")
    assert judge(read, timeline(), 1, 30)[0][0].detail == "it kept us waiting, after 12.0 s of sound"
    read = read_of(12)
    read.too_long = True
    assert reasons(read, 30) == [Reason.TOO_LONG]


def test_a_damaged_container_matters_where_nothing_else_tells_the_length() -> None:
    read = read_of(12, container_complaint="Something odd")
    assert reasons(read, None) == [Reason.DAMAGED]
    assert reasons(read, 12.0) == []


@pytest.mark.parametrize("declared_s", [None, 12.0])
def test_packets_at_the_end_that_gave_no_sound_are_damage(declared_s: float | None) -> None:
    assert reasons(read_of(12, unheard_s=0.4), declared_s) == []
    assert reasons(read_of(12, unheard_s=3.0), declared_s) == [Reason.DAMAGED]


def test_what_is_lost_is_found_among_many_holes() -> None:
    read = read_of(12)
    for start in range(0, 1000, 10):
        read.add_hole(start, Hole(start, 4, damaged=True))
    places = [place for place in range(1000) if read.is_lost(place, place + 1)]
    assert places == [place for place in range(1000) if place % 10 < 4]
    assert read.is_lost(0, 1000)
    assert not read.is_lost(4, 10)
    assert not read.is_lost(1000, 2000)


@pytest.mark.parametrize(
    ("length_s", "declared_s", "planned_s"), [(0.4, None, 12), (3, None, 15), (3, 12, 15), (3, 30, 30)]
)
def test_bytes_that_nobody_reads_are_told_and_planned_for(
    length_s: float, declared_s: float | None, planned_s: float
) -> None:
    shortfalls, tally = judge(read_of(12, unread=Unread(20_000, length_s, 4.2)), timeline(), 1, declared_s)
    assert tally == AudioTally(1, planned_s, 12)
    if length_s < 0.5:
        assert shortfalls == []
    else:
        assert shortfalls[-1].detail == (
            "20,000 bytes at 4.2 s are no sound that can be read, as many as 3.0 s of it take"
        )


def test_cut_files_are_told() -> None:
    assert reasons(read_of(12, cut=True), 12) == [Reason.DAMAGED]


def test_what_the_decoder_complained_of_stands_beside_what_is_missing() -> None:
    (short,), _ = judge(read_of(12, complaint="it is\nodd"), timeline(), 1, 30)
    assert short.detail.endswith("declared: it is odd")


@given(
    st.integers(0, 40_000),
    st.one_of(st.none(), st.floats(0.01, 40)),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 9000), st.booleans()), max_size=5),
)
def test_a_track_that_falls_short_is_never_silent_about_it(
    decoded: int, declared_s: float | None, holes: list[tuple[int, int, bool]]
) -> None:
    read = SoundRead(RATE, decoded=decoded)
    for start, length, damaged in holes:
        read.add_hole(start, Hole(start, length, damaged=damaged))
    shortfalls, tally = judge(read, timeline(), 1, declared_s)
    missing_s = tally.planned_s - tally.decoded_s
    assert shortfalls or (missing_s <= 2.0 and decoded and not any(damaged for *_, damaged in holes))
