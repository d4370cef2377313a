from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.cutting import FLICKS_PER_S, MAX_LEAD_FRAMES, RESERVOIR_BYTES, CutRules, Cutter, Frame

MP3_FRAME = FLICKS_PER_S * 1152 // 44_100
RULES = CutRules(60 * FLICKS_PER_S, 1_000_000, RESERVOIR_BYTES)

FRAMES = st.lists(
    st.builds(
        lambda length_ms, size, main: Frame(length_ms * FLICKS_PER_S // 1000, size, min(size, main)),
        st.integers(10, 128),
        st.integers(24, 8191),
        st.integers(0, 1500),
    ),
    max_size=600,
)
ANY_RULES = st.builds(
    CutRules,
    st.integers(10, 60).map(lambda seconds: seconds * FLICKS_PER_S),
    st.integers(100_000, 400_000),
    st.sampled_from([0, RESERVOIR_BYTES]),
)


def cut(frames: list[Frame], rules: CutRules, breaks: frozenset[int] = frozenset()) -> list[range]:
    """Return which frames stand in each chunk."""
    cutter, firsts, ends = Cutter(rules), [], []
    for at, frame in enumerate(frames):
        if at in breaks:
            cutter.stop()
        lead = cutter.feed(frame)
        if lead is not None:
            ends.append(at)
            firsts.append(at - lead)
    return [range(first, end) for first, end in zip(firsts, [*ends[1:], len(frames)], strict=False)]


@given(FRAMES, ANY_RULES, st.frozensets(st.integers(1, 600), max_size=4))
def test_every_frame_is_in_a_chunk_none_is_too_large_and_none_reaches_over_a_break(
    frames: list[Frame], rules: CutRules, breaks: frozenset[int]
) -> None:
    chunks = cut(frames, rules, breaks)
    assert {at for chunk in chunks for at in chunk} == set(range(len(frames)))
    for chunk in chunks:
        assert sum(frames[at].length for at in chunk) <= rules.max_length
        assert sum(frames[at].size_bytes for at in chunk) <= rules.max_bytes
        assert not any(chunk.start < at <= chunk[-1] for at in breaks)
    for one, other in itertools.pairwise(chunks):
        assert one.stop < other.stop  # each has something that none before it has


@given(FRAMES, ANY_RULES)
def test_a_chunk_in_mid_track_begins_with_a_whole_reservoir_and_a_quarter_of_a_second(
    frames: list[Frame], rules: CutRules
) -> None:
    chunks = cut(frames, rules)
    for before, chunk in itertools.pairwise(chunks):
        lead = [frames[at] for at in range(chunk.start, before.stop)]
        is_whole = (
            sum(frame.length for frame in lead) >= FLICKS_PER_S // 4
            and sum(frame.main_bytes for frame in lead) >= rules.reservoir_bytes
        )
        one_more = frames[chunk.start - 1] if chunk.start else None
        fits = one_more is None or (
            sum(frames[at].length for at in range(chunk.start - 1, before.stop + 1)) <= rules.max_length
            and sum(frames[at].size_bytes for at in range(chunk.start - 1, before.stop + 1)) <= rules.max_bytes
        )
        assert is_whole or chunk.start == 0 or len(lead) == MAX_LEAD_FRAMES or not fits


def test_what_fits_is_not_cut() -> None:
    assert cut([Frame(MP3_FRAME, 417, 380)] * 1000, RULES) == [range(1000)]


def test_a_word_that_is_said_across_a_cut_is_whole_in_one_of_the_chunks() -> None:
    first, second = cut([Frame(MP3_FRAME, 417, 380)] * 3000, RULES)
    assert 2.0 <= (first.stop - second.start) * 1152 / 44_100 < 2.1


def test_the_lowest_bit_rate_has_its_whole_reservoir() -> None:
    """8 kbit/s at 24 kHz: frames of 24 bytes, of which 11 can be reservoir."""
    frames = [Frame(FLICKS_PER_S * 576 // 24_000, 24, 11)] * 3000
    first, second = cut(frames, CutRules(10 * FLICKS_PER_S, 100_000, RESERVOIR_BYTES))[:2]
    assert (first.stop - second.start) * 11 >= RESERVOIR_BYTES
