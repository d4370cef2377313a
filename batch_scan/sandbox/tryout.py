"""The directory in which a job is tried: a job file that asks the sandbox's servers, and their keys beside it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tomli_w

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.sandbox.vendor import VendorServer

_TIMEOUT_S: Final = 1800.0
"""Longest wait for an answer. The default is a service's; here one machine both scans and judges."""
_HEAD: Final = """\
# Written by batch-scan sandbox. It asks servers on this machine; nothing leaves it and nothing is paid.
# To ask the services themselves, take out every address on 127.0.0.1 and set the keys to your own.

"""


@dataclass(frozen=True, slots=True)
class Tryout:
    """What was written."""

    job_file: Path
    command: str
    """What to type to scan with it, as one line for a shell."""


def write_tryout(
    directory: Path, servers: Sequence[VendorServer], source: str | None, callback_port: int | None
) -> Tryout:
    """Write a job file with every server's endpoint in it, and one file per key that only its owner can read.

    Args:
        directory: made where it is missing; an older job file and keys in it are replaced, its report is left.
        servers: started.
        source: what is to be scanned; None leaves it to the command line.
        callback_port: where the scan listens for callbacks; None where no server calls back.

    Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    keys = directory / "secrets"
    keys.mkdir(mode=0o700, exist_ok=True)
    for server in servers:
        for variable, value in server.secrets.items():
            _write(keys / variable.lower(), value + "\n", 0o600)
    job_file = directory / "job.toml"
    _write(job_file, _HEAD + tomli_w.dumps(job_tables(servers, source, callback_port)), 0o644)
    told = shlex.quote(str(job_file))
    return Tryout(job_file, f"batch-scan {told}" if source is not None else f"batch-scan SOURCE --job {told}")


def job_tables(servers: Sequence[VendorServer], source: str | None, callback_port: int | None) -> dict[str, Any]:
    """Return what the job file says. Keys are named by the files that `write_tryout` writes."""
    job: dict[str, Any] = {"name": "sandbox"}
    if source is not None:
        job["source"] = {"uri": source}
    for server in servers:
        if server.parent == "transcribe":
            job.setdefault("transcribe", {})["engine"] = server.name
        job.setdefault(server.parent, {})[server.name] = _service_table(server)
    if callback_port is not None:
        place = f"127.0.0.1:{callback_port}"
        job["callbacks"] = {"bind": place, "public_url": f"http://{place}"}
    job["report"] = {"uri": "reports"}
    return job


def _service_table(server: VendorServer) -> dict[str, Any]:
    """Return a server's own table with its keys by reference, and time for the judge."""
    table: dict[str, Any] = {**_secret_references(server), **server.table}
    table["limit"] = {"timeout_s": _TIMEOUT_S, **table.get("limit", {})}
    return table


def _secret_references(server: VendorServer) -> Mapping[str, Mapping[str, str]]:
    """Return the references by the job file's keys: what a variable's name says after the vendor's own."""
    return {
        variable.lower().removeprefix(f"{server.name}_"): {"file": f"secrets/{variable.lower()}"}
        for variable in server.secrets
    }


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that nobody sees half of, and only those whom `mode` allows."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
        file.write(text)
    part.replace(path)
