"""What the command costs before it does anything: a scan of nothing, with an endpoint that answers at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import media, ways
from benchmarks.measure import Ratio, in_turn, run, spread, table

if TYPE_CHECKING:
    from benchmarks.options import Options

_HELP = "import sys; from batch_scan.cli import main; main(['--help'])"


def measure(options: Options) -> str:
    """Return CPU and memory of starting."""
    nothing = ways.nothing(options.scratch)
    clip = media.film(options.media, next(kind for kind in media.FILMS if kind.name == "480p"), 1)
    commands = {
        "`python -c pass`": lambda: run([sys.executable, "-c", "pass"]),
        "`python -c 'import pyarrow, httpx, pydantic'`": lambda: run(
            [sys.executable, "-c", "import pyarrow, pyarrow.parquet, pyarrow.compute, httpx, pydantic"]
        ),
        "`batch-scan --help`": lambda: run([sys.executable, "-c", _HELP]),
        "a scan of no file": lambda: ways.scan(nothing),
        "a scan of one second of film": lambda: ways.scan(clip),
    }
    costs = in_turn(options.runs, *commands.values())
    first = [cost.cpu_s for cost in costs[0]]
    rows = [
        [name, spread([cost.cpu_s for cost in of_one]), f"{max(cost.peak_bytes for cost in of_one) / 1e6:.0f}",
         Ratio.of([cost.cpu_s for cost in of_one], first)]
        for name, of_one in zip(commands, costs, strict=True)
    ]  # fmt: skip
    return table(("what", "CPU, s", "memory, MB", "/ bare Python"), rows)
