"""Serves an ASGI application inside the running event loop, with bounds on what strangers can hold.

uvicorn's protocol is served without its `Server`, which would take over the process's signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from typing import TYPE_CHECKING

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

MAX_CONNECTIONS = 512
"""More at a time are answered 503."""
CONNECTION_LIFE_S = 60.0
"""A connection is closed after this long as soon as it has no whole request under way: nobody can hold one for ever."""
_KEEPALIVE_S = 15
_MAX_HEAD_BYTES = 32_768
_GRACE_S = 2.0


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=MAX_CONNECTIONS)


class Listener:
    """Answers what comes on a listening socket, from now until `close`."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        *,
        max_connections: int = MAX_CONNECTIONS,
        connection_life_s: float = CONNECTION_LIFE_S,
    ) -> None:
        """Begin to serve; has to be called inside the event loop.

        Args:
            app: the application.
            listening: a listening socket, which is closed with this.
            max_connections: more at a time are answered 503.
            connection_life_s: a connection is closed after this long, but for a request that is under way.
        """
        self._state = ServerState()
        config = Config(
            app,
            interface="asgi3",
            proxy_headers=False,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=_KEEPALIVE_S,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        )
        config.load()
        make = functools.partial(_MortalProtocol, config, self._state, connection_life_s)
        loop = asyncio.get_running_loop()
        self._listening = listening
        self._starting = asyncio.ensure_future(loop.create_server(make, sock=listening, backlog=MAX_CONNECTIONS))

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """Take nothing new, let requests under way end for `grace_s` seconds, then end everything."""
        try:
            server = await self._starting
        except (OSError, asyncio.CancelledError):
            self._listening.close()
            return
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.transport.abort()


class _MortalProtocol(H11Protocol):
    """A connection that does not outlive its time by more than the request under way."""

    def __init__(self, config: Config, state: ServerState, life_s: float) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._life_s = life_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(self._life_s, self.shutdown)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection as soon as no request is under way; one whose head is not whole is none."""
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is not None and not under_way.response_complete:
            under_way.keep_alive = False
            return
        with contextlib.suppress(Exception):  # what it had said so far may not have been HTTP at all
            super().shutdown()
        self.transport.close()
