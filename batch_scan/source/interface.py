"""What a source is: entries in order, and a way to have one as a local file.

A source never knows an endpoint. It yields every entry, also those that must not be opened, so that each gets its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from batch_scan.errors import FetchError
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.model import Item, Refused, Stat


class Source(Protocol):
    """Where files come from: a directory, a manifest, a bucket."""

    uri: str
    """As the report shows it."""
    sha256: str
    """Digest of the manifest; empty where the source is not one file."""

    def entries(self) -> Iterator[Item | Refused]:
        """Yield every entry once, lazily, in a stable order; memory does not grow with their number.

        Raises UsageError where the source itself cannot be read (no such file, no URI column).
        """
        ...

    def total(self) -> int | None:
        """Number of entries where it is known without reading them all, for the progress bar."""
        ...

    def stat(self, item: Item) -> Stat | None:
        """Return what tells that `item` is unchanged; None where that takes a request (http) or fails."""
        ...

    def url(self, item: Item) -> str:  # noqa: ARG002 - for those whose items lie under one
        """Return the URL under which an outsider can have exactly this item, for some minutes at least; else nothing.

        Asked while the item is fetched, in a thread: it may ask the cloud for a signature. May be signed: it is never
        shown, logged or kept. None is given of what `check_same` could tell nothing about.
        """
        return ""

    async def check_same(self, item: Item) -> None:  # noqa: ARG002 - for those who give URLs
        """Raise FetchError unless what lies under `url(item)` is still what was fetched.

        Asked while the item is fetched. `CHANGED` or `MISSING` where it is not, another reason where nobody can tell.
        """
        raise FetchError(Reason.FETCH_FAILED, "nobody can tell whether it is still what was fetched")

    def fetch(self, item: Item) -> AbstractAsyncContextManager[Path]:
        """Have the item as a local file while the context lasts; fetched files are removed on every way out.

        Raises FetchError on entering, with the reason the row gets.
        """
        ...
