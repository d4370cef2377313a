from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.cost import Cost

FREE, UNPRICED = Cost(), Cost(unpriced=True)


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        ([], None),
        ([FREE], None),
        ([Cost(0.5), Cost(0.25)], 0.75),
        ([Cost(0.5), FREE], 0.5),
        ([Cost(0.0), FREE], 0.0),
        ([UNPRICED], None),
        ([Cost(1.0), UNPRICED, Cost(2.0)], None),
    ],
)
def test_a_total_is_known_where_everything_that_was_charged_has_a_price(costs: list[Cost], total: float | None) -> None:
    for order in permutations(costs):
        assert sum(order, Cost()).total == total


@given(st.lists(st.builds(Cost, st.none() | st.integers(0, 100).map(float), st.booleans())), st.data())
def test_a_sum_of_sums_is_the_sum(costs: list[Cost], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(costs)))
    parts = [sum(costs[:at], Cost()), sum(costs[at:], Cost())]
    assert sum(parts, Cost()) == sum(costs, Cost())
