"""Looks at the place a scan would run in: versions, codecs, keys, endpoints, quota. Shows no secret."""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from batch_scan import __version__
from batch_scan.engine.services import build_services
from batch_scan.errors import BatchScanError, EndpointError
from batch_scan.media.program import ffmpeg_exe, ffmpeg_version
from batch_scan.secret import secrets_of
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.endpoint.interface import Quota, Service
    from batch_scan.job import Job
    from batch_scan.secret import SecretRef

_LIBRARIES = ("httpx", "pyarrow", "pandas", "av", "faster-whisper", "onnxruntime")
_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg2video", "aac", "mp3", "opus", "vorbis", "flac")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool = True

    @property
    def mark(self) -> str:
        """A word for the start of the line."""
        return "ok     " if self.good else "PROBLEM"


async def examine_place(job: Job) -> list[Check]:
    """Return what was found, one line each; never raises for what it finds."""
    checks = [*_versions(), _ffmpeg(), *_decoders(), *_secrets(job)]
    try:
        services = build_services(job)
    except BatchScanError as error:
        return [*checks, Check("endpoints", str(error), good=False)]
    for name, service in services.by_name.items():
        checks.append(await _service(name, service))
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


def _secrets(job: Job) -> Iterator[Check]:
    for name, config in job.endpoints.items():
        for key, secret in secrets_of(config):
            yield _secret(f"{name} {key}", secret)


def _secret(what: str, reference: SecretRef) -> Check:
    try:
        reference.resolve()
    except BatchScanError as error:
        return Check(what, str(error), good=False)
    return Check(what, f"present in {reference.place}")


async def _service(name: str, service: Service) -> Check:
    try:
        quota = await service.open()
    except EndpointError as error:
        return Check(name, f"refused: {clean_text(error.detail)}", good=False)
    except BatchScanError as error:
        return Check(name, str(error), good=False)
    finally:
        await service.close()
    return Check(name, _quota_text(quota))


def _quota_text(quota: Quota) -> str:
    parts = ["reachable"]
    if quota.requests_per_minute:
        parts.append(f"{quota.requests_per_minute:g} requests a minute")
    if quota.tokens_remaining is not None:
        parts.append(f"{quota.tokens_remaining} tokens left")
    if quota.note:
        parts.append(clean_text(quota.note))
    return ", ".join(parts)
