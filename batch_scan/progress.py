"""Shows how a run goes: tqdm on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tqdm import tqdm

from batch_scan.totals import add_row

if TYPE_CHECKING:
    from batch_scan.model import FileResult, RunRow

_HOUR_S = 3600.0


class Progress:
    """One line on standard error: files, media hours, requests, tokens, and the time left where the total is known."""

    def __init__(self, *, enabled: bool, unit: str = "file") -> None:
        self.run: RunRow | None = None
        """The run with what was counted so far; None until the scan itself has begun."""
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._unit = unit
        self._bar: tqdm[None] | None = None
        self._media_s = 0.0
        self._requests = 0
        self._tokens = 0

    def started(self, run: RunRow, total: int | None) -> None:
        """See `Observer.started`."""
        self.run = run
        self._requests, self._tokens = run.totals.requests, run.totals.tokens_charged
        self._open(run.totals.items, total)

    def result(self, result: FileResult) -> None:
        """See `Observer.result`."""
        if self.run is not None:
            self.run = replace(self.run, totals=add_row(self.run.totals, result.row))
        if not self._enabled:
            return
        bar = self._bar if self._bar is not None else self._open(0, None)  # a bar without a total has no truth value
        row = result.row
        self._media_s += (row.media.duration_s or 0.0) if row.media is not None and not row.duplicate_of else 0.0
        self._requests += row.requests
        self._tokens += row.tokens_charged
        counts = f"media={self._media_s / _HOUR_S:.2f}h requests={self._requests} tokens={self._tokens}"
        bar.set_postfix_str(counts, refresh=False)
        bar.update()

    def finished(self) -> None:
        """See `Observer.finished`."""
        if self._bar is not None:
            self._bar.close()

    def _open(self, done: int, total: int | None) -> tqdm[None]:
        self._bar = tqdm(
            initial=done, total=total, unit=self._unit, file=sys.stderr, disable=not self._enabled, dynamic_ncols=True
        )
        return self._bar
