"""Sources for tests that wait for them, in an event loop of their own or in none."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batch_scan.source.open import open_source

if TYPE_CHECKING:
    from batch_scan.source.interface import Source
    from batch_scan.source.options import SourceOptions


def opened(uri: str, options: SourceOptions) -> Source:
    """Return what `open_source` does, or raise what it raises."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(open_source(uri, options))).result()
