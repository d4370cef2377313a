"""What the tests of callbacks have in common: a receiver, and a vendor that posts to it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import httpx

from batch_scan.callbacks.receiver import open_receiver
from batch_scan.callbacks.table import CallbacksTable
from batch_scan.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from batch_scan.callbacks.receiver import Receiver

RUN = "run-1"
HERE = CallbacksTable(bind="127.0.0.1:0")


def by_id(_headers: Mapping[str, str], body: bytes) -> str | None:
    """Sort by the word under `about`."""
    try:
        about = json.loads(body)["about"]
    except (ValueError, KeyError, TypeError):
        return None
    return about if isinstance(about, str) else None


def callback(about: str, number: int = 0, padding: int = 0) -> bytes:
    return json.dumps({"about": about, "number": number, "padding": "x" * padding}).encode()


@contextlib.asynccontextmanager
async def receiving(
    state: Path, table: CallbacksTable = HERE, run_id: str = RUN, body_timeout_s: float = 20.0
) -> AsyncIterator[Receiver]:
    """Open a ledger and a receiver on it."""
    async with (
        Ledger.open(state) as ledger,
        open_receiver(table, ledger, run_id, body_timeout_s=body_timeout_s) as receiver,
    ):
        yield receiver


@contextlib.asynccontextmanager
async def vendor() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that posts as a vendor does."""
    async with httpx.AsyncClient(trust_env=False, timeout=20.0) as client:
        yield client
