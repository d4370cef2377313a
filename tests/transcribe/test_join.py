from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batch_scan.transcribe.join import SAMPLE_RATE_HZ, Stretch, Window, Word, join, place, split

_MAX = 28 * SAMPLE_RATE_HZ
_HAIR_S = 1e-6


@st.composite
def _stretches(draw: st.DrawFn, longest: int = _MAX) -> list[Stretch]:
    gaps = draw(st.lists(st.tuples(st.integers(0, 10 * _MAX), st.integers(1, longest)), min_size=1, max_size=30))
    stretches, at = [], 0
    for gap, length in gaps:
        stretches.append(Stretch(at + gap, at + gap + length))
        at += gap + length
    return stretches


@st.composite
def _heard(draw: st.DrawFn) -> tuple[Window, list[Word]]:
    """A window and words in it as Whisper gives them: in order, now and then beyond the end."""
    window = Window(tuple(draw(_stretches())))
    reach_s = window.samples / SAMPLE_RATE_HZ + 1.0
    edges = sorted(draw(st.lists(st.floats(0, reach_s), min_size=2, max_size=40)))
    return window, [Word(start, end, f" {at}") for at, (start, end) in enumerate(pairwise(edges))]


@given(_stretches(longest=4 * _MAX))
def test_splitting_keeps_every_sample_and_makes_no_piece_too_long(stretches: list[Stretch]) -> None:
    pieces = list(split(stretches, _MAX))
    assert all(0 < piece.samples <= _MAX for piece in pieces)
    assert sum(piece.samples for piece in pieces) == sum(stretch.samples for stretch in stretches)
    assert {piece.start for piece in pieces} >= {stretch.start for stretch in stretches}
    assert all(one.end <= two.start for one, two in pairwise(pieces))


@given(_stretches())
def test_windows_hold_every_stretch_once_in_order_and_no_more_than_fits(stretches: list[Stretch]) -> None:
    windows = list(join(stretches, _MAX))
    assert [stretch for window in windows for stretch in window.stretches] == stretches
    assert all(window.samples <= _MAX for window in windows)


@given(_stretches())
def test_no_two_neighbouring_windows_would_have_fitted_into_one(stretches: list[Stretch]) -> None:
    windows = list(join(stretches, _MAX))
    assert all(one.samples + two.stretches[0].samples > _MAX for one, two in pairwise(windows))


@given(_heard())
def test_every_word_comes_back_once_in_order(heard: tuple[Window, list[Word]]) -> None:
    window, words = heard
    assert [word.text for words in place(window, words) for word in words] == [word.text for word in words]


@given(_heard())
def test_words_lie_inside_one_stretch_each_and_never_go_back(heard: tuple[Window, list[Word]]) -> None:
    window, words = heard
    groups = place(window, words)
    for group in groups:
        assert any(
            stretch.start_s - _HAIR_S <= group[0].start_s
            and max(word.end_s for word in group) <= stretch.end_s + _HAIR_S
            for stretch in window.stretches
        )
        assert all(word.start_s <= word.end_s for word in group)
    placed = [word for group in groups for word in group]
    assert all(one.start_s <= two.start_s and one.end_s <= two.end_s for one, two in pairwise(placed))


@given(_heard())
def test_a_word_well_inside_its_stretch_keeps_its_length(heard: tuple[Window, list[Word]]) -> None:
    window, _ = heard
    starts, at = [], 0
    for stretch in window.stretches:
        starts.append(at)
        at += stretch.samples
    for index, (stretch, start) in enumerate(zip(window.stretches, starts, strict=True)):
        quarter = stretch.samples / 4
        said = Word((start + quarter) / SAMPLE_RATE_HZ, (start + 3 * quarter) / SAMPLE_RATE_HZ, "w")
        ((placed,),) = place(window, [said])
        assert abs(placed.start_s - (stretch.start + quarter) / SAMPLE_RATE_HZ) < _HAIR_S
        assert abs(placed.end_s - (stretch.start + 3 * quarter) / SAMPLE_RATE_HZ) < _HAIR_S
        assert window.stretch_at((said.start_s + said.end_s) / 2) == index


def test_a_sentence_that_runs_through_a_left_out_silence_is_parted_there() -> None:
    second = SAMPLE_RATE_HZ
    window = Window((Stretch(0, 2 * second), Stretch(600 * second, 603 * second)))
    words = [Word(0.5, 1.0, " hello"), Word(1.2, 1.9, " there"), Word(2.5, 3.0, " again")]
    assert place(window, words) == [
        (Word(0.5, 1.0, " hello"), Word(1.2, 1.9, " there")),
        (Word(600.5, 601.0, " again"),),
    ]


def test_nothing_said_gives_nothing() -> None:
    assert list(join([], _MAX)) == []
    assert list(split([], _MAX)) == []
    assert place(Window((Stretch(0, 10),)), []) == []
