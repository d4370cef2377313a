"""What earlier processes of a run paid for and did not live to report.

A killed process leaves answers that are durable, of files whose rows it never published. When the run is continued,
they come from memory; but the run paid for them, so its report has to show them as sent and charged, once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from batch_scan.report.layout import committed_parts
from batch_scan.report.published import read_sent
from batch_scan.report.schema import Table

if TYPE_CHECKING:
    from batch_scan.ledger import Ledger, PaidRequest
    from batch_scan.model import RequestId, RunId
    from batch_scan.report.store import Place


async def unreported(ledger: Ledger, place: Place, run_id: RunId) -> dict[RequestId, PaidRequest]:
    """Return the requests answered in this run that its report does not show yet. Raises BatchScanError."""
    sent = await asyncio.to_thread(lambda: read_sent(place, committed_parts(place, Table.REQUESTS, run_id)))
    return {paid.request_id: paid for paid in ledger.paid(run_id) if paid.request_id not in sent}
