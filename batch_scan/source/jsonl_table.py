"""Manifests in JSON Lines. Parsed line by line, so that a bad line costs one row and no number is rewritten."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from batch_scan.errors import UsageError
from batch_scan.source.table import (
    URI_COLUMNS,
    BadRow,
    Row,
    clean_name,
    find_uri_column,
    require_uri_column,
)
from batch_scan.source.textfile import MAX_LINE_CHARS, bounded_lines, check_utf8, open_lines
from batch_scan.untrusted import storable_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROWS_LOOKED_AT = 1000


class JsonlTable:
    """A manifest in JSON Lines: an object per line, whose keys may differ from line to line.

    Numbers are carried as they are written, objects and lists as JSON text. Blank lines are no rows.
    """

    def __init__(self, path: Path, shown_path: str) -> None:
        self._path = path
        check_utf8(path, shown_path)
        self._check_head(shown_path)

    def rows(self) -> Iterator[Row | BadRow]:
        """See `Table.rows`."""
        for number, line in self._lines():
            place = f"line={number}"
            try:
                yield _read(place, line)
            except ValueError as error:
                yield BadRow(place, str(error), {})

    def total(self) -> int | None:
        """See `Table.total`."""
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[tuple[int, str]]:
        with open_lines(self._path, newline="\n") as file:
            for number, line in enumerate(bounded_lines(file), start=1):
                if not line.isspace():
                    yield number, line

    def _check_head(self, shown_path: str) -> None:
        """Refuse a file whose first line is no object, or whose first lines all lack a URI."""
        seen: dict[str, None] = {}
        for number, line in islice(self._lines(), _ROWS_LOOKED_AT):
            try:
                seen.update(dict.fromkeys(_fields(line)))
            except ValueError as error:
                if not seen:
                    raise UsageError(f"{shown_path}, line {number}: {error}; write one JSON object per line") from None
            if any(name.casefold() in URI_COLUMNS for name in seen):
                return
        require_uri_column(list(seen), shown_path)


def _read(place: str, line: str) -> Row:
    """Raises ValueError, which says what is wrong with the line."""
    fields = _fields(line)
    column = find_uri_column(list(fields))
    if column is None:
        raise ValueError(f"it has no key named {', '.join(URI_COLUMNS)}")
    uri = fields.pop(column)
    if not isinstance(uri, str | None):
        raise ValueError(f"its {column} is not text")  # noqa: TRY004 - the caller's one kind of bad line
    return Row(place, uri or "", {name: _text(value) for name, value in fields.items() if value is not None})


def _fields(line: str) -> dict[str, Any]:
    """Return the object on a line, numbers as the text they are written as. Raises ValueError."""
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"it is longer than {MAX_LINE_CHARS} characters")
    parsed = _loads(line, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    if not isinstance(parsed, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the caller's one kind of bad line
    fields = {storable_text(clean_name(name)): value for name, value in parsed.items()}
    if len(fields) != len(parsed):
        raise ValueError("two of its keys differ in spaces alone")
    return fields


def _loads(line: str, **numbers: Any) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_without_doubles, **numbers)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("its lists and objects are nested too deep") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("one of its keys stands there twice")
    return fields


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return storable_text(str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return storable_text(_json(value))


def _json(value: Any) -> str:
    """Return a list or object as JSON text; `json.dumps` would put numbers kept as text between quotes."""
    match value:
        case _Number():
            return str(value)
        case dict():
            return (
                "{"
                + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_json(one)}" for name, one in value.items())
                + "}"
            )
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
