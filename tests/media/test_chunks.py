from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.chunks import (
    SILENCE_PEAK,
    ChunkPlanner,
    ChunkRules,
    Kind,
    Span,
    SpanKind,
    Window,
    measure,
    quietest_cut,
)

RATE = 1000
WINDOW = RATE // 10


def rules(
    max_s: float, *, search_s: float | None = None, skip_silence: bool = True, split_silence_s: float = 0.0
) -> ChunkRules:
    made = ChunkRules.for_rate(RATE, round(max_s * RATE), skip_silence=skip_silence, split_silence_s=split_silence_s)
    if search_s is None:
        return made
    search = round(search_s * RATE)
    return ChunkRules(made.max_length, search, made.pad, made.min_silence, made.skip_silence, made.split)


def windows_of(pattern: list[tuple[Kind, int, float]]) -> list[Window]:
    """Windows for runs of (kind, count, level); a hole is one window of `count` window lengths."""
    made: list[Window] = []
    at = 0
    for kind, count, level in pattern:
        lengths = [count * WINDOW] if kind is Kind.HOLE else [WINDOW] * count
        for length in lengths:
            made.append(Window(at, at + length, kind, level))
            at += length
    return made


def plan(windows: list[Window], chosen: ChunkRules, expected: int | None = None) -> list[Span]:
    planner = ChunkPlanner(chosen, expected)
    spans = [span for window in windows for span in planner.feed(window)]
    return spans + planner.finish()


def sound(seconds: float, level: float = 1e6) -> tuple[Kind, int, float]:
    return Kind.SOUND, round(seconds * 10), level


def silence(seconds: float) -> tuple[Kind, int, float]:
    return Kind.SILENCE, round(seconds * 10), 1.0


def hole(seconds: float) -> tuple[Kind, int, float]:
    return Kind.HOLE, round(seconds * 10), 0.0


def in_seconds(spans: list[Span]) -> list[tuple[str, float, float]]:
    return [(span.kind.value, span.start / RATE, span.end / RATE) for span in spans]


def chunks_in(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.kind is SpanKind.CHUNK]


runs = st.lists(
    st.tuples(st.sampled_from(Kind), st.integers(1, 120), st.sampled_from([1.0, 5.0, 1e3, 1e6])),
    min_size=1,
    max_size=30,
)
bounds = st.builds(
    rules,
    st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.55, 5.0, 10.0, 33.3, 200.0]),
    search_s=st.sampled_from([None, 0.0, 0.1, 0.3]),
    skip_silence=st.booleans(),
    split_silence_s=st.sampled_from([0.0, 4.0]),
)


# ------------------------------------------------------------------------------------------------------ always true


@given(runs, bounds, st.one_of(st.none(), st.integers(0, 400_000)))
def test_spans_cover_the_track_once_and_in_order(
    pattern: list[tuple[Kind, int, float]], chosen: ChunkRules, expected: int | None
) -> None:
    windows = windows_of(pattern)
    at = 0
    for span in plan(windows, chosen, expected):
        assert span.start == at
        assert span.end > span.start
        at = span.end
    assert at == windows[-1].end


@given(runs, bounds, st.one_of(st.none(), st.integers(0, 400_000)))
def test_no_chunk_is_longer_than_it_may_be(
    pattern: list[tuple[Kind, int, float]], chosen: ChunkRules, expected: int | None
) -> None:
    for span in chunks_in(plan(windows_of(pattern), chosen, expected)):
        assert span.end - span.start <= chosen.max_length


@given(runs, bounds)
def test_every_window_with_sound_is_in_a_chunk(pattern: list[tuple[Kind, int, float]], chosen: ChunkRules) -> None:
    windows = windows_of(pattern)
    spans = plan(windows, chosen)
    for window in windows:
        if window.kind is Kind.SOUND:
            assert any(span.start <= window.start and window.end <= span.end for span in chunks_in(spans))


@given(runs, bounds)
def test_silence_and_holes_are_never_confused(pattern: list[tuple[Kind, int, float]], chosen: ChunkRules) -> None:
    windows = windows_of(pattern)
    for span in plan(windows, chosen):
        if span.kind is SpanKind.CHUNK:
            continue
        for window in windows:
            if window.start < span.end and span.start < window.end:
                assert window.kind.value == span.kind.value


@given(runs, bounds)
def test_what_is_certain_of_an_open_chunk_never_leaves_it(
    pattern: list[tuple[Kind, int, float]], chosen: ChunkRules
) -> None:
    planner = ChunkPlanner(chosen)
    promised: list[tuple[int, int]] = []
    spans: list[Span] = []
    for window in windows_of(pattern):
        spans += planner.feed(window)
        if planner.open_chunk is not None:
            promised.append(planner.open_chunk)
    ends = {span.start: span.end for span in chunks_in(spans + planner.finish())}
    assert all(ends[start] >= certain for start, certain in promised)


@given(runs, bounds)
def test_no_later_chunk_begins_before_what_is_needed(
    pattern: list[tuple[Kind, int, float]], chosen: ChunkRules
) -> None:
    planner = ChunkPlanner(chosen)
    for window in windows_of(pattern):
        before = planner.open_chunk
        needed_from = planner.needed_from
        begun = [span.start for span in chunks_in(planner.feed(window))]
        begun += [planner.open_chunk[0]] if planner.open_chunk is not None else []
        assert all(start >= needed_from for start in begun if before is None or start != before[0])
        assert planner.needed_from >= needed_from


@given(
    st.integers(1, 3000),
    st.integers(1, 400).map(lambda windows: windows * WINDOW / RATE),
    st.lists(st.sampled_from([10.0, 1e3, 1e6]), min_size=1, max_size=50),
)
def test_a_track_of_known_length_without_silence_gets_the_fewest_chunks(
    count: int, max_s: float, levels: list[float]
) -> None:
    windows = windows_of([(Kind.SOUND, 1, levels[at % len(levels)]) for at in range(count)])
    chosen = rules(max_s)
    length = count * WINDOW
    assert len(plan(windows, chosen, length)) == -(-length // chosen.max_length)


@given(st.integers(1, 3000), st.integers(1, 400).map(lambda windows: windows * WINDOW / RATE))
def test_a_track_of_unknown_length_needs_few_more(count: int, max_s: float) -> None:
    chosen = rules(max_s)
    spans = plan(windows_of([(Kind.SOUND, count, 1e6)]), chosen)
    assert len(spans) <= -(-count * WINDOW // (chosen.max_length - chosen.search))


@given(runs, bounds)
def test_chunks_are_no_more_than_silence_and_length_ask_for(
    pattern: list[tuple[Kind, int, float]], chosen: ChunkRules
) -> None:
    """Two neighbouring chunks and what lies between them would not have fitted into one."""
    if chosen.split:
        return
    chunks = chunks_in(plan(windows_of(pattern), chosen))
    for before, after in pairwise(chunks):
        assert after.end - before.start > chosen.max_length - chosen.search - chosen.pad


@given(st.lists(st.integers(-32768, 32767), max_size=500), st.integers(1, 64), st.integers(0, 10**9))
def test_measured_windows_cover_the_samples_and_only_quiet_ones_are_silent(
    samples: list[int], window: int, start: int
) -> None:
    pcm = np.array(samples, dtype=np.int16)
    at = start
    for each in measure(pcm, start, window):
        assert each.start == at
        at = each.end
        piece = samples[each.start - start : each.end - start]
        assert (each.kind is Kind.SILENCE) == (max(map(abs, piece)) <= SILENCE_PEAK)
        assert each.level == pytest.approx(sum(value * value for value in piece) / len(piece), rel=1e-4)
    assert at == start + len(samples)


# ---------------------------------------------------------------------------------------------------------- examples


def test_sound_that_fits_is_one_chunk_however_many_pauses_it_has() -> None:
    windows = windows_of([sound(10), silence(8), sound(1), silence(20), sound(5)])
    assert in_seconds(plan(windows, rules(60))) == [("chunk", 0.0, 44.0)]


def test_silence_at_both_ends_is_left_out_but_for_a_little() -> None:
    windows = windows_of([silence(10), sound(5), silence(10)])
    assert in_seconds(plan(windows, rules(60))) == [
        ("silence", 0.0, 9.7),
        ("chunk", 9.7, 15.3),
        ("silence", 15.3, 25.0),
    ]


def test_short_silence_at_the_ends_stays() -> None:
    windows = windows_of([silence(2), sound(5), silence(2)])
    assert in_seconds(plan(windows, rules(60))) == [("chunk", 0.0, 9.0)]


def test_a_silent_track_has_no_chunk() -> None:
    assert in_seconds(plan(windows_of([silence(0.1)]), rules(60))) == [("silence", 0.0, 0.1)]
    assert in_seconds(plan(windows_of([silence(1000)]), rules(60))) == [("silence", 0.0, 1000.0)]


def test_a_silent_track_is_handed_on_where_silence_is_wanted() -> None:
    spans = plan(windows_of([silence(100)]), rules(60, skip_silence=False), 100 * RATE)
    assert [span.kind for span in spans] == [SpanKind.CHUNK] * 2


def test_a_pause_too_long_for_one_chunk_parts_two_and_is_left_out() -> None:
    windows = windows_of([sound(10), silence(100), sound(10)])
    assert in_seconds(plan(windows, rules(60))) == [
        ("chunk", 0.0, 10.3),
        ("silence", 10.3, 109.7),
        ("chunk", 109.7, 120.0),
    ]


def test_a_chunk_ends_in_the_pause_before_the_sound_that_no_longer_fits() -> None:
    windows = windows_of([sound(50), silence(0.5), sound(30)])
    assert in_seconds(plan(windows, rules(60, search_s=12))) == [("chunk", 0.0, 50.4), ("chunk", 50.4, 80.5)]


def test_a_cut_in_sound_is_made_where_it_is_quietest() -> None:
    windows = windows_of([sound(57), sound(0.2, 1e3), sound(10)])
    assert in_seconds(plan(windows, rules(60))) == [("chunk", 0.0, 57.1), ("chunk", 57.1, 67.2)]


def test_a_quiet_place_is_not_worth_a_further_chunk() -> None:
    windows = windows_of([sound(57), sound(0.2, 1e3), sound(62.7)])
    assert len(plan(windows, rules(60))) == 3
    assert in_seconds(plan(windows, rules(60), 120 * RATE - WINDOW)) == [("chunk", 0.0, 60.0), ("chunk", 60.0, 119.9)]


def test_a_long_hole_is_one_span_and_no_chunk() -> None:
    windows = windows_of([sound(5), hole(20_000), sound(5)])
    assert in_seconds(plan(windows, rules(60))) == [
        ("chunk", 0.0, 5.0),
        ("hole", 5.0, 20_005.0),
        ("chunk", 20_005.0, 20_010.0),
    ]


def test_a_short_hole_stays_inside_its_chunk() -> None:
    assert in_seconds(plan(windows_of([sound(5), hole(2), sound(5)]), rules(60))) == [("chunk", 0.0, 12.0)]


def test_a_hole_next_to_silence_keeps_its_own_span() -> None:
    windows = windows_of([silence(5), hole(100), silence(5), sound(1)])
    assert in_seconds(plan(windows, rules(60))) == [
        ("silence", 0.0, 5.0),
        ("hole", 5.0, 105.0),
        ("silence", 105.0, 109.7),
        ("chunk", 109.7, 111.0),
    ]


def test_silence_parts_chunks_for_a_taker_who_pays_by_the_second() -> None:
    windows = windows_of([sound(10), silence(3.5), sound(10), silence(5), sound(10)])
    assert in_seconds(plan(windows, rules(60, split_silence_s=4))) == [
        ("chunk", 0.0, 23.8),
        ("silence", 23.8, 28.2),
        ("chunk", 28.2, 38.5),
    ]


def test_the_last_of_equally_quiet_places_is_taken() -> None:
    assert quietest_cut(windows_of([sound(1, 5.0)])) == 900


def test_a_bound_below_one_window_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rules(0.05)


@pytest.mark.parametrize(("peak", "kind"), [(32, Kind.SILENCE), (33, Kind.SOUND), (184, Kind.SOUND)])
def test_speech_at_minus_45_dbfs_is_sound_and_the_noise_floor_is_not(peak: int, kind: Kind) -> None:
    wave = np.zeros(1600, dtype=np.int16)
    wave[7] = -peak
    assert [window.kind for window in measure(wave, 0, 1600)] == [kind]
