"""What `doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool = True

    @property
    def mark(self) -> str:
        """A word for the start of the line."""
        return "ok     " if self.good else "PROBLEM"
