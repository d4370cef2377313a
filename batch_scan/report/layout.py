"""Where things lie in a report: `REPORT/TABLE/run_id=ID/part-NNNNN.parquet`, and how runs are named."""

from __future__ import annotations

import re
from datetime import UTC
from random import SystemRandom
from typing import TYPE_CHECKING

from batch_scan.model import RunId
from batch_scan.report.schema import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path
    from random import Random

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


def partition(root: Path, table: Table, run_id: str) -> Path:
    """Return the directory of one run's parts of one table."""
    return root / table.value / f"{_PARTITION}{run_id}"


def part_path(root: Path, table: Table, run_id: str, number: int) -> Path:
    """Return where part `number` of a run's table lies."""
    return partition(root, table, run_id) / f"part-{number:05d}.parquet"


def part_numbers(root: Path, table: Table, run_id: str) -> Mapping[int, Path]:
    """Return the parts that lie there, by number and in its order; empty where there is none. Raises OSError."""
    directory = partition(root, table, run_id)
    if not directory.is_dir():
        return {}
    named = ((_PART.fullmatch(path.name), path) for path in directory.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in named if match is not None))


def committed_parts(root: Path, table: Table, run_id: str) -> list[Path]:
    """Return the parts of a run's table that count: those whose part of `files` is there too. Raises OSError."""
    parts = part_numbers(root, table, run_id)
    if table in {Table.RUNS, Table.FILES}:
        return list(parts.values())
    committed = part_numbers(root, Table.FILES, run_id)
    return [path for number, path in parts.items() if number in committed]


def run_of_partition(path: Path) -> RunId | None:
    """Return the run whose partition `path` is by its name; None where it is none."""
    name = path.name.removeprefix(_PARTITION)
    return RunId(name) if path.name.startswith(_PARTITION) and is_run_id(name) else None


def run_ids(root: Path) -> list[RunId]:
    """Return the runs of a report by start time, oldest first; empty where there is none. Raises OSError."""
    directory = root / Table.RUNS.value
    if not directory.is_dir():
        return []
    runs = (run_of_partition(path) for path in directory.iterdir())
    return sorted(run for run in runs if run is not None and part_numbers(root, Table.RUNS, run))
