"""What a user may say about a source; the `[source]` table of a job file as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Largest file that is fetched from a host. Local files are opened in place and have no such limit."""
    fetch_timeout_s: float = 600.0
    """Longest time that one fetch may take: name lookup, redirects, retries and transfer together."""
    scratch: Path | None = None
    """Directory for fetched files; None: the system's directory for temporary files."""
    skip_directories: tuple[Path, ...] = ()
    """Directories that are not walked and get no row: where the tool itself writes."""
