"""Opens the place of a report by its name: a directory's path, or the URL of a prefix in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.report.bucket import RemoteStore
from batch_scan.report.directory import DirectoryStore
from batch_scan.store import StoreOptions, is_bucket_url, open_store, parse_bucket_url
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from batch_scan.report.store import ReportStore


def open_place(uri: str, options: StoreOptions | None = None) -> ReportStore:
    """Return the place of a report. Nothing is asked or made yet.

    Args:
        uri: path of a directory, or ``s3://bucket/prefix``, ``gs://…``, ``az://…``.
        options: how a bucket is reached, where the environment does not say it.

    Raises UsageError where no report can be kept there.
    """
    if "://" not in uri:
        return DirectoryStore(Path(uri))
    if not is_bucket_url(uri):
        scheme = clean_text(uri.partition("://")[0])
        raise UsageError(f"report: {scheme}:// holds no report; name a directory, or a bucket as s3://, gs:// or az://")
    store, _ = open_store(uri, options or StoreOptions())
    return RemoteStore(store, parse_bucket_url(uri))
