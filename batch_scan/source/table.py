"""What the formats of manifests have in common: rows with a URI, and the rule that finds its column."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from batch_scan.errors import UsageError
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

URI_COLUMNS = ("uri", "url", "path", "file")
"""Names of the column that says what to scan; the first in this order wins."""
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row that could be read."""

    place: str
    """Where it stands in the manifest, such as ``line=17``."""
    uri: str
    columns: Mapping[str, str]
    """Its other columns, as text; nulls left out."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that could not be read."""

    place: str
    detail: str
    columns: Mapping[str, str]


class Table(Protocol):
    """A manifest of one format. Its head is read, and its faults are told, when it is made."""

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every row in order, lazily; memory does not grow with their number. Raises OSError, EOFError."""
        ...

    def total(self) -> int | None:
        """Return the number of rows where that is cheap to know."""
        ...


def column_names(raw: Sequence[str], shown_path: str) -> list[str]:
    """Return the names of columns without byte order mark and surrounding spaces; nameless ones get a number from 1.

    Raises UsageError where two are the same.
    """
    names = [clean_name(name) or f"column {number}" for number, name in enumerate(raw, start=1)]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UsageError(f"{shown_path}: more than one column is named {_listed(doubled)}; give each its own name")
    return names


def clean_name(name: str) -> str:
    """Return a column's name without byte order mark and surrounding spaces."""
    return name.strip().removeprefix(_BOM).strip()


def find_uri_column(names: Sequence[str]) -> str | None:
    """Return the column that holds the URI, whatever its case; None where there is none.

    Raises ValueError where two differ in case alone.
    """
    for wanted in URI_COLUMNS:
        found = [name for name in names if name.casefold() == wanted]
        if len(found) > 1:
            raise ValueError(f"the columns {_listed(found)} could both hold the URI; rename one of them")
        if found:
            return found[0]
    return None


def require_uri_column(names: Sequence[str], shown_path: str, hint: str = "") -> str:
    """Return the column that holds the URI. Raises UsageError, which lists the columns there are."""
    try:
        column = find_uri_column(names)
    except ValueError as error:
        raise UsageError(f"{shown_path}: {error}") from None
    if column is None:
        raise UsageError(
            f"{shown_path} has no column named {', '.join(URI_COLUMNS[:-1])} or {URI_COLUMNS[-1]}; "
            f"its columns are {_listed(names) or 'none'}{hint}"
        )
    return column


def _listed(names: Sequence[str]) -> str:
    return clean_text(", ".join(repr(name) for name in names))
