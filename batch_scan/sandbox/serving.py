"""Runs an ASGI application on a loopback port in a thread, with a hand on its sockets so that they can be broken."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from batch_scan.sandbox.judge import JudgeClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_THREAD_TIMEOUT_S = 20.0
_TURNS_TO_ACCEPT = 3
"""Turns of the loop after which a connection that has just been accepted is known, and can be closed."""


class ThreadServer(ABC):
    """An HTTP server on loopback. Use as a context manager; real sockets, its own event loop in its own thread.

    uvicorn's protocol is served without its `Server`, whose clock ticks would cost every start a fifth of a second.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        """What the application raised: a bug in the server, which `stop` reports. What the end of the sandbox cut short
        is none."""
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self._released = asyncio.Event()
        self._end = asyncio.Event()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        """Why the thread ended by itself."""
        self._port = 0

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end. Known once it has started, and still when it has stopped."""
        return f"http://127.0.0.1:{self._port}"

    @abstractmethod
    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

    def start(self, port: int = 0) -> Self:
        """Listen, on a free port unless one is given, and serve until `stop`. Raises OSError where it cannot."""
        listening = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._port = int(listening.getsockname()[1])
        self._thread = threading.Thread(target=self._run, args=(listening,), name=type(self).__name__, daemon=True)
        self._thread.start()
        if not self._started.wait(_THREAD_TIMEOUT_S):
            raise TimeoutError(f"{type(self).__name__} does not start")
        if self._failure is not None:
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """End every request and connection, and the thread. Raises what the application raised, if anything."""
        if self._thread is None or self._loop is None:
            return
        if self._failure is None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_THREAD_TIMEOUT_S)
        if self._thread.is_alive():
            raise TimeoutError(f"{type(self).__name__} does not end")
        self._thread = None
        bugs = [error for error in self.errors if not isinstance(error, JudgeClosedError)]
        if bugs:
            raise bugs[0]

    def release(self) -> None:
        """Let every request go on that has arrived and hangs; those to come hang again."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._released.set()
        if not self._end.is_set():
            self._released = asyncio.Event()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, listening: socket.socket) -> None:
        try:
            with listening:
                asyncio.run(self._serve(listening))
        except BaseException as error:  # noqa: BLE001 - the thread that started or stops it raises it
            self._failure = error
            self.errors.append(error)
        finally:
            self._started.set()

    async def _serve(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        config = Config(
            self._guarded,
            interface="asgi3",  # not guessed: the application is a bound method
            proxy_headers=False,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=30,
        )
        config.load()
        state = ServerState()
        server = await self._loop.create_server(
            lambda: _Protocol(config, state, self._transports), sock=listening, backlog=1024
        )
        self._started.set()
        await self._end.wait()
        server.close()
        self._release()
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        for transport in list(self._transports.values()):
            transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.errors.append(error)
            raise

    # ------------------------------------------------------------------------------------------- breaking connections

    def reset(self, scope: Scope) -> None:
        """Reset the request's connection: the client sees ECONNRESET."""
        transport = self._transports.get(tuple(scope["client"]))
        if transport is not None:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()

    def hang_up(self, scope: Scope) -> None:
        """Close the request's connection in order, sending first what is waiting."""
        transport = self._transports.get(tuple(scope["client"]))
        if transport is not None:
            transport.close()

    @property
    def next_release(self) -> asyncio.Event:
        """Happens at the next `release`, or at `stop`. Taken on arrival, so that no release after it is missed."""
        return self._released


async def wait_for(released: asyncio.Event, seconds: float | None) -> None:
    """Wait for a release, this long at most."""
    try:
        async with asyncio.timeout(seconds):
            await released.wait()
    except TimeoutError:
        return


class _Protocol(H11Protocol):
    """Remembers the transport of every connection by its peer, which the application knows as ``scope["client"]``."""

    def __init__(
        self, config: Config, state: ServerState, transports: dict[tuple[str, int], asyncio.Transport]
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._transports = transports

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._transports[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)
