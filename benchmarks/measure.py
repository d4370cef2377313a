"""Runs a program and says what it cost: CPU, wall time and memory, those of its children included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost."""

    cpu_s: float
    """User and system time of the program and of every child it waited for."""
    wall_s: float
    peak_bytes: int
    """Resident memory of the largest single process."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, max(self.peak_bytes, other.peak_bytes))


def run(argv: Sequence[str | Path], *, allowed: Sequence[int] = (0,)) -> Cost:
    """Run a program to its end. Raises SystemExit with its last words where it fails."""
    began_s = time.perf_counter()
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None  # noqa: S101 - asked for
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in allowed:
        sys.exit(
            f"{' '.join(map(str, argv))[:300]}\nended with {child.returncode}:\n{said[-2000:].decode(errors='replace')}"
        )
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began_s, used.ru_maxrss * _KIB)


def run_all(*argvs: Sequence[str | Path]) -> Cost:
    """Run several programs one after the other."""
    total = Cost(0.0, 0.0, 0)
    for argv in argvs:
        total += run(argv)
    return total


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much one thing takes as another, over runs in turn."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, upper: Sequence[float], lower: Sequence[float]) -> Ratio:
        """Return the ratios run by run: what disturbs a machine disturbs neighbours in time alike."""
        each = [above / below for above, below in zip(upper, lower, strict=True)]
        return cls(statistics.median(each), min(each), max(each))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


def in_turn(runs: int, *measured: Callable[[], Cost]) -> list[list[Cost]]:
    """Measure several things `runs` times, taking turns; one list of costs per thing."""
    rounds = [[one() for one in measured] for _ in range(runs)]
    return [list(costs) for costs in zip(*rounds, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Return the median of some values and how far they lie apart."""
    digits = 2 if statistics.median(values) < 100 else 0
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
