"""Whether a failed request is sent again, and after which wait. Pure.

A retry is bounded by the number of attempts and by the time since the first one; and more narrowly by the number of
attempts that may have been charged, so that a service's bad day does not multiply the bill. Waits grow exponentially
with full jitter (any wait up to the bound is as likely), so that requests which failed together do not come back
together.

After a 429 the whole service pauses, in the limiter; the request itself then waits for nothing more, but the attempt
counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from batch_scan.errors import Failure

if TYPE_CHECKING:
    from random import Random

    from batch_scan.endpoint.config import PaceTable
    from batch_scan.errors import EndpointError

RATE_WINDOW_S = 60.0
"""Vendors count requests per minute: one minute of silence is enough after a 429 that names no time."""
MAX_DOUBTFUL_ATTEMPTS = 3
"""Times one request is sent at most where each time it may have been charged (5xx but 503, time-outs, resets): two more
tries get over a hiccup, and in one run nothing is paid more than three times."""
_FIRST_RATE_PAUSE_S = 15.0
_MAX_DOUBLINGS = 30


def rate_pause_s(round_number: int) -> float:
    """Return the pause after a 429 without Retry-After, seconds: a quarter of the window, then half, then all of it.

    Args:
        round_number: how many such pauses in a row there were, this one included.
    """
    return min(RATE_WINDOW_S, _FIRST_RATE_PAUSE_S * _doubled(round_number))


def _doubled(round_number: int) -> float:
    return 2.0 ** min(max(round_number, 1) - 1, _MAX_DOUBLINGS)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often one request is tried."""

    max_attempts: int
    max_elapsed_s: float
    """Since the first attempt was sent; 0 = never again."""
    base_s: float = 1.0
    """Upper bound of the first wait; it doubles with every attempt."""
    cap_s: float = 60.0

    @classmethod
    def of(cls, limit: PaceTable) -> RetryPolicy:
        """Make the policy that a service's `limit` table asks for."""
        return cls(max_attempts=limit.max_attempts, max_elapsed_s=limit.max_retry_s)

    def next_wait_s(
        self, error: EndpointError, attempt: int, elapsed_s: float, random: Random, *, doubtful_attempts: int = 0
    ) -> float | None:
        """Return how long to wait before the next attempt, in seconds; None to give up.

        Args:
            error: why the latest attempt failed.
            attempt: how many attempts there were, this one included.
            elapsed_s: since the first attempt was sent.
            random: where jitter comes from.
            doubtful_attempts: how many of the attempts may have been charged, this one included.

        A Retry-After is a minimum; where it lies beyond the time left there is nothing to wait for.
        """
        left_s = self.max_elapsed_s - elapsed_s
        if attempt >= self.max_attempts or doubtful_attempts >= MAX_DOUBTFUL_ATTEMPTS or left_s <= 0:
            return None
        match error.failure:
            case Failure.REFUSED | Failure.FATAL:
                return None
            case Failure.RATE_LIMITED:
                pause_s = rate_pause_s(attempt) if error.retry_after_s is None else error.retry_after_s
                return 0.0 if pause_s <= left_s else None
            case Failure.TRANSIENT:
                least_s = error.retry_after_s or 0.0
                bound_s = min(self.cap_s, self.base_s * _doubled(attempt))
                return max(least_s, min(random.uniform(0.0, bound_s), left_s)) if least_s <= left_s else None
            case _:
                assert_never(error.failure)
