from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.pace.concurrency import GROWTH_REST_S, ConcurrencyController
from batch_scan.pace.interface import Feedback

if TYPE_CHECKING:
    from collections.abc import Sequence


def fill(controller: ConcurrencyController) -> list[int]:
    """Start requests until there is no room."""
    episodes = []
    while controller.has_room:
        episodes.append(controller.started())
    return episodes


class FullHouse:
    """Replaces every request that comes back at once."""

    def __init__(self, controller: ConcurrencyController) -> None:
        self.controller = controller
        self.out = deque(fill(controller))

    def round(self, feedback: Feedback, now_s: float = 0.0) -> None:
        """Have everything that is out now come back."""
        for _ in range(len(self.out)):
            self.controller.returned(self.out.popleft(), feedback, now_s)
            self.out.extend(fill(self.controller))


@pytest.mark.parametrize(("maximum", "start"), [(1, 1), (3, 3), (4, 4), (100, 4)])
def test_it_starts_at_a_modest_value_within_its_bound(maximum: int, start: int) -> None:
    assert ConcurrencyController(maximum, 0.0).limit == start


def test_answers_under_a_full_house_make_it_grow_to_its_bound_and_no_further() -> None:
    controller = ConcurrencyController(20, 0.0)
    house = FullHouse(controller)
    house.round(Feedback.ANSWERED)
    assert controller.limit == 8
    for _ in range(5):
        house.round(Feedback.ANSWERED)
    assert controller.limit == 20


def test_answers_that_come_while_there_is_room_do_not_make_it_grow() -> None:
    controller = ConcurrencyController(20, 0.0)
    for _ in range(100):
        controller.returned(controller.started(), Feedback.ANSWERED, 0.0)
    assert controller.limit == 4


def test_a_rate_limit_halves_it_once_however_many_refusals_of_the_same_episode_arrive() -> None:
    controller = ConcurrencyController(16, 0.0, start=16)
    opened = [controller.returned(episode, Feedback.RATE_LIMITED, 0.0) for episode in fill(controller)]
    assert opened == [True] + [False] * 15
    assert controller.limit == 8


def test_a_request_sent_after_the_cut_opens_a_new_episode() -> None:
    controller = ConcurrencyController(16, 0.0, start=16)
    first, *rest = fill(controller)
    controller.returned(first, Feedback.RATE_LIMITED, 0.0)
    for episode in rest:
        controller.returned(episode, Feedback.RATE_LIMITED, 0.0)
    assert controller.returned(controller.started(), Feedback.RATE_LIMITED, 1.0)
    assert controller.limit == 4


def test_answers_to_requests_from_before_the_cut_do_not_undo_it() -> None:
    controller = ConcurrencyController(16, 0.0, start=16)
    first, *rest = fill(controller)
    controller.returned(first, Feedback.RATE_LIMITED, 0.0)
    for episode in rest:
        controller.returned(episode, Feedback.ANSWERED, 0.0)
    assert controller.limit == 8


def test_after_a_cut_one_whole_round_of_answers_adds_one() -> None:
    controller = ConcurrencyController(16, 0.0, start=16)
    for episode in fill(controller):
        controller.returned(episode, Feedback.RATE_LIMITED, 0.0)
    house = FullHouse(controller)
    house.round(Feedback.ANSWERED)
    assert controller.limit == 9
    house.round(Feedback.ANSWERED)
    assert controller.limit == 10


def test_trouble_never_shrinks_it_and_stops_growth_for_a_while() -> None:
    controller = ConcurrencyController(100, 0.0)
    house = FullHouse(controller)
    house.round(Feedback.TROUBLED, now_s=1.0)
    assert controller.limit == 4
    house.round(Feedback.ANSWERED, now_s=GROWTH_REST_S)
    assert controller.limit == 4
    house.round(Feedback.ANSWERED, now_s=1.0 + GROWTH_REST_S)
    assert controller.limit == 5


def test_a_slot_given_back_unused_says_nothing_about_the_service() -> None:
    controller = ConcurrencyController(100, 0.0)
    FullHouse(controller).round(Feedback.NOT_SENT)
    assert controller.limit == 4


@given(
    st.integers(1, 50), st.lists(st.tuples(st.sampled_from(Feedback), st.integers(0, 60), st.booleans()), max_size=200)
)
def test_it_never_leaves_its_bounds_nor_loses_count(maximum: int, events: Sequence[tuple[Feedback, int, bool]]) -> None:
    controller, now_s, out = ConcurrencyController(maximum, 0.0), 0.0, list[int]()
    for feedback, passed_s, oldest_first in events:
        now_s += passed_s
        if controller.has_room:
            out.append(controller.started())
        if controller.has_room:
            out.append(controller.started())
        if out:
            before, episode = controller.limit, out.pop(0 if oldest_first else -1)
            controller.returned(episode, feedback, now_s)
            assert controller.limit >= before or feedback is Feedback.RATE_LIMITED
            assert controller.limit <= before or feedback is Feedback.ANSWERED
        assert 1 <= controller.limit <= maximum
        assert controller.in_flight == len(out)
