"""Where the ledger lies when nobody says it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.digest import digest_bytes
from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_REPORT = ".state"
_NAME_CHARS = 16  # of a SHA-256 in hex: 64 bits tell the reports of one user apart


def default_state_dir(report_uri: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the ledger for a report: in it, or for a bucket one of the user's own on this machine.

    Args:
        report_uri: path of a directory, or URL of a bucket; a slash at its end makes no difference.
        environ: the environment; ``XDG_STATE_HOME`` is heeded where it is absolute, as its specification says.

    Raises UsageError where the user has no home directory.
    """
    if "://" not in report_uri:
        return Path(report_uri) / _IN_REPORT
    named = Path(environ.get("XDG_STATE_HOME", ""))
    home = named if named.is_absolute() else _home() / ".local" / "state"
    return home / "batch-scan" / digest_bytes(report_uri.rstrip("/").encode("utf-8", "surrogateescape"))[:_NAME_CHARS]


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(
            "the report goes to a bucket, and there is no home directory to keep the ledger in; "
            "name a directory with --state"
        ) from None
