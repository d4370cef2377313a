"""One page of a listing that is asked for by ourselves: what it holds, and how it is had."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore import ObjectMeta

_TIMEOUT_S = 30.0
_MAX_BYTES = 16 << 20  # a thousand keys of 1024 bytes, each of which three letters stand for, take 3 MB
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
PAGE_OBJECTS = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Up to a thousand objects, by their whole keys."""

    objects: list[ObjectMeta]
    is_last: bool
    next: str = ""
    """What to ask for the next page with; stores that know no ListObjectsV2 do not name it."""


class PageError(Exception):
    """A page cannot be had in this way; `may_pass` tells whether asking again may help."""

    def __init__(self, *, may_pass: bool) -> None:
        super().__init__()
        self.may_pass = may_pass


def ask_page(url: str, headers: Mapping[str, str]) -> ET.Element:
    """Return the root of what a store answers, its tags without namespaces. Raises PageError."""
    try:
        return _parsed(_get(url, headers))
    except httpx.TransportError:
        raise PageError(may_pass=True) from None
    except (ValueError, httpx.HTTPError, httpx.InvalidURL, ET.ParseError):
        raise PageError(may_pass=False) from None  # their texts may hold the URL


def text_of(element: ET.Element, name: str) -> str:
    """Return the text of a child; empty where there is none."""
    return element.findtext(name) or ""


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    """Raises PageError, ValueError, httpx.HTTPError. Through the transport alone: httpx's client logs URLs."""
    timeout = httpx.Timeout(_TIMEOUT_S).as_dict()
    own = {"User-Agent": "batch-scan", **headers}
    request = httpx.Request("GET", url, headers=own, extensions={"timeout": timeout})
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
    if response.status_code != HTTPStatus.OK:
        raise PageError(may_pass=response.status_code in _BUSY)
    return bytes(content)


def _parsed(body: bytes) -> ET.Element:
    """Raises ValueError, ElementTree.ParseError."""
    if b"<!" in body[:4096]:
        raise ValueError("an answer of a store declares no entities")
    root = ET.fromstring(body)  # noqa: S314 - nothing is declared in it, so there is nothing to expand
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root
