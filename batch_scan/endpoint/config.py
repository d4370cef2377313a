"""What every `[endpoints.X]` and `[transcribe.X]` table has in common. Vendors' tables inherit from these."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field

from batch_scan.table import Table


class WhenReached(StrEnum):
    """What happens at the budget."""

    CAUTIOUS = "cautious"
    """Never exceed it: what might not fit is not sent."""
    SOFT = "soft"
    """Start nothing new once it is spent; what is in flight may exceed it."""


class BudgetTable(Table):
    """How many tokens may be spent in one run."""

    tokens: int | None = Field(default=None, ge=0, description="most tokens per run; unset = no budget")
    when_reached: WhenReached = WhenReached.CAUTIOUS


class PaceTable(Table):
    """How fast a service may be asked."""

    requests_per_minute: float = Field(default=0.0, ge=0, description="0 = what the service says, else no limit")
    burst: int = Field(default=1, ge=1, description="requests that may go at once after a pause")
    concurrency: int = Field(default=8, ge=1, le=1000, description="requests in flight at most")
    bytes_per_second: float = Field(default=0.0, ge=0, description="upload rate; 0 = no limit")
    max_attempts: int = Field(
        default=6, ge=1, description="times one request is sent at most; 3 where each time may have been charged"
    )
    max_retry_s: float = Field(default=600.0, ge=0, description="longest time one request is retried")


class LimitTable(PaceTable):
    """How fast a service may be asked, and how long an answer may take.

    For services that keep to it, as `HttpClient` does.
    """

    timeout_s: float = Field(default=120.0, gt=0, description="longest wait for an answer to one call, seconds")


class ServiceConfig(Table):
    """What every service's table may hold. One that is asked over a network has a `LimitTable` as its `limit`."""

    limit: PaceTable = PaceTable()
    budget: BudgetTable = BudgetTable()
    token_price: float | None = Field(
        default=None, ge=0, description="what one token costs, in any currency; fills `cost`"
    )

    def in_job(self, *, frame_interval_s: float) -> Self:  # noqa: ARG002 - for those who look for themselves
        """Return the table completed by what the job says elsewhere: how often a picture is wanted, in seconds."""
        return self
