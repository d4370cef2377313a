"""Pages of a listing asked for by ourselves, where obstore gives a page up over a key on it that it cannot name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

import httpx

from batch_scan.errors import UsageError
from batch_scan.store import listing_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore import ObjectMeta

    from batch_scan.store import StoreOptions
    from batch_scan.store_url import BucketUrl

_TIMEOUT_S = 30.0
_MAX_BYTES = 16 << 20  # a thousand keys of 1024 bytes, each of which three letters stand for, take 3 MB
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
BAD_PART = re.compile(r"//|(?:^|(?<=/))\.\.?(?:/|$)|[\x00-\x1f\x7f]")
"""What obstore cannot name in a key."""


@dataclass(frozen=True, slots=True)
class Page:
    """Up to a thousand objects, by their whole keys."""

    objects: list[ObjectMeta]
    is_last: bool
    says_how_on: bool
    """Whether it names what to ask for the next page with; stores that know no ListObjectsV2 do not."""


class PageError(Exception):
    """A page cannot be had in this way; `may_pass` tells whether asking again may help."""

    def __init__(self, *, may_pass: bool) -> None:
        super().__init__()
        self.may_pass = may_pass


class _BusyError(Exception):
    """The store is busy or broken."""


class Pages:
    """Asks a store that speaks ListObjectsV2, with the credentials that obstore has.

    Args:
        place: the bucket, and the prefix with a slash at its end, or none.
        options: how the store is reached.
    """

    def __init__(self, place: BucketUrl, options: StoreOptions) -> None:
        self._place = place
        self._options = options

    def behind(self, key: str | None) -> Page:
        """Return the objects that come next. Raises PageError."""
        page = self._ask(key)
        if key is not None:
            objects = [one for one in page.objects if one["path"] > key]  # not all stores heed `start-after`
            page = Page(objects, page.is_last, page.says_how_on)
        if not page.objects and not page.is_last:
            raise PageError(may_pass=False)
        return page

    def are_complete(self, last_key: str) -> bool:
        """Whether a listing through obstore goes on behind its first page.

        It ends silently where a store says that there is more, and not how to have it. True where that cannot be asked.
        """
        try:
            page = self._ask(last_key)
        except PageError:
            return True
        return page.is_last or page.says_how_on

    def _ask(self, key: str | None) -> Page:
        query = {"list-type": "2", "encoding-type": "url", "prefix": self._place.key, "start-after": key or ""}
        try:
            url = listing_url(self._place, self._options, {name: value for name, value in query.items() if value})
            root = _parsed(_get(url))
            is_last = _text(root, "IsTruncated") != "true"
            return Page(list(_objects(root)), is_last, bool(_text(root, "NextContinuationToken")))
        except (httpx.TransportError, _BusyError):
            raise PageError(may_pass=True) from None
        except (UsageError, ValueError, httpx.HTTPError, httpx.InvalidURL, ET.ParseError):
            raise PageError(may_pass=False) from None  # their texts may hold the URL


def is_nameable(key: str) -> bool:
    """Whether obstore can ask for an object by this key, and tells it from others."""
    return not (key.startswith("/") or key.endswith("/") or BAD_PART.search(key))


def _get(url: str) -> bytes:
    """Raises ValueError, _BusyError, httpx.HTTPError. Through the transport alone: httpx's client logs URLs."""
    timeout = httpx.Timeout(_TIMEOUT_S).as_dict()
    request = httpx.Request("GET", url, headers={"User-Agent": "batch-scan"}, extensions={"timeout": timeout})
    content = bytearray()
    with httpx.HTTPTransport() as transport:
        response = transport.handle_request(request)
        response.request = request
        try:
            for block in response.iter_bytes():
                content += block
                if len(content) > _MAX_BYTES:
                    raise ValueError("the page is too large")
        finally:
            response.close()
    if response.status_code in _BUSY:
        raise _BusyError
    if response.status_code != HTTPStatus.OK:
        raise ValueError(response.status_code)
    return bytes(content)


def _parsed(body: bytes) -> ET.Element:
    """Raises ValueError, ElementTree.ParseError."""
    if b"<!" in body[:4096]:
        raise ValueError("an answer of a store declares no entities")
    root = ET.fromstring(body)  # noqa: S314 - nothing is declared in it, so there is nothing to expand
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root


def _objects(root: ET.Element) -> Iterator[ObjectMeta]:
    """Raises ValueError."""
    is_encoded = _text(root, "EncodingType") == "url"
    for one in root.iterfind("Contents"):
        key = _text(one, "Key")
        yield {
            "path": unquote_plus(key) if is_encoded else key,
            "last_modified": datetime.fromisoformat(_text(one, "LastModified")),
            "size": int(_text(one, "Size")),
            "e_tag": _text(one, "ETag") or None,
            "version": None,
        }


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or ""
