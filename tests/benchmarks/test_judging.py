from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.judging import against
from benchmarks.results import Row, rows_of
from benchmarks.targets import Sense, Target

SPEED = Target("naive / ours", "speed", "ratio", Sense.AT_LEAST, {"web": 11.0, "hevc": 5.0}, ("film",))
COST = Target("ours / bare", "speed", "cost", Sense.AT_MOST, 1.1, ("film", "every, s"))


def judged(target: Target, *rows: Row) -> tuple[float | str, float | str]:
    """Return the cells of what was measured and of the verdict."""
    (line,) = rows_of(against([target], {target.case: rows} if rows else {}))
    return line["measured"], line[""]


def test_what_no_run_told_of_is_not_measured() -> None:
    assert judged(COST) == ("", "not measured")


def test_rows_to_which_a_target_does_not_apply_are_no_measurement() -> None:
    target = Target("x", "speed", "ratio", Sense.AT_LEAST, 1.0, (), {"mode": "exact"})

    assert judged(target, {"mode": "fast", "ratio": 2.0}) == ("", "not measured")


def test_every_film_is_held_to_its_own_limit() -> None:
    rows: list[Row] = [{"film": "web", "ratio": 9.4}, {"film": "hevc", "ratio": 5.0}, {"film": "long", "ratio": 0.1}]

    assert judged(SPEED, *rows) == ("web 9.4, hevc 5", "not reached by 1 of 2: web 9.4")


def test_a_film_that_was_not_measured_is_named() -> None:
    assert judged(SPEED, {"film": "web", "ratio": 12.0}) == ("web 12", "reached; not measured: hevc")


def test_of_a_row_measured_twice_the_later_counts() -> None:
    rows: list[Row] = [{"film": "web", "every, s": 5.0, "cost": 1.0}, {"film": "web", "every, s": 5.0, "cost": 1.2}]

    assert judged(COST, *rows) == ("web 5 1.2", "not reached")


def test_many_figures_are_told_by_their_range_and_the_worst_misses_first() -> None:
    rows: list[Row] = [{"film": "web", "every, s": float(every), "cost": 1.0 + every / 10} for every in range(11)]

    found, verdict = judged(COST, *rows)

    assert found == "11 figures, 1 to 2"
    assert str(verdict).startswith("not reached by 9 of 11: web 10 2, web 9 1.9,")
    assert str(verdict).endswith(" and 1 more")


def test_a_figure_may_be_a_share_of_another_column() -> None:
    target = Target("same", "identity", "same", Sense.AT_LEAST, 1.0, ("film",), {}, "pictures")

    assert judged(target, {"film": "web", "same": 60.0, "pictures": 60.0}) == ("web 1", "reached")
    assert judged(target, {"film": "web", "same": 59.0, "pictures": 60.0}) == ("web 0.983", "not reached")


def test_a_table_without_the_column_of_a_target_is_told_of() -> None:
    assert judged(COST, {"film": "web", "ratio": 1.0}) == ("", "not measured: speed told of no 'cost'")


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.sampled_from(Sense))
def test_a_target_is_reached_on_its_side_of_the_limit_and_at_it(value: float, limit: float, sense: Sense) -> None:
    target = Target("x", "speed", "ratio", sense, limit)

    _, verdict = judged(target, {"ratio": value})

    within = value <= limit if sense is Sense.AT_MOST else value >= limit
    assert (verdict == "reached") == within
