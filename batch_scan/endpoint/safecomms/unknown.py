"""Fields of SafeComms' answers that nobody documents: whether they say that something was found. Pure.

The vendor names no field in which `detectPii`, `customKeywords` and `detectDistress` tell what they found. So where one
of them is asked for, a field that is not known counts as a finding unless it says nothing: rather a flag too many than
a finding that is read as clean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN = frozenset(
    {
        *("id", "isclean", "severity", "categoryscores", "issues", "addons", "isbypassattempt"),
        *("reason", "message", "status", "language", "duration", "model", "version", "usage"),
    }
)
"""Fields that are read elsewhere, and those that services put beside any answer. Letters and digits alone."""
_OTHER_OPTIONS = ("metadata", "transcri", "segment", "utterance", "word", "speaker", "sentiment", "topic", "quality")
"""Parts of the names under which what else can be asked for may stand, none of it a finding."""
_FINDINGS = ("pii", "personal", "keyword", "distress")
"""Parts of names that make a field a finding, whatever else is in its name."""
_NOTHING = frozenset({"", "none", "no", "false"})


def raised_fields(body: Mapping[str, Any]) -> list[str]:
    """Return the names of an answer's unknown fields that say something, in their order."""
    return [name for name, value in body.items() if not _is_known(name) and says_something(value)]


def says_something(value: Any) -> bool:
    """Return whether a value of unknown meaning says that something is there.

    Null, false, 0, an empty text or list, and the words for nothing do not; nor does an object whose own true or false
    is false (``{"detected": false, "confidence": 0.98}``), unless a list in it holds something.
    """
    if isinstance(value, str):
        return value.strip().casefold() not in _NOTHING
    if isinstance(value, list):
        return any(map(says_something, value))
    if isinstance(value, dict):
        verdicts = [part for part in value.values() if isinstance(part, bool)]
        parts = [part for part in value.values() if not verdicts or isinstance(part, list | dict)]
        return any(verdicts) or any(map(says_something, parts))
    return bool(value)


def _is_known(name: str) -> bool:
    letters = "".join(char for char in name.casefold() if char.isalnum())
    if any(part in letters for part in _FINDINGS):
        return False
    return letters in _KNOWN or any(part in letters for part in _OTHER_OPTIONS)
