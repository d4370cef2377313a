"""Names that the vendor gives: stream keys, ids, and sessions whose name tells what they belong to. Pure.

A session's name is base64url without padding of ``<8 characters of the account>-<stream key>-<start, Unix seconds>``.
No page says so; both samples of the vendor's pages decode to it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from batch_scan.digest import digest_bytes

_SESSION: Final = re.compile(r"[0-9A-Za-z]{8}-(?P<key>[0-9A-Za-z_-]{8,200})-(?P<start>\d{9,11})")
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._=-]{3,199}")
_MAX_SESSION_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's publishing under a stream key, as the session's name tells it."""

    name: str
    stream: str
    """Which stream it is: `stream_digest` of its key."""
    started_s: int
    """Unix seconds, by the vendor's clock."""


def stream_digest(stream_key: str) -> str:
    """Return what names a stream without giving its key away."""
    return digest_bytes(stream_key.encode())


def decode_session(untrusted: Any) -> Session | None:
    """Return what a session's name tells; None where it is not made as we know them."""
    if not isinstance(untrusted, str) or not 0 < len(untrusted) <= _MAX_SESSION_CHARS:
        return None
    try:
        text = base64.b64decode(untrusted + "=" * (-len(untrusted) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    match = _SESSION.fullmatch(text)
    return Session(untrusted, stream_digest(match["key"]), int(match["start"])) if match is not None else None


def is_name(untrusted: Any) -> bool:
    """Tell whether a stream's id or key can stand in a URL as it is."""
    return isinstance(untrusted, str) and _NAME.fullmatch(untrusted) is not None
