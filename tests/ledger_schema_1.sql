-- A ledger as version 1 of its schema made it; test_ledger_schema.py brings one up to date.

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

PRAGMA application_id = 1651731505;
PRAGMA user_version = 1;
