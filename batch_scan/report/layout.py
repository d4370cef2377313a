"""Where things lie in a report: `REPORT/TABLE/run_id=ID/part-NNNNN.parquet`, and how runs are named."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import PurePath
from random import SystemRandom
from typing import TYPE_CHECKING, TypeVar

from batch_scan.model import RunId
from batch_scan.report.schema import Table
from batch_scan.report.store import TOP, store_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import PurePosixPath
    from random import Random

    from batch_scan.report.store import Place

_Path = TypeVar("_Path", bound=PurePath)
_PARTITION = "run_id="
_PART = re.compile(r"part-(\d{5,})\.parquet")
_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")

RUN_PART = 0
"""The one part that a run has in `runs`."""


def new_run_id(started_at: datetime, random: Random | None = None) -> RunId:
    """Name a run so that names sort by start time: ``20261121T231648Z-7f3a9c``.

    Args:
        started_at: when the run began, timezone-aware.
        random: where the six hex digits come from that tell runs of one second apart; the system's by default.
    """
    digits = (random or SystemRandom()).getrandbits(24)
    return RunId(f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digits:06x}")


def is_run_id(name: str) -> bool:
    """Whether `name` is the name of a run, and so safe as the name of a directory."""
    return _RUN_ID.fullmatch(name) is not None


def partition(root: _Path, table: Table, run_id: str) -> _Path:
    """Return the directory of one run's parts of one table, below a directory or as a key below `TOP`."""
    return root / table.value / f"{_PARTITION}{run_id}"


def part_path(root: _Path, table: Table, run_id: str, number: int) -> _Path:
    """Return where part `number` of a run's table lies, below a directory or as a key below `TOP`."""
    return partition(root, table, run_id) / f"part-{number:05d}.parquet"


def part_numbers(place: Place, table: Table, run_id: str) -> Mapping[int, PurePosixPath]:
    """Return the keys of the parts there are, by number and in its order; empty where none is. Raises OSError."""
    directory = partition(TOP, table, run_id)
    named = ((_PART.fullmatch(key.name), key) for key in store_of(place).keys(directory) if key.parent == directory)
    return dict(sorted((int(match[1]), key) for match, key in named if match is not None))


def committed_parts(place: Place, table: Table, run_id: str) -> list[PurePosixPath]:
    """Return the parts of a run's table that count: those whose part of `files` is there too. Raises OSError."""
    parts = part_numbers(place, table, run_id)
    if table in {Table.RUNS, Table.FILES}:
        return list(parts.values())
    committed = part_numbers(place, Table.FILES, run_id)
    return [key for number, key in parts.items() if number in committed]


def run_of_partition(path: PurePath) -> RunId | None:
    """Return the run whose partition `path` is by its name; None where it is none."""
    name = path.name.removeprefix(_PARTITION)
    return RunId(name) if path.name.startswith(_PARTITION) and is_run_id(name) else None


def run_ids(place: Place) -> list[RunId]:
    """Return the runs of a report by start time, oldest first; empty where there is none. Raises OSError."""
    parts = (key for key in store_of(place).keys(TOP / Table.RUNS.value) if _PART.fullmatch(key.name))
    runs = {run_of_partition(key.parent) for key in parts if key.parent.parent == TOP / Table.RUNS.value}
    return sorted(run for run in runs if run is not None)
