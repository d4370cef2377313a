"""Keeps pandas out of a process that has no use for it.

The first array that pyarrow makes of Python values has it import pandas, to see whether it was given a Series: 0.6 s of
CPU and 70 MB in a command that never sees one. It asks once; told that there is no pandas, it goes on without, and
imports it after all where a table is to become a DataFrame.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Says of pandas that it is not there."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as importlib has it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for pandas; leave the rest to the other finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not imported while pyarrow looks for it", name=fullname)
        return None


def keep_pandas_out() -> None:
    """Have pyarrow ask for pandas now, and find none. Does nothing where pandas is there already.

    For the beginning of a command, before there are threads that may import pandas themselves.
    """
    if "pandas" in sys.modules:
        return
    with _hidden():
        import pyarrow as pa  # noqa: PLC0415 - not before it cannot find pandas

        pa.array([None])


@contextmanager
def _hidden() -> Iterator[None]:
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
