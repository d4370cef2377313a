"""Looks at the place a scan would run in: versions, codecs, keys, callbacks, endpoints, quota. Shows no secret."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import av

from batch_scan import __version__
from batch_scan.callbacks.reach import reach
from batch_scan.callbacks.receiver import open_receiver
from batch_scan.check import Check
from batch_scan.endpoint.premises import Premises
from batch_scan.engine.services import build_services
from batch_scan.errors import BatchScanError, EndpointError
from batch_scan.ledger import Ledger
from batch_scan.media.program import ffmpeg_exe, ffmpeg_version
from batch_scan.model import RunId
from batch_scan.probe import plan_probe, run_trials
from batch_scan.secret import secrets_of
from batch_scan.source.options import SourceOptions
from batch_scan.source.scratch_room import ScratchRoom
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_scan.callbacks.receiver import Receiver
    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.endpoint.interface import Endpoint, Quota
    from batch_scan.job import Job
    from batch_scan.probe import Trials
    from batch_scan.secret import SecretRef
    from batch_scan.transcribe.interface import Transcriber

__all__ = ["Check", "examine_place"]

_LIBRARIES = ("httpx", "pyarrow", "pandas", "av", "faster-whisper", "onnxruntime", "starlette", "uvicorn")
_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg2video", "aac", "mp3", "opus", "vorbis", "flac")
_RUN = RunId("doctor")


async def examine_place(job: Job, *, probe: bool = False) -> list[Check]:
    """Return what was found, one line each; never raises for what it finds.

    Args:
        job: the place.
        probe: also have every service judge one harmless sample of each kind it takes, which costs tokens.
    """
    checks = [*_versions(), _ffmpeg(), *_decoders(), _scratch(job)]
    try:
        services = build_services(job)
    except BatchScanError as error:
        return [*checks, *_secrets(job.endpoints), Check("endpoints", str(error), good=False)]
    checks += _secrets(services.configs)
    with tempfile.TemporaryDirectory(prefix="batch-scan-doctor-") as scratch:
        async with contextlib.AsyncExitStack() as stack:
            receiver, found = await _callbacks(job, Path(scratch), stack, probe=probe)
            planned = await plan_probe(job, services.by_name, Path(scratch)) if probe else {}
            checks += found
            for name, service in services.by_name.items():
                service.premises = Premises(callbacks=receiver)
                checks += await _service(name, service, planned.get(name))
    return checks


def _versions() -> Iterator[Check]:
    yield Check("batch-scan", __version__)
    yield Check("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Check("SQLite", sqlite3.sqlite_version)
    for name in _LIBRARIES:
        try:
            yield Check(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "not installed")


def _ffmpeg() -> Check:
    try:
        return Check("ffmpeg", f"{ffmpeg_version()} at {ffmpeg_exe()}")
    except BatchScanError as error:
        return Check("ffmpeg", str(error), good=False)


def _decoders() -> Iterator[Check]:
    missing = [name for name in _DECODERS if name not in av.codecs_available]
    yield Check("decoders", f"missing: {', '.join(missing)}" if missing else ", ".join(_DECODERS), good=not missing)


def _scratch(job: Job) -> Check:
    """Say how large a file may be that has to be fetched: known before the first one is."""
    options = SourceOptions(scratch_bytes=job.source.scratch_bytes, max_file_bytes=job.source.max_file_bytes)
    directory = tempfile.gettempdir()
    try:
        room = ScratchRoom(options)
        free_bytes = shutil.disk_usage(directory).free
        told = (
            f"files from buckets and hosts take at most {room.limit_bytes} bytes in {directory}, of which {free_bytes} "
            f"are free; one of more than {room.largest_bytes} bytes is not fetched and fails as too_large (to have it, "
            "raise source.scratch_bytes and source.max_file_bytes, or point TMPDIR to a larger disk)"
        )
    except (OSError, BatchScanError) as error:
        return Check("scratch", f"{directory} cannot be looked at: {clean_text(str(error))}", good=False)
    return Check("scratch", told, good=room.limit_bytes <= free_bytes)


def _secrets(configs: Mapping[str, ServiceConfig]) -> Iterator[Check]:
    for name, config in configs.items():
        for key, secret in secrets_of(config):
            yield _secret(f"{name} {key}", secret)


def _secret(what: str, reference: SecretRef) -> Check:
    try:
        reference.resolve()
    except BatchScanError as error:
        return Check(what, str(error), good=False)
    return Check(what, f"present in {reference.place}")


async def _callbacks(
    job: Job, scratch: Path, stack: contextlib.AsyncExitStack, *, probe: bool
) -> tuple[Receiver | None, list[Check]]:
    """Have a receiver as a run has, with a ledger of its own; None where the job has none, or it cannot listen."""
    table = job.callbacks
    if table is None:
        return None, []
    found = [_secret(f"callbacks {key}", secret) for key, secret in secrets_of(table)]
    try:
        ledger = await stack.enter_async_context(Ledger.open(scratch / "state"))
        receiver = await stack.enter_async_context(open_receiver(table, ledger, _RUN))
        receiver.mailbox(_RUN, lambda _headers, _body: None)
        unreached = await reach(receiver) if probe else ""
    except BatchScanError as error:
        return None, [*found, Check("callbacks", str(error), good=False)]
    public = table.public_url or receiver.local_url
    found.append(Check("callbacks", f"can listen at {table.bind}; vendors are told {public}/…"))
    if probe:
        told = f"not reached from here ({unreached})" if unreached else "reached from here"
        found.append(Check("callbacks public_url", told, good=not unreached))
    return receiver, found


async def _service(name: str, service: Endpoint | Transcriber, trials: Trials | None) -> list[Check]:
    try:
        quota = await service.open()
        opened = Check(name, _quota_text(quota))
        return [opened] if trials is None else [opened, *await run_trials(service, trials)]
    except EndpointError as error:
        return [Check(name, f"refused: {clean_text(error.detail)}", good=False)]
    except BatchScanError as error:
        return [Check(name, str(error), good=False)]
    finally:
        await service.close()


def _quota_text(quota: Quota) -> str:
    parts = ["reachable"]
    if quota.requests_per_minute:
        parts.append(f"{quota.requests_per_minute:g} requests a minute")
    if quota.tokens_remaining is not None:
        parts.append(f"{quota.tokens_remaining} tokens left")
    if quota.note:
        parts.append(clean_text(quota.note))
    return ", ".join(parts)
