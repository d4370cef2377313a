"""Bounds the bytes of samples that wait to be judged, over all files: a slow endpoint holds the decoders back."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """So many bytes; whoever comes first is let in first, and something larger than the whole room comes in alone."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._used_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used_bytes(self) -> int:
        """Bytes let in and not out again."""
        return self._used_bytes

    async def enter(self, size_bytes: int) -> None:
        """Wait until there is room. Cancelling gives back what was granted meanwhile."""
        if self.try_enter(size_bytes):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(size_bytes)
            self._admit()
            raise

    def try_enter(self, size_bytes: int) -> bool:
        """Enter where nobody waits and there is room now; nothing always fits."""
        enters = size_bytes == 0 or (not self._waiting and self._fits(size_bytes))
        if enters:
            self._used_bytes += size_bytes
        return enters

    def leave(self, size_bytes: int) -> None:
        """Give room back."""
        self._used_bytes -= size_bytes
        self._admit()

    def _fits(self, size_bytes: int) -> bool:
        return self._used_bytes == 0 or self._used_bytes + size_bytes <= self._size_bytes

    def _admit(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            size_bytes, turn = self._waiting.popleft()
            if not turn.done():
                self._used_bytes += size_bytes
                turn.set_result(None)
