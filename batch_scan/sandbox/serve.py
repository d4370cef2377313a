"""Serves the vendors' contracts until told to stop, and says what came of it."""

from __future__ import annotations

import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.errors import UsageError
from batch_scan.sandbox.engine_judge import EngineJudge
from batch_scan.sandbox.misdeeds import instruct, parse_misdeeds
from batch_scan.sandbox.registry import SERVERS, make_server
from batch_scan.sandbox.tryout import Tryout, write_tryout
from batch_scan.untrusted import clean_text, show_path

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from batch_scan.sandbox.judge import Judge
    from batch_scan.sandbox.vendor import VendorServer

    Say = Callable[[str], object]

_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the sandbox is told."""

    source: str | None = None
    """Manifest, directory or URL that the job file names; None leaves it open."""
    directory: Path | None = None
    """Where the job file goes; None is a new directory among the temporary ones."""
    names: tuple[str, ...] = tuple(SERVERS)
    port: int = 0
    """Of the first server, the others follow; 0 takes any that are free."""
    faults: str = ""
    """See `misdeeds`."""
    seed: int = 0
    """Decides which requests the faults in percent fall on."""
    rate: int | None = None
    """Judging requests per minute and server; None leaves each server its own."""
    tokens: int | None = None
    """Quota of the vendors that have one; None is unlimited."""


def serve(options: Options, stop: threading.Event, say: Say, judge: Judge | None = None) -> None:
    """Serve until told to stop.

    Args:
        options: what the command line says.
        stop: ends it.
        say: gets what the user is told, line by line.
        judge: who judges; None is the embedded engine.

    Raises:
        UsageError: a package is missing, a port is taken, a directory cannot be written, a fault is not known.
    """
    misdeeds = parse_misdeeds(options.faults, options.names)
    with ExitStack() as stack:
        if judge is None:
            judge = engine = EngineJudge()
            engine.load()
            stack.callback(engine.close)
        servers = [make_server(name, judge) for name in options.names]
        for place, server in enumerate(servers):
            _limit(server, options)
            instruct(server, misdeeds, options.seed)
            _start(server, options.port and options.port + place)
            stack.callback(server.stop)
        if isinstance(judge, EngineJudge):
            stack.callback(judge.close)  # the first to go: no server then waits for it
        for line in _welcome(servers, _write(options, servers)):
            say(line)
        stop.wait()
        for line in _account(servers):
            say(line)


def _limit(server: VendorServer, options: Options) -> None:
    server.keep_requests = _KEPT_REQUESTS
    if options.rate is not None:
        server.rate_limit = options.rate
    if options.tokens is not None:
        server.token_limit = options.tokens


def _start(server: VendorServer, port: int) -> None:
    try:
        server.start(port)
    except OSError as error:
        raise UsageError(
            f"the sandbox cannot listen on 127.0.0.1:{port} for {server.name} ({error.strerror}); "
            "take another --port, or none for any that are free"
        ) from None


def _write(options: Options, servers: Sequence[VendorServer]) -> Tryout:
    directory = options.directory
    callbacks = _callback_port(options) if any(server.needs_callbacks for server in servers) else None
    try:
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="batch-scan-sandbox-"))
        return write_tryout(directory.absolute(), servers, options.source, callbacks)
    except OSError as error:
        place = show_path(str(error.filename or directory))
        raise UsageError(f"the job file cannot be written: {place} ({error.strerror})") from None
    except UnicodeEncodeError:
        raise UsageError("SOURCE is not valid UTF-8, so no job file can name it; leave it out") from None


def _callback_port(options: Options) -> int:
    """Return the port after the servers', or one that is free now."""
    if options.port:
        return options.port + len(options.names)
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _welcome(servers: Sequence[VendorServer], tryout: Tryout) -> Iterator[str]:
    yield "The sandbox serves on this machine alone; its judge is the embedded engine:"
    yield from (f"  {server.name:<11} {server.url}" for server in servers)
    yield f"job file: {show_path(str(tryout.job_file))}"
    yield "Try it, in another terminal:"
    yield f"  {show_path(tryout.command)}"
    yield "Ctrl-C ends the sandbox."


def _account(servers: Sequence[VendorServer]) -> Iterator[str]:
    """Yield what each server was asked and charged, and what its clients left open."""
    for server in servers:
        asked = server.arrived
        yield f"{server.name}: {server.tokens_used} tokens charged for {asked} request{'' if asked == 1 else 's'}"
        for kind, things in server.left_open.items():
            named = ", ".join(clean_text(str(thing)) for thing in things)
            yield f"{server.name}: LEFT OPEN: {kind}: {named}"
