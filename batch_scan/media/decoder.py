"""The decoder processes, seen from the scanner: a pool of workers that live long and are replaced without regret.

One file is with one worker at a time. A worker that dies, hangs, uses too much or says something no worker of ours
would say costs its own file a reason and is replaced; so is one that has served many files or kept much memory. A
worker that dies on the first word about a file, after it had served others, may have been broken by one of those: that
file gets one more chance in a fresh one.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import batch_scan
from batch_scan.errors import MediaError
from batch_scan.media import wire
from batch_scan.media.interface import Lane
from batch_scan.media.runner import ChildLimits, start_child
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from types import TracebackType

    from batch_scan.media.interface import MediaLimits
    from batch_scan.media.runner import Child

_MAX_FILES: Final = 500
_REMEMBERED_FILES: Final = 4
_MAX_RESIDENT_BYTES: Final = 512 << 20
"""A worker that keeps more than this after a file is replaced; a fresh one has 60 MB, one with 1080p open 80 MB."""

_START_WALL_S: Final = 60.0
_LOWEST_BYTES_PER_S: Final = 1000
"""Media of unknown length is taken for as long as it would be at 8 kbit/s."""

_BOOT: Final = (
    "import os, sys; sys.path[:] = sys.argv[1:]; os.environ['OPENBLAS_NUM_THREADS'] = '1';"  # else one stack per core
    "from batch_scan.media.worker import main; main()"
)


def wall_limit(path: Path, duration_s: float | None, limits: MediaLimits) -> float:
    """Return how long a child may keep us waiting over one file, seconds: scaled to its length, known or guessed."""
    media_s = duration_s
    if media_s is None:
        try:
            media_s = path.stat().st_size / _LOWEST_BYTES_PER_S
        except OSError:
            media_s = 0.0
    return limits.wall_base_s + limits.wall_per_media_s * min(media_s, limits.max_duration_s)


class DecoderPool:
    """Decoder processes, started when they are needed. Leave the context to end them all.

    Args:
        workers: how many may run at a time in each lane; an idle one serves either.
        limits: bounds of each.
        argv: another program than our own that speaks `wire`.
    """

    def __init__(self, workers: int, limits: MediaLimits, argv: Sequence[str] | None = None) -> None:
        self._argv = argv or _worker_argv()
        self._slots = {lane: asyncio.Semaphore(workers) for lane in Lane}
        self._limits = limits
        self._idle: list[_Worker] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.close() for worker in idle))

    async def ask(
        self, request: dict[str, Any], wall_s: float, lane: Lane = Lane.PICTURES
    ) -> AsyncGenerator[tuple[wire.Kind, bytes], None]:
        """Send a request and yield the messages that answer it, the last one (END) included.

        Close the generator (`contextlib.aclosing`) where it is not read to its end: that ends the worker.

        Raises:
            MediaError: the worker ended, hung or used too much; nothing more comes about this file.
        """
        request = {**request, "cpu_s": wall_s}
        for may_retry in (True, False):
            began = False
            async with self._lease(lane, str(request.get("path", "")), fresh=not may_retry) as worker:
                may_retry = may_retry and worker.served > 0  # noqa: PLW2901 - a fresh worker was broken by nobody else
                try:
                    async with aclosing(worker.messages(request, wall_s)) as messages:
                        async for message in messages:
                            began = True
                            yield message
                except MediaError as error:
                    if began or not may_retry or error.reason is not Reason.DECODER_CRASHED:
                        raise
                else:
                    return

    @asynccontextmanager
    async def _lease(self, lane: Lane, path: str, *, fresh: bool) -> AsyncIterator[_Worker]:
        async with self._slots[lane]:
            worker = None if fresh else self._idle_for(lane, path)
            worker = worker or await _Worker.start(self._argv, self._limits)
            worker.asked.append(path)
            worker.lanes.add(lane)
            try:
                yield worker
            finally:
                if worker.is_reusable and not self._closed:
                    self._idle.append(worker)
                else:
                    await worker.close()

    def _idle_for(self, lane: Lane, path: str) -> _Worker | None:
        """Take an idle worker, rather one that may have the file open, or has loaded what the lane needs."""
        if not self._idle:
            return None
        fit = [(path in worker.asked, lane in worker.lanes) for worker in self._idle]
        return self._idle.pop(max(range(len(fit)), key=lambda at: (fit[at], at)))


class _Worker:
    """One decoder process."""

    def __init__(self, child: Child, stack: AsyncExitStack) -> None:
        self._child = child
        self._stack = stack
        self._busy = False
        self._resident_bytes = 0
        self.served = 0
        self.asked: deque[str] = deque(maxlen=_REMEMBERED_FILES)
        self.lanes: set[Lane] = set()

    @classmethod
    async def start(cls, argv: Sequence[str], limits: MediaLimits) -> Self:
        """Start a worker and wait until it is ready. Raises MediaError (INTERNAL): the installation is at fault."""
        stack = AsyncExitStack()
        bounds = ChildLimits(memory_bytes=limits.memory_bytes, cpu_s=0, file_bytes=0, wall_s=_START_WALL_S)
        child = await stack.enter_async_context(start_child(argv, bounds, stdin=True))
        worker = cls(child, stack)
        try:
            await worker.receive()
        except BaseException as error:
            await stack.aclose()
            if isinstance(error, MediaError):
                raise MediaError(Reason.INTERNAL, f"the decoder process does not start: {error.detail}") from None
            raise
        return worker

    @property
    def is_reusable(self) -> bool:
        """It stands at the beginning of a file, and has neither served many nor kept much."""
        return (
            not self._busy
            and self._child.returncode is None
            and self.served < _MAX_FILES
            and self._resident_bytes < _MAX_RESIDENT_BYTES
        )

    async def messages(self, request: dict[str, Any], wall_s: float) -> AsyncGenerator[tuple[wire.Kind, bytes], None]:
        """Send a request and yield its messages up to END. Raises MediaError."""
        self._busy = True
        self._child.restart_clock(wall_s)
        await self._child.write(wire.pack_json(wire.Kind.REQUEST, request))
        kind = None
        while kind is not wire.Kind.END:
            kind, body = await self.receive()
            if kind is wire.Kind.END:
                self._resident_bytes = _told_bytes(body)
                self.served += 1
                self._busy = False
            yield kind, body

    async def receive(self) -> tuple[wire.Kind, bytes]:
        """Return the next message. Raises MediaError."""
        header = await self._child.read_exactly(wire.HEADER.size)
        if len(header) < wire.HEADER.size:
            raise await self._failure()
        try:
            kind, length = wire.unpack_header(header)
        except wire.WireError as error:
            raise MediaError(Reason.DECODER_CRASHED, f"the decoder process sent {error}") from None
        body = await self._child.read_exactly(length)
        if len(body) < length:
            raise await self._failure()
        return kind, body

    async def close(self) -> None:
        """End the process."""
        await self._stack.aclose()

    async def _failure(self) -> MediaError:
        end = await self._child.wait()
        reason = end.reason or Reason.DECODER_CRASHED
        if reason is Reason.DECODER_CRASHED and "MemoryError" in end.untrusted_stderr:
            reason = Reason.DECODER_LIMIT
        what = "was ended by a limit" if reason is Reason.DECODER_LIMIT else f"ended with status {end.returncode}"
        said = f": {end.untrusted_stderr[-200:]}" if end.untrusted_stderr else ""
        return MediaError(reason, f"the decoder process {what}{said}")


def _told_bytes(body: bytes) -> int:
    """Return what a worker says it keeps; much where it makes no sense, so that it is replaced."""
    try:
        return int(wire.unpack_json(body).get("resident_bytes", 0))
    except (wire.WireError, TypeError, ValueError, OverflowError):
        return _MAX_RESIDENT_BYTES


def _worker_argv() -> list[str]:
    """Return how a worker is started: isolated from the environment, with exactly our own module search path."""
    home = str(Path(batch_scan.__file__).parents[1])
    search = [home, *(entry for entry in sys.path if entry and Path(entry).is_absolute() and entry != home)]
    return [sys.executable, "-I", "-S", "-B", "-c", _BOOT, *search]
