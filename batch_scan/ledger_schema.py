"""The ledger's file: its tables, and how it is opened.

`application_id` tells a ledger from any other SQLite file, `user_version` tells its schema. An older ledger is brought
up to date where it lies, in one transaction. A file that is neither new nor ours, or newer than we are, is refused,
never replaced: it may hold answers that were paid for.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from batch_scan.errors import LedgerError, UsageError
from batch_scan.lock import cannot_use

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "ledger.sqlite3"
SCHEMA_VERSION = 2
APPLICATION_ID = 0x62736C31  # "bsl1"
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_BUSY_TIMEOUT_S = 30.0
_CACHE_KIB = 4_096

_TABLES_1 = """
CREATE TABLE runs (
    run_number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    job_fingerprint TEXT NOT NULL,
    source TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    report TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    exit_code INTEGER
) STRICT;
CREATE INDEX runs_by_job ON runs (job_fingerprint, source, source_sha256, report);

-- `process` is that of the latest attempt: what an earlier process left `sending` may have been charged.
-- `content_keys` names what was asked while the answer is out.
-- `tokens_doubtful` sums up failed attempts that may have been charged.
CREATE TABLE requests (
    request_number INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL,
    process TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('sending', 'answered', 'failed')),
    attempts INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    tokens_max INTEGER NOT NULL,
    tokens_charged INTEGER NOT NULL DEFAULT 0,
    tokens_doubtful INTEGER NOT NULL DEFAULT 0,
    content_keys TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    http_status INTEGER,
    vendor_code TEXT NOT NULL DEFAULT '',
    vendor_request_id TEXT NOT NULL DEFAULT '',
    bytes_sent INTEGER NOT NULL DEFAULT 0,
    latency_ms REAL,
    sent_at TEXT NOT NULL,
    answered_at TEXT,
    answer BLOB
) STRICT;
CREATE INDEX requests_by_run
    ON requests (run_id, state, endpoint, process, tokens_max, tokens_charged, tokens_doubtful);

CREATE TABLE answers (
    answer_key TEXT PRIMARY KEY,
    request_number INTEGER NOT NULL REFERENCES requests,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE files (
    uri TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE extractions (
    extraction_number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    settings TEXT NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (digest, settings)
) STRICT;

CREATE TABLE twins (
    run_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    identity BLOB NOT NULL,
    uri TEXT NOT NULL,
    summary BLOB NOT NULL,
    PRIMARY KEY (run_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE open_handles (
    service TEXT NOT NULL,
    kind TEXT NOT NULL,
    handle TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    PRIMARY KEY (service, kind, handle)
) STRICT, WITHOUT ROWID;
"""

# `path` is what nobody can guess of the URL that vendors post to.
# `digest` tells a callback that is sent again from a new one.
_TABLES_2 = """
CREATE TABLE callback_paths (
    run_id TEXT PRIMARY KEY,
    path TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE callbacks (
    callback_number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    service TEXT NOT NULL,
    subject TEXT NOT NULL,
    digest TEXT NOT NULL,
    arrived_at TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (run_id, digest)
) STRICT;
CREATE INDEX callbacks_by_subject ON callbacks (run_id, service, subject);
"""

_STEPS = (_TABLES_1, _TABLES_2)
"""What each schema version added to the one before; a ledger is brought up to date by the steps it lacks."""


def connect(path: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """Open a connection: transactions by hand, every commit on the disk before it returns.

    Args:
        path: the ledger.
        any_thread: for whoever hands it to another thread, and sees to it that one at a time uses it.
    """
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=not any_thread,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(directory: Path) -> Path:
    """Create or check the ledger of a state directory and return its path. Raises UsageError."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise UsageError(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed; use a newer Python build"
        )
    path = directory / FILE_NAME
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise cannot_use(directory, error) from None
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from None
    try:
        _check_or_create(connection, path)
    except sqlite3.Error as error:
        raise unusable(path, error) from None
    finally:
        connection.close()
    return path


def _check_or_create(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application == 0 and version == 0 and is_empty:
        connection.execute("PRAGMA journal_mode = WAL")
        _bring_up_to_date(connection, 0)
        return
    if application != APPLICATION_ID:
        raise UsageError(f"{path} is not a ledger of batch-scan; name another state directory, or move that file away")
    if not 1 <= version <= SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by another version of batch-scan (schema {version}, this one knows {SCHEMA_VERSION}); "
            "use that version, or another state directory"
        )
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise UsageError(f"{path} cannot be kept in WAL mode there; name a state directory on a local disk")
    if version < SCHEMA_VERSION:
        _bring_up_to_date(connection, version)


def _bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Add what versions after `version` brought, wholly or not at all."""
    connection.executescript(
        f"BEGIN IMMEDIATE; {''.join(_STEPS[version:])} PRAGMA application_id = {APPLICATION_ID}; "
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def unusable(path: Path, error: sqlite3.Error) -> UsageError:
    """Return the error for a ledger that cannot be opened."""
    if _is_damaged(error):
        return UsageError(
            f"the ledger {path} is damaged ({error}); it holds answers that were paid for, so it is not replaced: "
            f"restore it from a backup, recover it with `sqlite3 {path.name} .recover`, or move it away to pay again"
        )
    return UsageError(
        f"the ledger {path} cannot be opened: {error}; "
        "name a state directory on a local disk that is writable and has room"
    )


def broken(path: Path, error: sqlite3.Error) -> LedgerError:
    """Return the error for a ledger that stopped working while it was open."""
    if _is_damaged(error):
        return LedgerError(f"the ledger {path} is damaged ({error}); restore it from a backup before the next run")
    return LedgerError(
        f"the ledger {path} cannot be written or read: {error}; see to room and permissions on its disk, "
        "then run the same command again: what was answered so far is kept"
    )


def _is_damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
