"""Gives each service of a run what it works with beside samples: see `endpoint/premises.py`."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from batch_scan.callbacks.receiver import open_receiver
from batch_scan.endpoint.premises import Premises

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_scan.delivery import Meters
    from batch_scan.endpoint.premises import Callbacks
    from batch_scan.engine.services import Services
    from batch_scan.job import Job
    from batch_scan.ledger import Ledger
    from batch_scan.model import RunId


class LedgerHandles:
    """The open things of one service, in the ledger."""

    def __init__(self, ledger: Ledger, service: str) -> None:
        self._ledger = ledger
        self._service = service

    async def opened(self, kind: str, handle: str) -> None:
        """See `Handles.opened`."""
        await self._ledger.opened(self._service, kind, handle)

    async def closed(self, kind: str, handle: str) -> None:
        """See `Handles.closed`."""
        await self._ledger.closed(self._service, kind, handle)

    def left_open(self, kind: str) -> list[str]:
        """See `Handles.left_open`."""
        return [one.handle for one in self._ledger.left_open(self._service) if one.kind == kind]


@contextlib.asynccontextmanager
async def callbacks_of(job: Job, ledger: Ledger, run_id: RunId) -> AsyncIterator[Callbacks | None]:
    """Have the run's receiver, where the job has `[callbacks]`; the ledger must outlive it. Raises UsageError."""
    if job.callbacks is None:
        yield None
        return
    async with open_receiver(job.callbacks, ledger, run_id) as receiver:
        yield receiver


def open_elsewhere(services: Services, ledger: Ledger) -> list[str]:
    """Return, for vendors that this job does not ask, what an earlier run may have left open there."""
    left = Counter(one.service for one in ledger.left_open() if one.service not in services.by_name)
    return [
        f"{name}: what an earlier run opened may still be open there ({count}); "
        f"any job with [endpoints.{name}] and this state directory closes them"
        for name, count in sorted(left.items())
    ]


def settle_in(services: Services, meters: Meters, callbacks: Callbacks | None) -> None:
    """Set the premises of every service. To be done before any is opened."""
    for name, service in services.by_name.items():
        service.premises = Premises(
            handles=LedgerHandles(meters.ledger, name),
            callbacks=callbacks,
            pace=lambda size_bytes, name=name: meters.limiter.pace(name, size_bytes),  # type: ignore[misc]
        )
