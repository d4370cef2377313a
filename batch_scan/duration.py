"""Lengths of time as people write and read them."""

from __future__ import annotations

import re
from typing import Any

_UNIT_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_MINUTE_S = 60
_HOUR_S = 3600


def parse_duration(value: Any) -> Any:
    """Return seconds for words such as ``90s``, ``30m``, ``6h`` or ``1h30m``; anything that is not text is passed on.

    Raises ValueError with an example for text that is no length of time.
    """
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        pass
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{value!r} is not a length of time; write seconds, or for example 90s, 30m, 6h, 1h30m")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Return a length of time in its two largest units, such as ``2 h 05 min``."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
