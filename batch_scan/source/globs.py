"""What of a source its user wants: include and exclude patterns, and a time from which on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from batch_scan.errors import UsageError
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from datetime import datetime


class Selection:
    """Says which entries the user wants opened.

    Patterns are those of a .gitignore file, matched case-sensitively on the path below the root: one without a slash
    matches a name at any depth, one with a slash starts at the root, ``**`` stands for any number of directories, and a
    pattern that matches a directory matches all below it.
    """

    def __init__(
        self, include: tuple[str, ...], exclude: tuple[str, ...], modified_after: datetime | None = None
    ) -> None:
        self._include = _compile("include", include)
        self._exclude = _compile("exclude", exclude)
        self._after_ns = int(modified_after.timestamp() * 1e9) if modified_after is not None else None

    def refuse(self, relative: str) -> Shortfall | None:
        """Return why the entry at this path below the root is not wanted; None where it is."""
        if self._exclude is not None and self._exclude.match_file(relative):
            return Shortfall(Reason.EXCLUDED, "matches a pattern of source.exclude")
        if self._include is not None and not self._include.match_file(relative):
            return Shortfall(Reason.EXCLUDED, "matches no pattern of source.include")
        return None

    def refuse_age(self, modified_ns: int) -> Shortfall | None:
        """Return why an entry that was modified then is not wanted; None where it is, or the time is not known."""
        if self._after_ns is None or not modified_ns or modified_ns > self._after_ns:
            return None
        return Shortfall(Reason.EXCLUDED, "was not modified after source.modified_after")


def _compile(key: str, patterns: tuple[str, ...]) -> GitIgnoreSpec | None:
    for pattern in patterns:
        _check(key, pattern)
    return GitIgnoreSpec.from_lines(patterns) if patterns else None


def _check(key: str, pattern: str) -> None:
    try:
        compiled = GitIgnoreSpec.from_lines([pattern]).patterns
    except (ValueError, re.error) as error:
        raise UsageError(f"source.{key}: {pattern!r} is not a pattern ({error})") from None
    if not any(one.include is not None for one in compiled):
        raise UsageError(
            f"source.{key}: {pattern!r} can match nothing; check its brackets, and write \\# for a leading #"
        )
