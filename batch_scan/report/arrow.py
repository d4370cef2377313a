r"""Rows as Arrow tables. Whatever stands in them, making the table never fails.

Text from outside may hold lone surrogates, which UTF-8 cannot carry: they are written as escapes such as ``\udcff``.
Numbers that are not finite are null; whole numbers beyond 64 bits become the nearest that fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_scan.report.schema import SCHEMAS
from batch_scan.untrusted import storable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.report.schema import Table

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def arrow_table(table: Table, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return rows, each a tuple in the order of the schema's columns, as a table of exactly that schema."""
    schema = SCHEMAS[table]
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        array = pa.array(values, kind)
    except (UnicodeError, OverflowError):
        array = pa.array([_storable(value) for value in values], kind)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
    return array


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, _INT64_MIN), _INT64_MAX)
    if isinstance(value, list | tuple):
        return type(value)(map(_storable, value))
    return value
