"""Holds the lease of a report while a run goes on: takes it, renews it, releases it on every way out."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from batch_scan.errors import BatchScanError, LockedError
from batch_scan.lock import cannot_use
from batch_scan.report.bucket import RemoteStore
from batch_scan.report.lease import USUAL, Lease, Terms
from batch_scan.store import STORE_ERRORS, explain, is_transient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from batch_scan.report.store import ReportStore

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 5.0
_OWNER_FILE = "lease-owner"


def owner_of(state_dir: Path) -> str:
    """Return the name of a state directory that no other has, made at its first use. Raises UsageError."""
    path = state_dir / _OWNER_FILE
    try:
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token_hex(16))
        owner = path.read_text(encoding="ascii", errors="replace").strip()
        if not owner:  # killed between making and writing it
            owner = token_hex(16)
            path.write_text(owner, encoding="ascii")
    except OSError as error:
        raise cannot_use(state_dir, error) from None
    return owner


@asynccontextmanager
async def hold_lease(  # noqa: PLR0917
    place: ReportStore,
    owner: str,
    run_id: str,
    lost: Callable[[str], None],
    wait_s: float = 0.0,
    terms: Terms = USUAL,
) -> AsyncIterator[None]:
    """Hold the lease of a report while the context lasts; a place that is at hand needs none.

    Args:
        place: where the report is kept.
        owner: names the state directory, see `owner_of`; its lock is held by the caller.
        run_id: the run, for whoever finds the lease.
        lost: called in the event loop, once, where the lease could not be kept; says why in a sentence.
        wait_s: how long to wait for another holder before giving up.
        terms: how long it holds.

    Entering raises LockedError where another run holds it, UsageError where the bucket cannot be written to or the
    store does not heed conditional writes.
    """
    if not isinstance(place, RemoteStore):
        yield
        return
    lease = Lease(place, owner, run_id, terms)
    await _take(lease, wait_s)
    loop = asyncio.get_running_loop()
    renewal = _Renewal(lease, lambda why: loop.call_soon_threadsafe(lost, why))
    renewal.start()
    try:
        yield
    finally:
        releasing = asyncio.ensure_future(asyncio.to_thread(renewal.end))
        while not releasing.done():  # also where we are cancelled: the lease would hold others up
            with suppress(asyncio.CancelledError):
                await asyncio.wait([releasing])


async def _take(lease: Lease, wait_s: float) -> None:
    give_up_at_s = time.monotonic() + wait_s
    while True:
        try:
            await asyncio.to_thread(lease.take)
        except LockedError:
            left_s = give_up_at_s - time.monotonic()
            if left_s <= 0:
                raise
        else:
            return
        await asyncio.sleep(min(_LOOK_AGAIN_S, left_s))


class _Renewal:
    """Renews a lease in a thread of its own, so that nothing which holds up the event loop makes it run out."""

    def __init__(self, lease: Lease, lost: Callable[[str], object]) -> None:
        self._lease = lease
        self._lost = lost
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop renewing, and release."""
        self._ending.set()
        self._thread.join()
        self._lease.release()

    def _run(self) -> None:
        terms = self._lease.terms
        runs_out_at_s = time.monotonic() + terms.holds_s
        while not self._ending.wait(terms.renews_s):
            begun_s = time.monotonic()
            try:
                self._lease.renew()
                runs_out_at_s = begun_s + terms.holds_s
            except BatchScanError as error:
                self._lost(str(error))
                return
            except STORE_ERRORS as error:
                if not is_transient(error) or time.monotonic() + terms.renews_s >= runs_out_at_s:
                    self._lost(f"the lease of the report could not be renewed: {explain(error)}")
                    return
                _log.warning("the lease of the report could not be renewed yet: %s", explain(error))
