"""The ledger's part for callbacks: what vendors posted to a run, and the path that they post to.

A callback is kept until its subject is forgotten or its run is finished, also when it has been read: a process that is
killed between reading and answering leaves it to the next one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_scan.ledger_writer import Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    Query = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]
    Write = Callable[[Callable[[sqlite3.Connection], object]], Awaitable[None]]

_PATH_BYTES = 24
"""192 random bits: 48 hexadecimal digits."""
_TABLES = ("callback_paths", "callbacks")


@dataclass(frozen=True, slots=True)
class KeptCallback:
    """A callback that is in the ledger, without its body."""

    number: int
    """Rises in the order of arrival."""
    subject: str
    size_bytes: int


class CallbackRows:
    """What vendors have posted to us. Made by the ledger, as `Ledger.callbacks`."""

    def __init__(self, query: Query, write: Write, put: Callable[[Row], None]) -> None:
        self._query = query
        self._write = write
        self._put = put

    async def path(self, run_id: str) -> str:
        """Return the unguessable part of a run's URL, the same whenever it is continued; durable on return.

        What runs that are over, or never began, have left is dropped.
        """
        fresh = secrets.token_hex(_PATH_BYTES)

        def apply(db: sqlite3.Connection) -> None:
            for table in _TABLES:
                db.execute(
                    f"DELETE FROM {table} WHERE run_id <> ?"  # noqa: S608 - one of two names of ours
                    " AND run_id NOT IN (SELECT run_id FROM runs WHERE finished_at IS NULL)",
                    (run_id,),
                )
            db.execute(
                "INSERT INTO callback_paths (run_id, path) VALUES (?, ?) ON CONFLICT DO NOTHING", (run_id, fresh)
            )

        await self._write(apply)
        return str(self._query("SELECT path FROM callback_paths WHERE run_id = ?", (run_id,))[0][0])

    def kept(self, run_id: str, service: str) -> list[KeptCallback]:
        """Return what is there for a service, in the order of arrival."""
        rows = self._query(
            "SELECT callback_number, subject, length(body) FROM callbacks WHERE run_id = ? AND service = ?"
            " ORDER BY callback_number",
            (run_id, service),
        )
        return [KeptCallback(*row) for row in rows]

    def has(self, run_id: str, digest: str) -> bool:
        """Tell whether a callback is there already."""
        return bool(self._query("SELECT 1 FROM callbacks WHERE run_id = ? AND digest = ?", (run_id, digest)))

    async def keep(self, run_id: str, service: str, subject: str, digest: str, body: bytes) -> int | None:
        """Keep a callback, durably on return. Returns its number, None where it was there already."""
        numbers: list[int] = []
        values = (run_id, service, subject, digest, datetime.now(UTC).isoformat(), body)

        def apply(db: sqlite3.Connection) -> None:
            rows = db.execute(
                "INSERT INTO callbacks (run_id, service, subject, digest, arrived_at, body) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (run_id, digest) DO NOTHING RETURNING callback_number",
                values,
            ).fetchall()
            numbers[:] = [row[0] for row in rows]  # anew each time: a transaction that failed is tried again

        await self._write(apply)
        return numbers[0] if numbers else None

    def body(self, number: int) -> bytes:
        """Return what was posted. Raises LookupError where it has been forgotten."""
        rows = self._query("SELECT body FROM callbacks WHERE callback_number = ?", (number,))
        if not rows:
            raise LookupError(f"callback {number} is not kept any more")
        return bytes(rows[0][0])

    def forget(self, run_id: str, service: str, subject: str) -> None:
        """Drop what has come about a subject, and is being written at this moment; durable after `Ledger.flush`."""
        sql = "DELETE FROM callbacks WHERE run_id = ? AND service = ? AND subject = ?"
        self._put(Row(sql, (run_id, service, subject)))

    @staticmethod
    def drop_run(db: sqlite3.Connection, run_id: str) -> None:
        """Drop everything of a run that is over, within a transaction."""
        for table in _TABLES:
            db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - one of two names of ours
