"""`batch-scan sandbox`: its arguments, and what they start.

Imports nothing that only the `[sandbox]` extra brings before it is known to be there.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch_scan.errors import UsageError
from batch_scan.sandbox.registry import SERVERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from batch_scan.sandbox.serve import Options

_NEEDED: Final = (
    "faster_whisper",
    "joblib",
    "onnx",
    "onnxruntime",
    "PIL",
    "python_multipart",
    "safetype",
    "starlette",
    "tomli_w",
    "uvicorn",
)
"""Importable packages of the extra; the engine itself says where a package with weights is missing."""
_HIGHEST_PORT: Final = 65_535


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="what the job file is to scan (not a job file)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory of the job file (default: a new one in TMPDIR)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=tuple(SERVERS),
        metavar="NAME",
        help=f"start this server (repeatable; default: all of {', '.join(SERVERS)})",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port of the first server, the others follow")
    parser.add_argument("--rate", type=int, metavar="N", help="judging requests per minute that each server admits")
    parser.add_argument("--tokens", type=int, metavar="N", help="quota, of vendors that have one")
    parser.add_argument(
        "--faults", default="", metavar="LIST", help="misbehave: SERVER:WORD[@NUMBER or %%PERCENT],… (docs/sandbox.md)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides whom the percents of --faults fall on"
    )


def run_sandbox(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, and return 0. Raises UsageError."""
    _demand_packages()
    from batch_scan.sandbox.serve import serve  # noqa: PLC0415 - needs the [sandbox] extra

    options = _options(arguments)
    with _until_signal() as stop:
        serve(options, stop, _say)
    return 0


def _demand_packages() -> None:
    """Raise UsageError where a package of the extra is missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the sandbox lacks {', '.join(missing)}; pip install 'batch-scan[sandbox]'")


def _options(arguments: argparse.Namespace) -> Options:
    from batch_scan.sandbox.serve import Options  # noqa: PLC0415

    source = arguments.source
    if source is not None and source.endswith(".toml"):
        raise UsageError("the sandbox writes the job file itself; SOURCE is a manifest, a directory or a URL")
    if source is not None and "://" not in source:
        source = str(Path(source).expanduser().absolute())
    names = tuple(name for name in SERVERS if arguments.only is None or name in arguments.only)
    if arguments.port and not 0 < arguments.port <= _HIGHEST_PORT - len(names):
        raise UsageError(f"--port: {arguments.port} is no port that {len(names)} others can follow")
    for flag in ("rate", "tokens"):
        value = getattr(arguments, flag)
        if value is not None and value < 1:
            raise UsageError(f"--{flag}: {value} is not above 0")
    return Options(
        source=source,
        directory=arguments.out,
        names=names,
        port=arguments.port,
        faults=arguments.faults,
        seed=arguments.seed,
        rate=arguments.rate,
        tokens=arguments.tokens,
    )


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set, and restore their handlers afterwards."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
