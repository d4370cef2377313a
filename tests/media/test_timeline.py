from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.timeline import Hole, Timeline

RATE = 16_000


def fed(*stamps: int | tuple[int, int]) -> Timeline:
    """Show stretches of 4,000 samples, or of so many as are said."""
    timeline = Timeline(RATE)
    for stamp in stamps:
        at, samples = stamp if isinstance(stamp, tuple) else (stamp, 4000)
        timeline.show(at, samples)
    return timeline


@given(st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from([0, 5000, 40_000, 10**9])), max_size=40))
def test_holes_are_what_time_stamps_leave_out(steps: list[tuple[int, int]]) -> None:
    timeline = Timeline(RATE)
    at = decoded = 0
    expected = []
    for samples, hole in steps:
        if hole and decoded:
            expected.append(Hole(decoded, hole, damaged=False))
            at += hole
        timeline.show(at, samples)
        at += samples
        decoded += samples
    assert list(timeline.holes) == expected
    assert timeline.shown == decoded


@given(st.lists(st.integers(-1900, 1900), max_size=60))
def test_jitter_is_no_hole(jitter: list[int]) -> None:
    stamps = [4000 * at + wobble for at, wobble in enumerate(jitter)]
    assert not fed(*stamps).holes


def test_small_losses_add_up_until_they_show() -> None:
    timeline = fed(*(5000 * at for at in range(9)))
    assert sum(hole.length for hole in timeline.holes) == 8 * 1000 - 8 * 1000 % 4000
    assert [hole.after for hole in timeline.holes] == [16_000, 32_000]


def test_a_track_starts_when_its_first_sample_is_heard_and_never_before_its_file() -> None:
    assert fed(4 * RATE, 4 * RATE + 4000).start_s == 4.0
    assert fed(-300).start_s == 0.0
    assert fed().start_s == 0.0


def test_a_time_line_that_starts_anew_goes_on_and_later_holes_still_show() -> None:
    timeline = fed(30 * RATE, 0, 4000, 4000 + 4000 + 9 * RATE)
    assert list(timeline.holes) == [Hole(12_000, 9 * RATE, damaged=False)]


def test_time_stamps_that_stumble_back_and_recover_make_no_hole() -> None:
    assert not fed(5 * RATE, RATE, 5 * RATE + 8000).holes


def test_a_hole_after_a_complaint_is_damage_and_one_before_is_not() -> None:
    timeline = Timeline(RATE)
    for at, complained in ((0, False), (40_000, False), (80_000, True), (120_000, False)):
        timeline.show(at, 4000, complained=complained)
    assert [hole.damaged for hole in timeline.holes] == [False, True, True]
    assert timeline.holes[0] == Hole(4000, 36_000, damaged=False)


@given(st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from([0, 0, 5000, -100, -5000, -200_000])), max_size=40))
def test_what_joins_on_may_be_put_on_the_line_without_its_time(steps: list[tuple[int, int]]) -> None:
    told, quick, at = Timeline(RATE), Timeline(RATE), 700
    for samples, ahead in steps:
        at += ahead
        told.show(at, samples)
        if quick.shown and abs(at - quick.expected) < RATE // 4:
            quick.go_on(samples)
        else:
            quick.show(at, samples)
        at += samples
    assert (quick.end, quick.expected, quick.shown, quick.holes) == (told.end, told.expected, told.shown, told.holes)
    assert told.end == told.shown + sum(hole.length for hole in told.holes)
