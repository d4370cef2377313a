"""The one guarded way to start a child process: ffmpeg and the decoder workers.

A child gets an argument list (never a shell line), limits on address space, CPU, file size and core that stand before
its program starts, a session and process group of its own, an empty environment, umask 077 and a private temporary
directory. Whatever way its context is left, the whole group is ended (TERM, a short grace, KILL) and the directory
removed. Its standard error is always drained and only its end is kept.

Trade-offs: there is no network or file-system sandbox here; the ffmpeg options of `input_args` and the PyAV options of
the worker are what keeps a file from naming others. A child that outlives a SIGKILL of its parent ends at its next
write, at its CPU limit, or at once (decoder workers ask the kernel for that).
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import PIPE, SubprocessStreamProtocol
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from batch_scan.errors import MediaError
from batch_scan.media.formats import ALLOWED_FORMATS
from batch_scan.media.program import compile_args, ffmpeg_exe, ffmpeg_version, input_args
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter, SubprocessTransport
    from collections.abc import AsyncIterator, Callable, Sequence

__all__ = [
    "ALLOWED_FORMATS",
    "Child",
    "ChildEnd",
    "ChildLimits",
    "compile_args",
    "ffmpeg_exe",
    "ffmpeg_version",
    "guarded_argv",
    "input_args",
    "start_child",
]

_Stream = TypeVar("_Stream")

_STREAM_LIMIT_BYTES: Final = 1 << 20
_STDERR_LINES: Final = 40
_STDERR_LINE_CHARS: Final = 2000
_TAIL_CHARS: Final = 4000
_GRACE_S: Final = 1.0
_KILL_WAIT_S: Final = 5.0
_LINE_END: Final = re.compile(rb"[\r\n]+")

# A limit that cannot be set because a stricter hard one stands already is fine; one that cannot be set at all is not.
# POSIX counts -f in blocks of 512 bytes; -v is in KiB in every shell that has it.
_GUARD: Final = """
cap() { ulimit "$1" "$2" 2>/dev/null || [ "$(ulimit -H "$1")" != unlimited ] || exit 126; }
umask 077
cap -c 0
[ "$1" = 0 ] || cap -v "$1"
[ "$2" = 0 ] || cap -t "$2"
cap -f "$3"
shift 3
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Bounds of one child. Zero means unlimited for memory and CPU."""

    memory_bytes: int
    """Address space."""
    cpu_s: float
    """User and system time; the kernel kills the child when it has used that much."""
    file_bytes: int
    """Size of any file it writes; pipes do not count."""
    wall_s: float
    """How long it may keep us waiting in all: reads, writes and the final wait, not the time between them."""


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child ended."""

    returncode: int
    """Exit status, or minus the signal."""
    untrusted_stderr: str
    """The end of its standard error on one line, control characters removed, bounded."""
    reason: Reason | None
    """DECODER_CRASHED, DECODER_TIMEOUT or DECODER_LIMIT; None where it ended by itself, whatever its status."""


class Child:
    """A running child; made by `start_child`."""

    def __init__(self, transport: SubprocessTransport, protocol: SubprocessStreamProtocol, wall_s: float) -> None:
        self.pid: Final = transport.get_pid()
        self.tmp = Path()
        self._transport = transport
        self._process = asyncio.subprocess.Process(transport, protocol, asyncio.get_running_loop())
        self._wall_s = wall_s
        self._waited_s = 0.0
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._drain: asyncio.Task[None] | None = None
        self._stopped_for: Reason | None = None

    @property
    def returncode(self) -> int | None:
        """Exit status or minus the signal; None while it runs."""
        return self._transport.get_returncode()

    def restart_clock(self, wall_s: float) -> None:
        """Allow the child to keep us waiting for another `wall_s` from now (a worker that begins its next file)."""
        self._wall_s = wall_s
        self._waited_s = 0.0

    async def read(self, n: int) -> bytes:
        """Return up to `n` bytes of standard output; b"" at its end. Raises MediaError (DECODER_TIMEOUT)."""
        async with self._waiting():
            return await self._stdout.read(n)

    async def read_exactly(self, n: int) -> bytes:
        """Return `n` bytes of standard output, fewer only at its end. Raises MediaError (DECODER_TIMEOUT)."""
        try:
            async with self._waiting():
                return await self._stdout.readexactly(n)
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def write(self, data: bytes) -> None:
        """Write to standard input, waiting until the child takes it.

        Data for a child that has ended is dropped: what follows shows how it ended. Raises MediaError
        (DECODER_TIMEOUT).
        """
        with suppress(ConnectionError):
            async with self._waiting():
                self._stdin.write(data)
                await self._stdin.drain()

    async def close_stdin(self) -> None:
        """Let the child see the end of its input."""
        self._stdin.close()
        with suppress(ConnectionError):
            async with self._waiting():
                await self._stdin.wait_closed()

    async def wait(self) -> ChildEnd:
        """Wait for the child's end, after its output was read, and say how it ended.

        A child that does not end within its wall limit is stopped. Every line of standard error has been handed on when
        this returns. Raises nothing.
        """
        try:
            async with self._waiting():
                await self._process.wait()
        except MediaError as error:
            await self.stop(error.reason)
        await self._drained()
        returncode = self._process.returncode
        returncode = -signal.SIGKILL if returncode is None else returncode  # unkillable: stuck in the kernel
        return ChildEnd(returncode, self.stderr_tail(), self._stopped_for or _reason_for(returncode))

    async def stop(self, reason: Reason | None = None) -> None:
        """End the child's process group: TERM, a short grace, KILL, a bounded wait. Harmless where it has ended."""
        if self.returncode is not None:
            return
        self._stopped_for = self._stopped_for or reason
        self._let_go_of_pipes()
        try:
            self._signal(signal.SIGTERM)
            await self._ended_within(_GRACE_S)
        finally:  # also when the grace is cut short by a cancellation
            self._signal(signal.SIGKILL)
        await self._ended_within(_KILL_WAIT_S)

    def stderr_tail(self) -> str:
        """Return the end of the child's standard error so far, on one line."""
        return clean_text(" ".join(self._stderr)[-_TAIL_CHARS:], _TAIL_CHARS)

    def begin_draining(self, on_line: Callable[[str], None] | None) -> None:
        """Start to read standard error; called once, by `start_child`."""
        self._drain = asyncio.create_task(self._drain_stderr(on_line), name=f"stderr of {self.pid}")

    async def dispose(self) -> None:
        """End the child if it still runs and let go of its pipes; called once, by `start_child`."""
        try:
            await self.stop()
        finally:
            self._transport.close()
            if self._drain is not None:
                self._drain.cancel()
                await asyncio.wait([self._drain])

    @property
    def _stdout(self) -> StreamReader:
        return _present(self._process.stdout)

    @property
    def _stdin(self) -> StreamWriter:
        return _present(self._process.stdin)

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[None]:
        """Count what passes inside as time that the child keeps us waiting, and bound it."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(self._wall_s - self._waited_s, 0.0)):
                yield
        except TimeoutError:
            self._stopped_for = Reason.DECODER_TIMEOUT
            raise MediaError(
                Reason.DECODER_TIMEOUT, f"the decoder kept us waiting for more than {self._wall_s:.0f} s"
            ) from None
        finally:
            self._waited_s += time.monotonic() - began

    def _let_go_of_pipes(self) -> None:
        """Close standard input and output: a child stuck reading or writing ends, and asyncio sees that it has.

        It tells of a process's end only when all pipes are closed, which one that is full and not read never is.
        """
        for descriptor in (0, 1):
            pipe = self._transport.get_pipe_transport(descriptor)
            if pipe is not None:
                pipe.close()

    async def _ended_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.returncode is None and self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def _drained(self) -> None:
        if self._drain is not None:
            await asyncio.wait([self._drain], timeout=_GRACE_S)

    async def _drain_stderr(self, on_line: Callable[[str], None] | None) -> None:
        reader = _present(self._process.stderr)
        rest = b""
        while block := await reader.read(1 << 16):
            *lines, rest = _LINE_END.split(rest + block)
            rest = rest[-_STDERR_LINE_CHARS:]
            for line in lines:
                self._take_line(line, on_line)
        self._take_line(rest, on_line)

    def _take_line(self, line: bytes, on_line: Callable[[str], None] | None) -> None:
        text = clean_text(line[:_STDERR_LINE_CHARS].decode("utf-8", "replace"), _STDERR_LINE_CHARS)
        if text:
            self._stderr.append(text)
            if on_line is not None:
                on_line(text)


@asynccontextmanager
async def start_child(
    argv: Sequence[str],
    limits: ChildLimits,
    *,
    stdin: bool = False,
    on_stderr_line: Callable[[str], None] | None = None,
) -> AsyncIterator[Child]:
    """Start a child under `limits` and end it when the context is left.

    Args:
        argv: program and arguments; the program as an absolute path (there is no PATH).
        limits: what it may use.
        stdin: give it a pipe to read from; otherwise its input is empty.
        on_stderr_line: called with each line of standard error, control characters removed, at most 2000 characters.
            Lines come in order, but not in step with what is read from standard output.

    Yields:
        The running child. Read its output to the end before `Child.wait`: a full pipe stops it.
    """
    tmp = Path(tempfile.mkdtemp(prefix="batch-scan-"))  # mkdtemp makes it 0700
    try:
        transport, protocol = await asyncio.get_running_loop().subprocess_exec(
            lambda: SubprocessStreamProtocol(_STREAM_LIMIT_BYTES, asyncio.get_running_loop()),
            *guarded_argv(argv, limits),
            stdin=PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={"TMPDIR": str(tmp), "LC_ALL": "C.UTF-8"},
            cwd=tmp,
            start_new_session=True,
        )
        child = Child(transport, protocol, limits.wall_s)
        try:
            child.tmp = tmp
            child.begin_draining(on_stderr_line)
            yield child
        finally:
            await child.dispose()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def guarded_argv(argv: Sequence[str], limits: ChildLimits) -> list[str]:
    """Return the argument list that sets `limits` and then becomes `argv`.

    The limits are set by a shell that replaces itself, so that they stand before the program runs and no code runs
    between fork and exec in a process that may have threads.
    """
    bounds = (
        str(limits.memory_bytes // 1024),
        str(math.ceil(limits.cpu_s)),
        str(limits.file_bytes // 512),
    )
    return ["/bin/sh", "-c", _GUARD, "batch-scan", *bounds, *argv]


def _reason_for(returncode: int) -> Reason | None:
    """Tell limits from crashes. A SIGKILL that we did not send comes from the CPU limit or from lack of memory."""
    if returncode >= 0:
        return None
    if -returncode in {signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ}:
        return Reason.DECODER_LIMIT
    return Reason.DECODER_CRASHED


def _present(stream: _Stream | None) -> _Stream:
    if stream is None:
        raise ValueError("this child was started without that pipe")
    return stream
