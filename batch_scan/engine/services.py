"""Builds the services that a job names, and says who takes which samples."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.ask import Asker
from batch_scan.endpoint.interface import StreamNeeds
from batch_scan.endpoint.registry import build as build_endpoint
from batch_scan.errors import EndpointError, UsageError
from batch_scan.model import Shortfall
from batch_scan.pace.retry import RetryPolicy
from batch_scan.secret import secrets_of
from batch_scan.takers import Takers
from batch_scan.transcribe.registry import build as build_transcriber
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.delivery import Gate, Meters
    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.endpoint.interface import Endpoint, Quota
    from batch_scan.job import ExtractTable, Job
    from batch_scan.transcribe.interface import Transcriber

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """The endpoints of a job, and its transcriber where one of them judges words."""

    endpoints: tuple[Endpoint, ...]
    transcriber: Transcriber | None

    @property
    def by_name(self) -> Mapping[str, Endpoint | Transcriber]:
        """Every service by its word in the report; an endpoint and a transcriber may share their own."""
        named: dict[str, Endpoint | Transcriber] = {endpoint.name: endpoint for endpoint in self.endpoints}
        return named if self.transcriber is None else named | {self._transcriber_name: self.transcriber}

    @property
    def _transcriber_name(self) -> str:
        return f"transcribe.{self.transcriber.name}" if self.transcriber is not None else ""

    @property
    def configs(self) -> Mapping[str, ServiceConfig]:
        """The table of each service, by name."""
        return {name: service.config for name, service in self.by_name.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them, in order."""
        return tuple(sorted(self.by_name))

    def takers(self, askers: Mapping[str, Asker], extract: ExtractTable) -> Takers:
        """Say who takes which samples, and how sound is handed on."""
        return Takers(
            frames=tuple(askers[one.name] for one in self.endpoints if one.needs.frame is not None),
            audio=tuple(askers[one.name] for one in self.endpoints if one.needs.audio is not None),
            utterances=tuple(askers[one.name] for one in self.endpoints if one.needs.utterance is not None),
            transcriber=askers[self._transcriber_name] if self.transcriber is not None else None,
            streams=tuple(askers[one.name] for one in self.endpoints if one.needs.stream is not None),
            skip_silence=extract.skip_silence,
            copy_sound=extract.copy_sound,
        )


def build_services(job: Job) -> Services:
    """Build what the job names. Reads no secrets, sends nothing. Raises UsageError."""
    every_s = job.extract.frame_interval
    endpoints = tuple(
        build_endpoint(name, config.in_job(frame_interval_s=every_s)) for name, config in job.endpoints.items()
    )
    for endpoint in endpoints:
        _check_useful(endpoint, job)
    _warn_of_gaps(endpoints, job)
    words = job.extract.audio and any(endpoint.needs.utterance is not None for endpoint in endpoints)
    name = job.transcribe.engine
    return Services(endpoints, build_transcriber(name, job.transcribe.config) if words else None)


def _warn_of_gaps(endpoints: Sequence[Endpoint], job: Job) -> None:
    """Say before anything is spent that no file with both pictures and sound can be complete."""
    streams = [endpoint.needs.stream or StreamNeeds() for endpoint in endpoints]
    sees = any(endpoint.needs.frame for endpoint in endpoints) or any(stream.pictures for stream in streams)
    hears = any(endpoint.needs.audio or endpoint.needs.utterance for endpoint in endpoints)
    if job.extract.video and not sees:
        _log.warning("no endpoint takes pictures: files with any are incomplete, unless [extract] video = false")
    if job.extract.audio and not hears and not any(stream.sound for stream in streams):
        _log.warning("no endpoint takes sound: files with any are incomplete, unless [extract] audio = false")


def check_secrets(services: Services) -> None:
    """Read every secret that the services' tables refer to, to know early that it is there. Raises SecretError.

    Commands are left out: what they print may be good for one time only.
    """
    for config in services.configs.values():
        for _, secret in secrets_of(config):
            if secret.command is None:
                secret.resolve()


def _check_useful(endpoint: Endpoint, job: Job) -> None:
    needs = endpoint.needs
    stream = needs.stream or StreamNeeds()
    if stream.by_url and needs.audio is None:
        raise UsageError(f"[endpoints.{endpoint.name}] takes only files that lie under a URL, and no chunks of others")
    pictures = job.extract.video and (needs.frame is not None or stream.pictures)
    sound = job.extract.audio and (needs.audio is not None or needs.utterance is not None or stream.sound)
    if not pictures and not sound:
        raise UsageError(
            f"[endpoints.{endpoint.name}] would get nothing to judge: its samples and [extract] audio/video "
            "exclude each other"
        )


async def open_askers(services: Services, askers: Mapping[str, Asker]) -> dict[str, Quota]:
    """Open every service; one that refuses for good is stopped, and the others go on.

    Raises UsageError for what the user must mend, EndpointError where no endpoint is left.
    """
    quotas = {}
    refused: EndpointError | None = None
    for name, asker in askers.items():
        try:
            quotas[name] = await asker.open()
            _tell(name, quotas[name])
        except EndpointError as error:
            refused = error
            detail = f"not asked: {name} refused at the start: {clean_text(error.detail)}"
            asker.delivery.stop(Shortfall(Reason.ENDPOINT_STOPPED, detail))
            _log.warning("%s refused at the start and is not asked: %s", name, clean_text(error.detail))
    if refused is not None and all(askers[endpoint.name].delivery.stopped for endpoint in services.endpoints):
        raise refused
    return quotas


def _tell(name: str, quota: Quota) -> None:
    if quota.tokens_remaining is not None:
        _log.info("%s: %s tokens left", name, f"{quota.tokens_remaining:,}")
    if quota.note:
        _log.info("%s: %s", name, clean_text(quota.note))


def make_askers(services: Services, meters: Meters, gate: Gate) -> dict[str, Asker]:
    """Make one asker per service, by name."""
    return {
        name: Asker(name, service, meters, RetryPolicy.of(service.config.limit), gate)
        for name, service in services.by_name.items()
    }
