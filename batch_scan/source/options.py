"""What a user may say about a source; the `[source]` table of a job file as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_scan.store import StoreOptions

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Which entries of a source are opened, and how far a fetch may go."""

    include: tuple[str, ...] = ()
    """Patterns as in a .gitignore file; where there are any, an entry that matches none is skipped."""
    exclude: tuple[str, ...] = ()
    """Patterns as in a .gitignore file; an entry that matches one is skipped, also where `include` names it."""
    root: Path | None = None
    """Directory that rows of a manifest are confined to; None: the manifest's own. Directories are their own root."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts that http(s) rows may name: ``media.example.org``, ``*.example.org``, ``media.example.org:8443``.

    Without a port only the scheme's own is meant. Names that resolve to private, loopback or link-local addresses are
    refused all the same; a private address is asked only where it stands here itself, with its port: ``10.0.0.7:8080``.
    """
    max_file_bytes: int = 8 * 1024**3
    """Largest file that is fetched from a host or bucket. Local files are opened in place and have no such limit."""
    fetch_timeout_s: float = 600.0
    """Longest time that one fetch may take: name lookup, redirects, retries and transfer together."""
    scratch: Path | None = None
    """Directory for fetched files; None: the system's directory for temporary files."""
    skip_directories: tuple[Path, ...] = ()
    """Directories that are not walked and get no row: where the tool itself writes."""
    skip_prefixes: tuple[tuple[str, StoreOptions], ...] = ()
    """As `skip_directories`: prefixes of buckets, and how those are reached."""
    modified_after: datetime | None = None
    """Only what was modified after this instant is opened; also http(s) rows whose hosts do not say when that was."""
    scratch_bytes: int = 0
    """Most bytes that fetched files take together; 0: half of what is free where they lie."""
    store: StoreOptions = field(default_factory=StoreOptions)
    """How buckets are reached."""
    allow_buckets: tuple[str, ...] = ()
    """Buckets that rows of a manifest may name: ``s3://archive``, ``gs://*-media``; empty: any of the own account."""
    sign_urls_s: float = 0.0
    """How long signed URLs of objects are good, for endpoints that fetch for themselves; 0: none are made."""
