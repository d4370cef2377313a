"""Text for a terminal: aligned columns, within a width, of words that may come from anywhere. Pure."""

from __future__ import annotations

import unicodedata
from itertools import accumulate
from typing import TYPE_CHECKING

from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 100
"""Most columns of a line."""

_FORMULA = ("=", "+", "-", "@")
_CELL_WIDTH = 24
_GAP = "  "
_MINUTE_S = 60
_HOUR_S = 3600


def cell(untrusted: str) -> str:
    """Return text from outside as it may be shown: one line, no control characters, no spreadsheet formula."""
    text = clean_text(untrusted)
    return f"'{text}" if text.startswith(_FORMULA) else text


def number(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}"


def clock(seconds: float | None) -> str:
    """Return a position in a file as ``h:mm:ss``."""
    if seconds is None:
        return "?"
    whole = int(seconds)
    return f"{whole // _HOUR_S}:{whole % _HOUR_S // _MINUTE_S:02d}:{whole % _MINUTE_S:02d}"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent, never rounded up to all or down to nothing."""
    percent = 100.0 if part >= whole else 100 * part / whole
    if 0 < percent < 1:
        return "under 1 %"
    return f"{int(percent)} %"


def display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide characters two, combining ones none."""
    return sum(map(_char_width, text))


def head(text: str, width: int) -> str:
    """Return the beginning of a text that fits into `width` columns."""
    return text if display_width(text) <= width else _cut(text, width - 1) + "…"


def tail(text: str, width: int) -> str:
    """Return the end of a text that fits into `width` columns: of a long path the file's name is wanted."""
    return text if display_width(text) <= width else "…" + _cut(text[::-1], width - 1)[::-1]


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Return rows as lines with aligned columns, none wider than `WIDTH`.

    Args:
        rows: cells, safe to show; every row with the same number of them.
        sides: for each column `l` or `r`, where its cells stand; what is too long loses its end, or with `t`, for
            the last column, its beginning.
    """
    widths = [min(max(map(display_width, column)), _CELL_WIDTH) for column in zip(*rows, strict=True)]
    widths[-1] = WIDTH - sum(widths[:-1]) - len(_GAP) * len(widths)
    if sides[-1] == "r":
        widths[-1] = min(widths[-1], max(display_width(row[-1]) for row in rows))
    placers = [_PLACERS[side] for side in sides]
    return [
        (_GAP + _GAP.join(place(text, width) for place, text, width in zip(placers, row, widths, strict=True))).rstrip()
        for row in rows
    ]


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _cut(text: str, width: int) -> str:
    return text[: sum(used <= width for used in accumulate(map(_char_width, text)))]


def _padding(text: str, width: int) -> str:
    return " " * (width - display_width(text))


def _left(text: str, width: int) -> str:
    shown = head(text, width)
    return shown + _padding(shown, width)


def _right(text: str, width: int) -> str:
    shown = head(text, width)
    return _padding(shown, width) + shown


_PLACERS: dict[str, Callable[[str, int], str]] = {"l": _left, "r": _right, "t": tail}
