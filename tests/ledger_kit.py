"""What the tests of the ledger have in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_scan.model import Answer, Digest, Request, RequestId, Sample, Stat
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.ledger import Ledger

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
STAT = Stat(size_bytes=10, modified_ns=20, version="inode 7")
ANSWER = Answer('{"clean": true}', 3, 200, vendor_code="ok", vendor_request_id="v-1", bytes_sent=99)


def request_of(request_id: str, tokens_max: int = 5, endpoint: str = "safecomms") -> Request:
    frame = Sample(Medium.FRAME, 0.0, 0.0, Digest("d"), "image/jpeg", b"x")
    return Request(RequestId(request_id), endpoint, "image", (frame,), tokens_max)


async def ask(ledger: Ledger, request_id: str, keys: list[str], answer: Answer = ANSWER, run_id: str = "run-1") -> None:
    await ledger.sending(run_id, request_of(request_id), keys)
    await ledger.answered(request_id, keys, answer, 12.5, NOW)


def rows_of(state: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        return connection.execute(sql).fetchall()
