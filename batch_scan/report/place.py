"""Whether a report can be kept in a place, asked before anything is scanned."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.report.layout import run_of_partition
from batch_scan.report.schema import Table
from batch_scan.report.store import TOP, store_of

if TYPE_CHECKING:
    from batch_scan.report.store import Place, ReportStore


def check_report_place(place: Place) -> None:
    """Make sure that a report can be begun or continued in a place. Writes nothing.

    A place is good if it does not exist yet, is empty, or holds a report. Names that begin with a dot are left aside.
    Beside the tables of a report anything may lie; what is called like a table must be one. Whether a bucket lets
    itself be written to shows when the lease is taken.

    Raises UsageError, which names the place and the mend.
    """
    store = store_of(place)
    try:
        if store.is_remote:
            _check_remote(store)
        else:
            _check(Path(store.uri))
    except OSError as error:
        raise UsageError(f"report: {store.uri} cannot be used ({error.strerror}); choose another place") from None


def _check_remote(store: ReportStore) -> None:
    store.reach()
    names = {name for name in store.names(TOP) if not name.startswith(".")}
    tables = names & {table.value for table in Table}
    if names and Table.RUNS.value not in tables:
        raise UsageError(
            f"report: {store.uri} holds other things ({min(names)!a}); choose an empty prefix or one with a report"
        )
    for table in sorted(tables):
        for name in sorted(store.names(TOP / table)):
            if not name.startswith(".") and run_of_partition(PurePosixPath(name)) is None:
                raise UsageError(f"report: {store.uri}/{table} holds other things ({name!a}); choose another place")


def _check(root: Path) -> None:
    if not _is_there(root):
        _check_parent(root)
        return
    if not root.is_dir():
        raise UsageError(f"report: {root} is not a directory; choose another place")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"report: {root} cannot be written to; change its permissions or choose another place")
    names = {path.name for path in root.iterdir() if not path.name.startswith(".")}
    tables = names & {table.value for table in Table}
    if names and Table.RUNS.value not in tables:
        raise UsageError(
            f"report: {root} holds other things ({min(names)!a}); choose an empty directory or one with a report"
        )
    for name in sorted(tables):
        _check_table(root / name)


def _check_parent(root: Path) -> None:
    parent = next(path for path in root.absolute().parents if _is_there(path))
    if not parent.is_dir():
        raise UsageError(f"report: {root} cannot be made, {parent} is not a directory; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"report: {root} cannot be made, {parent} cannot be written to; choose another place")


def _is_there(path: Path) -> bool:
    """Whether there is anything of this name; unlike `Path.exists` says why it cannot be told. Raises OSError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_table(directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"report: {directory} is not a directory of parts; choose another place")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"report: {directory} cannot be written to; change its permissions or choose another place")
    for path in directory.iterdir():
        if not path.name.startswith(".") and run_of_partition(path) is None:
            raise UsageError(f"report: {directory} holds other things ({path.name!a}); choose another place")
