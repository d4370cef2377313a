"""Fields of DeepCleer's JSON, whose names its pages spell in several ways (btId, btid; errorCode, errorcode). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_ENTRIES = 1000
"""Entries of one list that are read."""
ECHO = "requestparams"
"""Our own question, which comes back in some answers: the URL of a file with its signature, perhaps."""


def pick(body: Any, name: str) -> Any:
    """Return a field whatever the case of its name and the hyphens in it; None where it is missing."""
    if not isinstance(body, dict):
        return None
    if name in body:
        return body[name]
    wanted = letters(name)
    return next((value for key, value in body.items() if letters(key) == wanted), None)


def letters(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(char for char in name.casefold() if char.isalnum())


def entries(value: Any) -> list[Any]:
    """Return the entries of a list, one of an object, none of anything else; a bounded number."""
    if isinstance(value, dict):
        return [value]
    return value[:_MAX_ENTRIES] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """Return a number, also one in quotes; None where it is none or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e15 else None  # noqa: PLR2004 - NaN and infinities are not


def words(value: Any) -> str:
    """Return a text, or a number as one; empty where it is neither."""
    if isinstance(value, str):
        return value
    return str(value)[:100] if isinstance(value, int) and not isinstance(value, bool) else ""


def without_echo(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without the copy of our question in it, one level down too."""
    return {
        name: without_echo(value) if isinstance(value, dict) else value
        for name, value in body.items()
        if letters(name) != ECHO
    }
