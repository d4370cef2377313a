"""What is durable of a run: answers that were paid for, requests that are out, what is known of files.

The order is the point. A request is written down as being sent before it goes (`sending`), its answer is on the disk
before it counts (`answered`); so whatever kills the process, an answer is either kept or its request is known to be
in doubt. At most the requests in flight are asked, and paid, twice, and the next start says how many (`in_doubt`).

Writes are asynchronous and grouped (ledger_writer.py). Those of answers and runs return once they are on the disk;
`remember_file` and `remember_twin` return once they are queued and are durable after `flush`, which is to be awaited
before anything that builds on them is published. Look-ups are plain calls of some microseconds, from the thread that
opened the ledger.

The state directory belongs to one process at a time and has to lie on a local disk (lock.py). Secrets must not come
here: answers and errors are stored as they are handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from batch_scan.ledger_callbacks import CallbackRows
from batch_scan.ledger_schema import broken, connect, prepare, unusable
from batch_scan.ledger_values import (
    InDoubt,
    OpenHandle,
    PaidRequest,
    RunStart,
    StoredAnswer,
    Twin,
    answer_key,
    pack_text,
    storable,
    unpack_text,
)
from batch_scan.ledger_writer import Row, Write, Writer
from batch_scan.lock import DirectoryLock, make_directory, read_mounts, refuse_network_filesystem
from batch_scan.model import Answer, RequestId, RunId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from batch_scan.model import Request, Stat

__all__ = ["InDoubt", "Ledger", "OpenHandle", "PaidRequest", "RunStart", "StoredAnswer", "Twin", "answer_key"]

_K = TypeVar("_K")
_V = TypeVar("_V")

_KEYS_PER_QUERY = 500
_UNFLUSHED_ROWS = 1_000


class Ledger:
    """The ledger of one state directory. Made by `Ledger.open`; belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = secrets.token_hex(8)
        self._reader = connect(path)
        try:
            self._writer = Writer(path)
        except sqlite3.Error:
            self._reader.close()
            raise
        self._new_files: dict[str, tuple[Stat, str]] = {}
        self._new_twins: dict[tuple[str, str], Twin] = {}
        self._unflushed = 0
        self.callbacks = CallbackRows(self._query, self._write, self._writer.put)
        """What vendors have posted to us, and where they post to."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path, *, wait_s: float = 0.0) -> AsyncIterator[Ledger]:
        """Hold the ledger in `directory` (made where missing) for this process; writes everything on every way out.

        Args:
            directory: on a local disk.
            wait_s: how long to wait for another process to let go of it.

        Raises LockedError where another process holds it, UsageError where it cannot be used (filesystem, permissions,
        a damaged or foreign file), LedgerError on leaving where something could not be written.
        """
        make_directory(directory)
        refuse_network_filesystem(directory, await asyncio.to_thread(read_mounts))
        async with DirectoryLock(directory, wait_s):
            path = prepare(directory)
            try:
                ledger = cls(path)
            except sqlite3.Error as error:
                raise unusable(path, error) from None
            try:
                yield ledger
            finally:
                ledger.close()
            ledger._raise_lost_rows()

    def close(self) -> None:
        """Write what is queued and close the file. Blocks for a commit; `open` does it on every way out."""
        self._writer.close()
        self._reader.close()

    async def flush(self) -> None:
        """Return once everything remembered so far is on the disk. Raises LedgerError where something of it is lost."""
        self._unflushed = 0
        await self._write(lambda _: None)
        self._raise_lost_rows()

    # ---------------------------------------------------------------------------------------------------- answers

    def answers(self, keys: Sequence[str]) -> dict[str, StoredAnswer]:
        """Return the answers that exist for `keys`, by key."""
        found: dict[str, StoredAnswer] = {}
        by_request: dict[str, Answer] = {}
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            chunk = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(chunk))
            rows = self._query(
                "SELECT answer_key, position, samples, request_id, operation, endpoint, tokens_charged, answer,"  # noqa: S608 - marks only
                " http_status, vendor_code, vendor_request_id, bytes_sent"
                f" FROM answers JOIN requests USING (request_number) WHERE answer_key IN ({marks})",
                chunk,
            )
            for key, position, samples, request_id, operation, endpoint, tokens, packed, *rest in rows:
                if request_id not in by_request:
                    by_request[request_id] = Answer(unpack_text(packed), tokens, *rest)
                answer = by_request[request_id]
                found[key] = StoredAnswer(RequestId(request_id), position, samples, operation, endpoint, tokens, answer)
        return found

    async def sending(self, run_id: str, request: Request, keys: Sequence[str]) -> None:
        """Write down that a request is about to be sent; each attempt calls it, and counts."""
        values = (
            *(request.request_id, run_id, self._process, request.endpoint, request.operation),
            *(len(request.samples), request.tokens_max, "\n".join(keys), _now()),
        )
        await self._write(
            lambda db: db.execute(
                "INSERT INTO requests (request_id, run_id, process, endpoint, operation, state, attempts, samples,"
                " tokens_max, content_keys, sent_at) VALUES (?, ?, ?, ?, ?, 'sending', 1, ?, ?, ?, ?)"
                " ON CONFLICT (request_id) DO UPDATE SET state = 'sending', process = excluded.process,"
                # One that was out when its process died may have been charged, and will be once more.
                " tokens_doubtful = tokens_doubtful + CASE state WHEN 'sending' THEN tokens_max ELSE 0 END,"
                " attempts = attempts + 1, tokens_max = excluded.tokens_max, sent_at = excluded.sent_at",
                values,
            )
        )

    async def answered(
        self, request_id: str, keys: Sequence[str], answer: Answer, latency_ms: float, answered_at: datetime
    ) -> None:
        """Keep an answer under the keys of its samples, in their order. Raises LookupError where it was never sent."""

        def apply(db: sqlite3.Connection) -> None:
            number = db.execute(
                "UPDATE requests SET state = 'answered', content_keys = '', error = '', tokens_charged = ?,"
                " http_status = ?, vendor_code = ?, vendor_request_id = ?, bytes_sent = ?, latency_ms = ?,"
                " answered_at = ?, answer = ? WHERE request_id = ? RETURNING request_number",
                (
                    *(answer.tokens_charged, answer.http_status),
                    *(storable(answer.vendor_code), storable(answer.vendor_request_id), answer.bytes_sent),
                    *(latency_ms, answered_at.isoformat(), pack_text(answer.raw), request_id),
                ),
            ).fetchall()
            if not number:
                raise LookupError(f"request {request_id} was answered but never written down as sent")
            db.executemany(
                "INSERT OR REPLACE INTO answers (answer_key, request_number, position) VALUES (?, ?, ?)",
                [(key, number[0][0], position) for position, key in enumerate(keys)],
            )

        await self._write(apply)

    async def failed(self, request_id: str, *, maybe_charged: bool, error: str, tokens: int | None = None) -> None:
        """Write down that an attempt came to nothing; what may have been charged for it counts as spent.

        Where it may, that is `tokens`; None = the most it can cost.
        """
        await self._write(
            lambda db: db.execute(
                "UPDATE requests SET state = 'failed', error = ?,"
                " tokens_doubtful = tokens_doubtful + CASE WHEN ? THEN coalesce(?, tokens_max) ELSE 0 END"
                " WHERE request_id = ?",
                (storable(error), maybe_charged, tokens, request_id),
            )
        )

    def in_doubt(self, run_id: str) -> InDoubt:
        """Return what earlier processes of this run sent without learning how it ended."""
        rows = self._query(
            "SELECT count(*), coalesce(sum(tokens_max), 0) FROM requests"
            " WHERE run_id = ? AND state = 'sending' AND process <> ?",
            (run_id, self._process),
        )
        return InDoubt(*rows[0])

    def spent(self, run_id: str) -> dict[str, int]:
        """Return the tokens spent in this run so far, per service; what may have been charged counts as charged."""
        rows = self._query(
            "SELECT endpoint, sum(tokens_doubtful + CASE state WHEN 'answered' THEN tokens_charged"
            " WHEN 'sending' THEN tokens_max ELSE 0 END) FROM requests WHERE run_id = ? GROUP BY endpoint",
            (run_id,),
        )
        return dict(rows)

    def paid(self, run_id: str) -> Iterator[PaidRequest]:
        """Yield the requests that were answered in this run so far, by whichever of its processes."""
        rows = self._rows(
            "SELECT request_id, attempts, tokens_max, tokens_charged, latency_ms, sent_at, answered_at FROM requests"
            " WHERE run_id = ? AND state = 'answered'",
            (run_id,),
        )
        for request_id, attempts, estimated, charged, latency_ms, sent_at, answered_at in rows:
            times = datetime.fromisoformat(sent_at), datetime.fromisoformat(answered_at)
            yield PaidRequest(RequestId(request_id), attempts, estimated, charged, latency_ms, *times)

    def doubtful(self, run_id: str) -> int:
        """Return the tokens that may have been charged in this run for requests whose answer was never kept."""
        rows = self._query(
            "SELECT coalesce(sum(tokens_doubtful + CASE state WHEN 'sending' THEN tokens_max ELSE 0 END), 0)"
            " FROM requests WHERE run_id = ?",
            (run_id,),
        )
        return int(rows[0][0])

    # ------------------------------------------------------------------------------------- what is known of files

    def known_file(self, uri: str, stat: Stat) -> str | None:
        """Return the digest of a file's content where its `stat` is what it was when it was read."""
        new = self._new_files.get(uri)
        if new is not None:
            return new[1] if new[0] == stat else None
        rows = self._query("SELECT size_bytes, modified_ns, version, digest FROM files WHERE uri = ?", (uri,))
        if rows and rows[0][:3] == (stat.size_bytes, stat.modified_ns, stat.version):
            return str(rows[0][3])
        return None

    async def remember_file(self, uri: str, stat: Stat, digest: str) -> None:
        """Keep the digest of a file's content; durable after `flush`."""
        _add_recent(self._new_files, uri, (stat, digest))
        await self._put_row(
            "INSERT OR REPLACE INTO files (uri, size_bytes, modified_ns, version, digest) VALUES (?, ?, ?, ?, ?)",
            (uri, stat.size_bytes, stat.modified_ns, stat.version, digest),
        )

    def extraction(self, digest: str, settings: str) -> bytes | None:
        """Return the record of an earlier complete extraction of this content with these settings."""
        rows = self._query("SELECT record FROM extractions WHERE digest = ? AND settings = ?", (digest, settings))
        return zlib.decompress(rows[0][0]) if rows else None

    async def remember_extraction(self, digest: str, settings: str, record: bytes) -> None:
        """Keep the record of a complete extraction; the latest one counts."""
        await self._write(
            lambda db: db.execute(
                "INSERT INTO extractions (digest, settings, record) VALUES (?, ?, ?)"
                " ON CONFLICT (digest, settings) DO UPDATE SET record = excluded.record",
                (digest, settings, zlib.compress(record)),
            )
        )

    # ------------------------------------------------------------------------------------------------------- runs

    async def begin_run(self, run: RunStart) -> None:
        """Write down that a run begins; doing so again for one that is continued changes nothing."""
        values = (
            run.run_id,
            run.job_fingerprint,
            run.source,
            run.source_sha256,
            run.report,
            run.started_at.isoformat(),
        )
        await self._write(
            lambda db: db.execute(
                "INSERT INTO runs (run_id, job_fingerprint, source, source_sha256, report, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING",
                values,
            )
        )

    def unfinished_run(self, job_fingerprint: str, source: str, source_sha256: str, report: str) -> RunStart | None:
        """Return the latest run of this job over this source into this report, where it has not finished."""
        rows = self._query(
            "SELECT run_id, started_at, finished_at FROM runs"
            " WHERE job_fingerprint = ? AND source = ? AND source_sha256 = ? AND report = ?"
            " ORDER BY run_number DESC LIMIT 1",
            (job_fingerprint, source, source_sha256, report),
        )
        if not rows or rows[0][2] is not None:
            return None
        run_id, started_at, _ = rows[0]
        return RunStart(
            RunId(run_id), job_fingerprint, source, source_sha256, report, datetime.fromisoformat(started_at)
        )

    async def finish_run(self, run_id: str, exit_code: int, finished_at: datetime) -> None:
        """Write down that a run is complete; it is not continued any more, twins and callbacks are forgotten."""

        def apply(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE runs SET exit_code = ?, finished_at = ? WHERE run_id = ?",
                (exit_code, finished_at.isoformat(), run_id),
            )
            db.execute("DELETE FROM twins WHERE run_id = ?", (run_id,))
            CallbackRows.drop_run(db, run_id)

        self._new_twins = {key: twin for key, twin in self._new_twins.items() if key[0] != run_id}
        await self._write(apply)

    # --------------------------------------------------------------------------------------- duplicates in one run

    def twin(self, run_id: str, digest: str) -> Twin | None:
        """Return the entry of this run that has the same content already."""
        new = self._new_twins.get((run_id, digest))
        if new is not None:
            return new
        rows = self._query("SELECT identity, uri, summary FROM twins WHERE run_id = ? AND digest = ?", (run_id, digest))
        return Twin(rows[0][0].decode("utf-8", "surrogatepass"), *rows[0][1:]) if rows else None

    async def remember_twin(self, run_id: str, digest: str, twin: Twin) -> None:
        """Keep the first entry with a content, for this run; durable after `flush`."""
        _add_recent(self._new_twins, (run_id, digest), twin)
        await self._put_row(
            "INSERT OR REPLACE INTO twins (run_id, digest, identity, uri, summary) VALUES (?, ?, ?, ?, ?)",
            (run_id, digest, twin.identity.encode("utf-8", "surrogatepass"), twin.uri, twin.summary),
        )

    # -------------------------------------------------------------------------------------- left open at a vendor

    async def opened(self, service: str, kind: str, handle: str) -> None:
        """Write down that something was opened at a vendor, to be closed later whatever happens to this process."""
        await self._write(
            lambda db: db.execute(
                "INSERT OR REPLACE INTO open_handles (service, kind, handle, opened_at) VALUES (?, ?, ?, ?)",
                (service, kind, handle, _now()),
            )
        )

    async def closed(self, service: str, kind: str, handle: str) -> None:
        """Write down that it was closed, or is gone."""
        await self._write(
            lambda db: db.execute(
                "DELETE FROM open_handles WHERE service = ? AND kind = ? AND handle = ?", (service, kind, handle)
            )
        )

    def left_open(self, service: str | None = None) -> list[OpenHandle]:
        """Return what was opened at a vendor, or at any, and not closed, oldest first."""
        rows = self._query(
            "SELECT service, kind, handle, opened_at FROM open_handles WHERE service = coalesce(?, service) "
            "ORDER BY opened_at",
            (service,),
        )
        return [OpenHandle(name, kind, handle, datetime.fromisoformat(at)) for name, kind, handle, at in rows]

    # ------------------------------------------------------------------------------------------------- underneath

    def _query(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return list(self._rows(sql, values))

    def _rows(self, sql: str, values: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._reader.execute(sql, values)
        except sqlite3.ProgrammingError:
            raise  # used from another thread, or after it was closed: a mistake in the program, not in the file
        except sqlite3.Error as error:
            raise broken(self._path, error) from None

    async def _write(self, apply: Callable[[sqlite3.Connection], object]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._writer.put(Write(apply, done))
        await done

    async def _put_row(self, sql: str, values: tuple[object, ...]) -> None:
        self._writer.put(Row(sql, values))
        self._unflushed += 1
        if self._unflushed >= _UNFLUSHED_ROWS:
            await self.flush()

    def _raise_lost_rows(self) -> None:
        if self._writer.failed_row is not None:
            raise self._writer.failed_row


def _add_recent(recent: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep what is written but perhaps not yet readable, at least as long as that can be."""
    recent.pop(key, None)  # what is written again is the newest
    recent[key] = value
    if len(recent) > 2 * _UNFLUSHED_ROWS:
        del recent[next(iter(recent))]


def _now() -> str:
    return datetime.now(UTC).isoformat()
