"""Text that came from outside (file names, ffmpeg's stderr, vendors' messages), made safe to show and to keep."""

from __future__ import annotations

import os
import unicodedata

_MESSAGE_CHARS = 500
_UNSHOWN = frozenset({"Cc", "Cf", "Cs"})  # control, format (bidirectional overrides among them) and surrogates


def clean_text(untrusted: str, limit: int = _MESSAGE_CHARS) -> str:
    """Return `untrusted` on one line, without control or unencodable characters, at most `limit` characters long."""
    head = untrusted[: limit * 2]
    if not (head.isascii() and head.isprintable()):  # most lines of a log are, and there are many
        head = "".join(map(_shown_char, head))
    shown = " ".join(head.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _shown_char(char: str) -> str:
    if char.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _UNSHOWN else char


def storable_text(text: str) -> str:
    r"""Return text that can be written as UTF-8: half characters, which JSON can escape, become ``\udNNN``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def show_path(path: str) -> str:
    r"""Return a file name as valid UTF-8: bytes that are not become ``\xNN``, as Python writes them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
