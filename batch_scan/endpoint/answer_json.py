"""JSON from a service, read strictly: what could be read in two ways, or choke a reader, is refused. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_DEPTH = 64
"""Deepest nesting that is taken; the deepest answer any known contract shows has 8 levels."""


def parse_json(untrusted: str | bytes) -> Any:
    """Return the value that `untrusted` holds.

    Raises ValueError for anything but one JSON value in UTF-8: `NaN`, infinities, numbers beyond a float, an object
    that names a key twice (which of two verdicts would count?), nesting beyond `MAX_DEPTH`.
    """
    text = untrusted.decode("utf-8") if isinstance(untrusted, bytes) else untrusted
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(value)
    return value


def dump_json(value: Any) -> str:
    """Return `value` as compact JSON that can be stored anywhere: no lone surrogates, whatever the service escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return `value` with `change` applied to every string in it, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_strings(element, change) for element in value]
    if isinstance(value, dict):
        return {change(key): map_strings(element, change) for key, element in value.items()}
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    _finite(digits)  # who divides or shows it makes a float of it
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
