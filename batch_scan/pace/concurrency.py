"""How many requests to one service may be in flight: additive increase, multiplicative decrease.

A state machine without a clock, a loop or a lock: whoever holds it says what happened and when.

The law:

- It starts small. Until the service first complains, each answer that came while the limit was in use adds one; from
  then on one whole round of answers adds one.
- A rate limit halves it, once per episode: requests that were sent before the cut cannot cause a second one, however
  late their refusal arrives. None of their answers makes it grow either.
- 5xx and network errors say nothing about how many requests are too many, so they never shrink it; growth rests for
  `GROWTH_REST_S`.
- It never leaves 1 to `maximum`.
"""

from __future__ import annotations

from typing import assert_never

from batch_scan.pace.interface import Feedback

START = 4
"""Requests in flight at the start: enough to hide latency, few enough that a wrong guess costs four refusals."""
GROWTH_REST_S = 30.0
"""How long growth rests after a 5xx or a network error."""


class ConcurrencyController:
    """The limit of one service, and what is in flight under it."""

    def __init__(self, maximum: int, now_s: float, start: int = START) -> None:
        self._maximum = maximum
        self._limit = max(1, min(start, maximum))
        self._in_flight = 0
        self._episode = 0
        self._probing = True
        self._answered_in_round = 0
        self._growth_rests_until_s = now_s

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Requests that are in flight now; more than `limit` for a while after a cut."""
        return self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether another request may start."""
        return self._in_flight < self._limit

    def started(self) -> int:
        """Count a request that starts, and return the episode that `returned` wants back."""
        self._in_flight += 1
        return self._episode

    def returned(self, episode: int, feedback: Feedback, now_s: float) -> bool:
        """Count a request that came back; return True where it opened a new episode of rate limiting."""
        was_full = self._in_flight >= self._limit
        self._in_flight -= 1
        match feedback:
            case Feedback.ANSWERED:
                if was_full and episode == self._episode and now_s >= self._growth_rests_until_s:
                    self._grow()
                return False
            case Feedback.RATE_LIMITED:
                return episode == self._episode and self._cut()
            case Feedback.TROUBLED:
                self._rest(now_s)
                return False
            case Feedback.NOT_SENT:
                return False
            case _:
                assert_never(feedback)

    def _grow(self) -> None:
        self._answered_in_round += 1
        if self._limit < self._maximum and (self._probing or self._answered_in_round >= self._limit):
            self._limit += 1
            self._answered_in_round = 0

    def _cut(self) -> bool:
        self._episode += 1
        self._probing = False
        self._limit = max(1, self._limit // 2)
        self._answered_in_round = 0
        return True

    def _rest(self, now_s: float) -> None:
        self._growth_rests_until_s = now_s + GROWTH_REST_S
        self._probing = False
        self._answered_in_round = 0
