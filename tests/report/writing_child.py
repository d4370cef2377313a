"""A program of its own that writes a report, to be killed: ``writing_child.py REPORT ITEMS ROWS_PER_PART [RENAMES]``.

Prints a line for every flush that returned: how many items of the run have their row then. With RENAMES it dies, as by
SIGKILL, when it is about to rename that many files.
"""

from __future__ import annotations

import os
import signal
import sys

from batch_scan.report.open import open_place
from batch_scan.report.writer import ReportWriter
from tests.report import made


def main(report: str, items: int, rows_per_part: int) -> None:
    writer = ReportWriter(open_place(report), made.run(), rows_per_part=items + 1)
    done = writer.published()
    durable = len(done)
    sys.stdout.write(f"{durable}\n")
    sys.stdout.flush()
    waiting = 0
    for index in range(items):
        if made.item(index).identity in done:
            continue
        writer.add(made.full(index) if index % 3 else made.plain(index))
        waiting += 1
        if waiting == rows_per_part:
            writer.flush()
            durable, waiting = durable + waiting, 0
            sys.stdout.write(f"{durable}\n")
            sys.stdout.flush()
    writer.finish(made.run(ended=True))


def die_at_rename(number: int) -> None:
    """Have this process killed at its `number`-th rename, just before it is done."""
    left = number

    def hook(event: str, _arguments: object) -> None:
        nonlocal left
        if event == "os.rename":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        die_at_rename(int(sys.argv[4]))
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
