"""Scan archives of audio and video with moderation endpoints, and report one verdict per file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_scan.report.reader import open_report as open_report

__version__ = "0.1.0"

__all__ = ["__version__", "open_report"]


def __getattr__(name: str) -> Any:
    """Load the reader when it is asked for: decoder processes import this package and need no pandas."""
    if name == "open_report":
        from batch_scan.report.reader import open_report  # noqa: PLC0415 - see above

        return open_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
