"""The one thread that writes the ledger: whatever is queued goes into one transaction, and is on the disk after it.

A commit waits for the disk (milliseconds), a row does not (microseconds). So writes that arrive while one commit is
under way share the next, and a hundred requests in flight cost no more commits than one. What is queued is written,
whoever still waits for it.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from batch_scan.ledger_schema import broken, connect

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Done = asyncio.Future[None]

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Row:
    """One statement that nobody waits for on its own; runs of one statement are executed together."""

    sql: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Statements that belong together; `done` resolves once they are on the disk."""

    apply: Callable[[sqlite3.Connection], object]
    done: Done


class Writer:
    """Owns the writing connection. `put` returns at once.

    Raises sqlite3.Error where the connection cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opened here, so that failing is an error of the caller's; from then on the thread alone touches it.
        self._connection = connect(path, any_thread=True)
        self._queue: queue.SimpleQueue[Row | Write | None] = queue.SimpleQueue()
        self._failed_row: BaseException | None = None
        # Left behind by a crashed loop it must not keep the process alive; `close` joins it on every orderly way out.
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def failed_row(self) -> BaseException | None:
        """Why a `Row` could not be written, since nobody waits for it; None while all were."""
        return self._failed_row

    def put(self, write: Row | Write) -> None:
        """Queue a write behind all earlier ones."""
        self._queue.put(write)

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._connection):
            is_open = True
            while is_open:
                batch, is_open = self._next_batch()
                self._write(batch)

    def _next_batch(self) -> tuple[list[Row | Write], bool]:
        batch: list[Row | Write] = []
        write = self._queue.get()
        while write is not None:
            batch.append(write)
            if len(batch) >= _BATCH:
                return batch, True
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _write(self, batch: Sequence[Row | Write]) -> None:
        if not batch:
            return
        error = self._transact(batch)
        if error is not None and len(batch) > 1:
            # One bad write must not take the others with it: each gets a transaction, and an error, of its own.
            for write in batch:
                self._write([write])
            return
        if error is not None and isinstance(batch[0], Row):
            self._failed_row = self._failed_row or error
        _resolve([write.done for write in batch if isinstance(write, Write)], error)

    def _transact(self, batch: Sequence[Row | Write]) -> BaseException | None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for sql, writes in groupby(batch, key=lambda write: write.sql if isinstance(write, Row) else None):
                if sql is not None:
                    connection.executemany(sql, [write.values for write in writes if isinstance(write, Row)])
                    continue
                for write in writes:
                    if isinstance(write, Write):
                        write.apply(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the write
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            return broken(self._path, error) if isinstance(error, sqlite3.Error) else error
        return None


def _resolve(waiting: Sequence[Done], error: BaseException | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Done]] = defaultdict(list)
    for done in waiting:
        by_loop[done.get_loop()].append(done)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            loop.call_soon_threadsafe(_resolve_in_loop, futures, error)


def _resolve_in_loop(futures: Sequence[Done], error: BaseException | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
