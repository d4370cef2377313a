"""Takes the URL of a file, which may be signed, out of whatever a service says of it. Pure.

A service may repeat the URL that it was given, in part or encoded, or name the one that a redirect led it to.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from batch_scan.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HIDDEN = "[url]"
"""What stands in the place of a file's URL, or a part of it."""

_LEAST_CHARS = 8
"""A shorter part of a query (`900`, `host`) is no secret, and may stand in an answer for another reason."""
_ENCODED = re.compile(r"%[0-9A-F]{2}")
_SECRETS_OF_URL = re.compile(r"(?i)(\bhttps?://)(?:[^\s/?#\"'<>@]*@)?([^\s?#\"'<>]*)(\?[^\s\"'<>]*)?")


def hider(url: str) -> Callable[[str], str]:
    """Return what takes a URL out of a text; its query, and the values in it, alone too.

    No other URL keeps a user, a password or a query: where a redirect led, they may be a signature as well.
    """
    longest_first = sorted(set(_forms(url)), key=len, reverse=True)

    def hide(text: str) -> str:
        for part in longest_first:
            text = text.replace(part, HIDDEN)
        return _SECRETS_OF_URL.sub(lambda found: f"{found[1]}{found[2]}" + ("?…" if found[3] else ""), text)

    return hide


def hidden(error: EndpointError, hide: Callable[[str], str]) -> EndpointError:
    """Return an error without the URL that `hide` takes out."""
    return EndpointError(
        error.failure,
        hide(error.detail),
        http_status=error.http_status,
        vendor_code=hide(error.vendor_code),
        retry_after_s=error.retry_after_s,
        maybe_charged=error.maybe_charged,
        was_sent=error.was_sent,
    )


def _forms(url: str) -> Iterator[str]:
    """Yield every text that gives a URL, or what is secret in it, away."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query, keep_blank_values=True)]
    user = [parts.username or "", parts.password or ""]
    for secret in (parts.query, *values, *user):
        if len(secret) >= _LEAST_CHARS:
            yield from _encodings(secret)
    if url:
        yield from _encodings(url)


def _encodings(text: str) -> Iterator[str]:
    plain = unquote(text)
    written = (text, plain, *(quote(one, safe=safe) for one in (text, plain) for safe in ("", "/")))
    yield from (*written, *map(_with_small_digits, written), html.escape(text))


def _with_small_digits(text: str) -> str:
    """Write percent-encodings as .NET does, `%2f` for `%2F`."""
    return _ENCODED.sub(lambda found: found[0].lower(), text)
