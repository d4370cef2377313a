"""A service's connections, shared out to several httpx clients.

httpcore looks at every connection of a pool twice for every request, and asks the kernel about each idle one. With 34
in one pool that was a third of the scanner's work for a request (`python -m benchmarks sending`).
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

_CONNECTIONS_EACH: Final = 8


class HttpClients:
    """Use `turn` for no more requests at a time than there are connections: httpx would raise PoolTimeout.

    Args:
        connections: of all clients together.
        make: returns a client that has so many of them.
    """

    def __init__(self, connections: int, make: Callable[[int], httpx.AsyncClient]) -> None:
        count = -(-connections // _CONNECTIONS_EACH)
        few, more = divmod(connections, count)
        self._clients = [make(few + (at < more)) for at in range(count)]
        self._busy = [0] * count

    @contextmanager
    def turn(self) -> Iterator[httpx.AsyncClient]:
        """Have the client with the fewest requests for the length of one; of several the first, which is warm."""
        at = self._busy.index(min(self._busy))
        self._busy[at] += 1
        try:
            yield self._clients[at]
        finally:
            self._busy[at] -= 1

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.aclose() for client in self._clients))
