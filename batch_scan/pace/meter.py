"""The generic cell rate algorithm: how often something may happen, as one number.

A meter knows the time at which everything taken so far is paid off (`_paid_at_s`). Something of cost `c` seconds may
be taken once what is owed leaves room for it below the capacity. With a cost of one interval per request and a
capacity of `burst` intervals, a closed window of `T` seconds holds at most `rate * T + burst` requests, also after
idling: unused time is not saved up beyond the capacity.
"""

from __future__ import annotations

from dataclasses import dataclass

_NEVER_S = float("-inf")


@dataclass(slots=True)
class Meter:
    """Units per second, with `capacity` units that may go at once after a pause. A rate of 0 is no limit.

    One thing larger than the capacity is taken all the same once nothing is owed; what comes later waits for it.
    """

    rate: float
    capacity: float
    _paid_at_s: float = _NEVER_S

    def ready_at_s(self, units: float) -> float:
        """Return the earliest time at which `units` may be taken."""
        if not self.rate:
            return _NEVER_S
        return self._paid_at_s - (self.capacity - min(units, self.capacity)) / self.rate

    def take(self, units: float, now_s: float) -> float:
        """Take `units`, which must be ready; return what `put_back` wants."""
        before_s = self._paid_at_s
        if self.rate:
            self._paid_at_s = max(before_s, now_s) + units / self.rate
        return before_s

    def put_back(self, before_s: float) -> None:
        """Undo the latest `take`. Earlier ones must not be undone: what came after them was timed by them."""
        self._paid_at_s = before_s

    def change_rate(self, rate: float, capacity: float, now_s: float) -> None:
        """Go on at another rate; what is owed in units stays owed."""
        owed_s = max(0.0, self._paid_at_s - now_s)
        if self.rate and rate and owed_s:
            self._paid_at_s = now_s + owed_s * self.rate / rate
        self.rate, self.capacity = rate, capacity
