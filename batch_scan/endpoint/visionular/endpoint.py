"""Visionular: files are played live to it, and it looks at a picture every few seconds for nudity and weapons.

The vendor has no call that takes a file or a picture, so an hour of film takes an hour; several files at once are the
only way to be faster (`limit.concurrency`). It has no library for Python, so its HTTP API is spoken directly.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.http import HttpClient
from batch_scan.endpoint.interface import Endpoint, Needs, Quota, StreamNeeds
from batch_scan.endpoint.visionular.api import LiveApi
from batch_scan.endpoint.visionular.closing import Closer
from batch_scan.endpoint.visionular.config import Auth, VisionularConfig
from batch_scan.endpoint.visionular.gathering import subject_of
from batch_scan.endpoint.visionular.records import ReadingRules, read_records
from batch_scan.endpoint.visionular.session import Desk, LiveSession, seconds_begun
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.secret import Secret
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.endpoint.premises import Mailbox
    from batch_scan.endpoint.visionular.records import Judged
    from batch_scan.model import Answer, Request, Sample, Score, Shortfall
    from batch_scan.secret import SecretRef
    from batch_scan.vocabulary import Medium

__all__ = ["Visionular", "VisionularConfig", "build"]

ADAPTER_VERSION: Final = 1
"""Part of every answer's key: rises when the same options begin to be sent in another way."""
OPERATION: Final = "live-audit"
_LAST_CLOSING_S: Final = 30.0


def build(config: ServiceConfig) -> Visionular:
    """Return the endpoint for its table of the job file."""
    if not isinstance(config, VisionularConfig):
        raise TypeError(f"expected VisionularConfig, got {type(config).__name__}")
    return Visionular(config)


class Visionular(Endpoint):
    """See `Endpoint`. One file per request; a token is a second of it played, begun."""

    name = "visionular"
    config: VisionularConfig

    def __init__(self, config: VisionularConfig) -> None:
        self.config = config
        self._http: HttpClient | None = None
        self._desk: Desk | None = None

    @property
    def needs(self) -> Needs:
        """See `Service.needs`."""
        return Needs(stream=StreamNeeds(pictures=True))

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Service.settings`."""
        return {
            "adapter": ADAPTER_VERSION,
            "audit_settings": self.config.audit_settings,
            "latency_mode": self.config.latency_mode,
            "longest_px": self.config.longest_px,
            "max_kbps": self.config.max_kbps,
        }

    async def open(self) -> Quota:
        """See `Service.open`. Closes what an earlier process left open; what cannot be closed now is noted."""
        if not self.config.ingest_url:
            raise UsageError(
                "endpoints.visionular.ingest_url is not set: give the rtmp:// or rtmps:// URL that the vendor's "
                "console shows, without the stream key"
            )
        mailbox = self._mailbox()
        headers, secrets = _credentials(self.config)
        http = HttpClient(self.name, self.config.base_url, self.config.limit, headers=headers, secrets=secrets)
        api = LiveApi(http, self.premises.pace)
        closer = Closer(api, self.config, self.premises.handles)
        self._http = http
        self._desk = Desk(self.config, api, self.premises.handles, closer, mailbox, set())
        try:
            await api.check()
        except EndpointError as error:
            if error.failure is Failure.FATAL:
                await self._let_go()
                raise
            return Quota(note=f"not checked: {error.detail}")
        failed = await closer.sweep()
        note = f"left open by an earlier run and not closed yet: {clean_text('; '.join(failed))}" if failed else ""
        return Quota(note=note)

    async def close(self) -> Quota | None:
        """See `Service.close`. Waits for streams that are being closed, and tries once more what failed."""
        desk = self._desk
        if desk is None:
            return None
        try:
            async with asyncio.timeout(_LAST_CLOSING_S):
                await asyncio.gather(*desk.closing, return_exceptions=True)
                await desk.closer.sweep()
        except TimeoutError:
            return None  # the handles stay, for the next start
        finally:
            await self._let_go()
        return None

    def operation(self, medium: Medium) -> str:  # noqa: ARG002 - it takes one kind
        """See `Service.operation`."""
        return OPERATION

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        """See `Service.quote`: the seconds of the file, begun; `max_play_s` where they are not known."""
        return sum(seconds_begun(self.lasts_s(medium, [sample])) for sample in samples)

    def lasts_s(self, medium: Medium, samples: Sequence[Sample]) -> float:  # noqa: ARG002 - it takes one kind
        """See `Service.lasts_s`."""
        return sum(min(sample.duration_s or self.config.max_play_s, self.config.max_play_s) for sample in samples)

    async def submit(self, request: Request) -> Answer:
        """See `Service.submit`. Takes as long as the file lasts, and then until its records have come."""
        (sample,) = request.samples
        if sample.path is None:
            raise EndpointError(Failure.REFUSED, "the file is not at hand, so it cannot be played")
        if sample.duration_s > self.config.max_play_s:
            detail = f"it lasts {sample.duration_s:.0f} s, longer than max_play_s = {self.config.max_play_s:g} allows"
            raise EndpointError(Failure.REFUSED, detail)
        if self._desk is None:
            raise RuntimeError("Visionular is used before open() or after close()")
        return await LiveSession(self._desk, request).run()

    def read(self, request: Request, answer: Answer) -> list[Score]:
        """See `Endpoint.read`."""
        return self._judged(request, answer).scores

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
        """See `Endpoint.shortfall`: something was found, but many pictures never came back."""
        return self._judged(request, answer).gap

    def _judged(self, request: Request, answer: Answer) -> Judged:
        return read_records(
            self.name,
            request,
            answer,
            ReadingRules(self.config.min_coverage, self.config.max_gap_s, self.config.start_offset_s),
        )

    def _mailbox(self) -> Mailbox | None:
        if not self.config.webhook:
            return None
        if self.premises.callbacks is None:
            raise UsageError("endpoints.visionular.webhook = true needs the [callbacks] table")
        return self.premises.callbacks.mailbox(self.name, subject_of)

    async def _let_go(self) -> None:
        http, self._http, self._desk = self._http, None, None
        if http is not None:
            await http.aclose()


def _credentials(config: VisionularConfig) -> tuple[dict[str, str], tuple[Secret, ...]]:
    """Return the headers that authenticate, and everything in them that is secret."""
    if config.auth is Auth.BEARER:
        token = _resolved(config.access_token)
        return {"authorization": f"Bearer {token.reveal()}"}, (token,)
    access, secret = _resolved(config.access_key), _resolved(config.secret_key)
    pair = Secret(base64.b64encode(f"{access.reveal()}:{secret.reveal()}".encode()).decode())
    return {"authorization": f"Basic {pair.reveal()}", "auth-type": "use-basic"}, (secret, pair, access)


def _resolved(reference: SecretRef | None) -> Secret:
    assert reference is not None  # noqa: S101 - the table fills in what its authentication needs
    return reference.resolve()
