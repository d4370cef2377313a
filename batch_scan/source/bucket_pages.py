"""Listings asked for by ourselves, where obstore gives a page up over a key on it that it cannot name."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, unquote_plus

from batch_scan.errors import UsageError
from batch_scan.source.store_page import PAGE_OBJECTS, Page, PageError, ask_page, text_of
from batch_scan.store import azure_listing, listing_url
from batch_scan.store_url import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

    from obstore import ObjectMeta

    from batch_scan.store import StoreOptions
    from batch_scan.store_url import BucketUrl

BAD_PART = re.compile(r"//|(?:^|(?<=/))\.\.?(?:/|$)|[\x00-\x1f\x7f]")
"""What obstore cannot name in a key."""


class Pages(Protocol):
    """A listing, a page at a time."""

    leads_back: bool
    """Whether obstore can go on behind any key; else it is gone through to its end in this way."""

    def behind(self, key: str | None) -> Page:
        """Return the objects that come next, behind a key that was seen. Raises PageError."""
        ...

    def are_complete(self, last_key: str) -> bool:
        """Whether a listing through obstore goes on behind its first page.

        It ends silently where a store says that there is more, and not how to have it. True where that cannot be asked.
        """
        ...

    def have_leading_slashes(self) -> bool:
        """Whether keys of the bucket begin with a slash, which obstore drops. False where that cannot be asked."""
        ...


def pages_of(place: BucketUrl, options: StoreOptions) -> Pages:
    """Return the pages of a prefix, which ends in a slash or is empty, with the credentials that obstore has."""
    return AzurePages(place, options) if place.cloud is Cloud.AZURE else S3Pages(place, options)


def is_nameable(key: str) -> bool:
    """Whether obstore can ask for an object by this key, and tells it from others."""
    return not (key.startswith("/") or key.endswith("/") or BAD_PART.search(key))


class S3Pages:
    """Asks a store that speaks ListObjectsV2, as S3 and Google do."""

    leads_back = True

    def __init__(self, place: BucketUrl, options: StoreOptions) -> None:
        self._place = place
        self._options = options

    def behind(self, key: str | None) -> Page:
        """See `Pages.behind`."""
        page = self._ask(prefix=self._place.key, start_after=key or "")
        objects = [one for one in page.objects if key is None or one["path"] > key]  # not all heed `start-after`
        if not objects and not page.is_last:
            raise PageError(may_pass=False)
        return Page(objects, page.is_last, page.next)

    def are_complete(self, last_key: str) -> bool:
        """See `Pages.are_complete`."""
        try:
            page = self._ask(prefix=self._place.key, start_after=last_key)
        except PageError:
            return True
        return page.is_last or bool(page.next)

    def have_leading_slashes(self) -> bool:
        """See `Pages.have_leading_slashes`."""
        try:
            page = self._ask(prefix="/", max_keys="1")
        except PageError:
            return False
        return any(one["path"].startswith("/") for one in page.objects)

    def _ask(self, **asked: str) -> Page:
        query = {"list-type": "2", "encoding-type": "url"}
        query |= {name.replace("_", "-"): value for name, value in asked.items() if value}
        try:
            root = ask_page(listing_url(self._place, self._options, query), {})
            is_last = text_of(root, "IsTruncated") != "true"
            return Page(list(_contents(root)), is_last, text_of(root, "NextContinuationToken"))
        except (UsageError, ValueError):
            raise PageError(may_pass=False) from None


class AzurePages:
    """Asks Azure, which begins a listing at its start, or where it left off itself."""

    leads_back = False

    def __init__(self, place: BucketUrl, options: StoreOptions, page_objects: int = PAGE_OBJECTS) -> None:
        self._place = place
        self._options = options
        self._page_objects = str(page_objects)
        self._marker = ""
        self._has_met = False

    def behind(self, key: str | None) -> Page:
        """See `Pages.behind`. After the first call the key is not looked at: pages come one after the other."""
        self._has_met |= key is None
        while True:
            page = self._ask(prefix=self._place.key, marker=self._marker)
            objects = page.objects if self._has_met else self._behind(key or "", page.objects)
            self._marker = page.next
            if objects or page.is_last:
                if not self._has_met:
                    raise PageError(may_pass=False)  # the key is gone: nobody knows where its place was
                return Page(objects, page.is_last, page.next)

    def are_complete(self, last_key: str) -> bool:  # noqa: ARG002 - obstore goes on as Azure says
        """See `Pages.are_complete`."""
        return True

    def have_leading_slashes(self) -> bool:
        """See `Pages.have_leading_slashes`."""
        try:
            return bool(self._ask(prefix="/", maxresults="1").objects)
        except PageError:
            return False

    def _behind(self, key: str, objects: list[ObjectMeta]) -> list[ObjectMeta]:
        """Return what comes behind a key as obstore shows it. Not by comparing: the order is Azure's own."""
        places = [at for at, one in enumerate(objects) if one["path"].strip("/") == key]
        self._has_met = bool(places)
        return objects[places[-1] + 1 :] if places else []

    def _ask(self, **asked: str) -> Page:
        query = {"maxresults": self._page_objects, **{name: value for name, value in asked.items() if value}}
        try:
            request = azure_listing(self._place, self._options, query)
            root = ask_page(request.url, request.headers)
            following = text_of(root, "NextMarker")
            return Page(list(_blobs(root)), not following, following)
        except (UsageError, ValueError):
            raise PageError(may_pass=False) from None


def _contents(root: ET.Element) -> Iterator[ObjectMeta]:
    """Raises ValueError."""
    is_encoded = text_of(root, "EncodingType") == "url"
    for one in root.iterfind("Contents"):
        key = text_of(one, "Key")
        yield {
            "path": unquote_plus(key) if is_encoded else key,
            "last_modified": datetime.fromisoformat(text_of(one, "LastModified")),
            "size": int(text_of(one, "Size")),
            "e_tag": text_of(one, "ETag") or None,
            "version": None,
        }


def _blobs(root: ET.Element) -> Iterator[ObjectMeta]:
    """Raises ValueError."""
    for one in root.iterfind("Blobs/Blob"):
        name, said = one.find("Name"), one.find("Properties")
        if name is None or said is None:
            raise ValueError("a blob without a name")
        is_encoded = name.get("Encoded") == "true"  # where it holds what XML cannot
        yield {
            "path": unquote(name.text or "") if is_encoded else name.text or "",
            "last_modified": parsedate_to_datetime(text_of(said, "Last-Modified")),
            "size": int(text_of(said, "Content-Length")),
            "e_tag": text_of(said, "Etag") or None,
            "version": None,
        }
