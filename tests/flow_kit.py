"""A place among the open files, for tests of what happens to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.flow import WAITING_BYTES, Bounds, Flow

if TYPE_CHECKING:
    from batch_scan.flow import Place
    from batch_scan.takers import Takers


async def place_for(takers: Takers, waiting_bytes: int = WAITING_BYTES) -> Place:
    """Admit a file to a flow of its own."""
    return await Flow(Bounds(decoders=1, files=1), takers.askers, waiting_bytes).admit()
