"""Open what the user named as a source: a directory, a manifest or a prefix of a bucket."""

from __future__ import annotations

import os
import re
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.aside import aside
from batch_scan.errors import UsageError
from batch_scan.source.bucket import BucketSource
from batch_scan.source.bucket_manifest import fetch_manifest
from batch_scan.source.csv_table import CsvTable
from batch_scan.source.directory import DirectorySource
from batch_scan.source.jsonl_table import JsonlTable
from batch_scan.source.manifest import ManifestSource, file_uri_path
from batch_scan.source.parquet_table import ParquetTable
from batch_scan.store_url import is_bucket_url
from batch_scan.untrusted import clean_text, show_path

if TYPE_CHECKING:
    from batch_scan.source.bucket_manifest import BucketManifest
    from batch_scan.source.interface import Source
    from batch_scan.source.options import SourceOptions
    from batch_scan.source.table import Table

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
"""What a manifest's name may end in, in any case."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


async def open_source(uri: str, options: SourceOptions) -> Source:
    """Return the source at a path, a ``file://`` URI or a bucket's URL, its readability checked.

    A manifest is read through once, fetched before where it lies in a bucket; a bucket is asked for its first object.
    All of that happens off the event loop: a store may be slow, and whoever waits for it can be interrupted.

    Raises:
        UsageError: there is no such file, directory or bucket, it is no manifest, it lacks a URI column, cannot be
            read, or an option cannot be followed. Says where and what to do.
    """
    _check_options(options)
    manifest = await fetch_manifest(uri, options) if _may_be_fetched(uri) else None
    if manifest is not None:
        return await aside(_fetched_source, manifest)
    return await aside(_opened, uri, options)


def _may_be_fetched(uri: str) -> bool:
    return is_bucket_url(uri) and uri.lower().endswith(SUFFIXES)


def _opened(uri: str, options: SourceOptions) -> Source:
    if is_bucket_url(uri):
        return BucketSource(uri, options)
    path = _path(uri)
    shown = clean_text(show_path(str(path)))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file or directory {shown}") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        return DirectorySource(str(path), options)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{shown} is neither a directory nor a file")
    return ManifestSource(path, _table(path, path.name, shown), options)


def _fetched_source(manifest: BucketManifest) -> Source:
    shown = clean_text(str(manifest.place))
    try:
        table = _table(manifest.path, manifest.place.key, shown)
        source = ManifestSource(manifest.path, table, manifest.options, fetched=manifest)
    except BaseException:
        manifest.content.file.close()
        raise
    weakref.finalize(source, manifest.content.file.close)
    return source


def _path(uri: str) -> Path:
    scheme = _SCHEME.match(uri)
    shown = clean_text(uri.partition("?")[0].rpartition("@")[2])
    if not uri or "\0" in uri:
        raise UsageError("the source has no name, or one that cannot be a path")
    if scheme is None:
        return Path(uri)
    if scheme[1].lower() in {"http", "https"}:
        raise UsageError(
            f"{shown}: a manifest is not fetched from a web server, since nothing there tells one version of it from "
            "another; download it, and name the copy (its rows may be URLs)"
        )
    if scheme[1].lower() != "file":
        raise UsageError(
            f"{shown}: {scheme[1]}:// is not supported as a source; name a directory, a manifest or a bucket"
        )
    try:
        return Path(file_uri_path(uri))
    except ValueError as error:
        raise UsageError(f"{shown}: {error}") from None


def _check_options(options: SourceOptions) -> None:
    for name, directory in (("root", options.root), ("scratch", options.scratch)):
        if directory is not None and not directory.is_dir():
            raise UsageError(f"source.{name}: there is no directory {clean_text(show_path(os.fspath(directory)))}")


def _table(path: Path, name: str, shown: str) -> Table:
    name = name.lower()
    unpacked = name.removesuffix(".gz")
    try:
        if unpacked.endswith(".csv"):
            return CsvTable(path, shown, ",")
        if unpacked.endswith(".tsv"):
            return CsvTable(path, shown, "\t")
        if unpacked.endswith((".jsonl", ".ndjson")):
            return JsonlTable(path, shown)
        if name.endswith(".parquet"):
            return ParquetTable(path, shown)
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    raise UsageError(
        f"{shown} is not a manifest that can be read: its name must end in {', '.join(SUFFIXES)}. "
        "To scan single files, name them in a manifest or give their directory"
    )
