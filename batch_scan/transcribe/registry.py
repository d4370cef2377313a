"""Transcribers by name, as `endpoint/registry.py` has endpoints; entry-point group ``batch_scan.transcribers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.endpoint.registry import ServiceType, build_service, with_installed
from batch_scan.transcribe.interface import Transcriber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.config import ServiceConfig

TranscriberType = ServiceType[Transcriber]

TRANSCRIBERS: Mapping[str, TranscriberType] = with_installed(
    "batch_scan.transcribers",
    {
        "deepgram": ServiceType(
            "batch_scan.transcribe.deepgram.config:DeepgramConfig", "batch_scan.transcribe.deepgram.transcriber:build"
        ),
        "local": ServiceType(
            "batch_scan.transcribe.config:LocalTranscriberConfig", "batch_scan.transcribe.local:build", extra="local"
        ),
    },
)
"""Every transcriber there is, by the word that `transcribe.engine` takes."""


def build(name: str, config: ServiceConfig) -> Transcriber:
    """Make the named transcriber, not yet opened. Raises UsageError."""
    return build_service(TRANSCRIBERS, "transcriber", name, config)
