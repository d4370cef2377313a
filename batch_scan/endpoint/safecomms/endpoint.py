"""SafeComms: judges chunks of sound and frames, priced per request (``https://safecomms.dev/docs``).

The vendor's own library has no audio, no timeout and no asynchronous calls, so its HTTP API is spoken directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.http import HttpClient
from batch_scan.endpoint.http_errors import WRONG_URL
from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota, StreamNeeds
from batch_scan.endpoint.safecomms.answer import read_answer
from batch_scan.endpoint.safecomms.config import AuthScheme, SafeCommsConfig, Send
from batch_scan.endpoint.safecomms.prices import PRICES
from batch_scan.endpoint.safecomms.usage import parse_usage
from batch_scan.endpoint.safecomms.whole import check_pullable, pull_error, shown_reply, unheard
from batch_scan.endpoint.safecomms.wire import OPERATIONS, encode, fields_of
from batch_scan.errors import EndpointError, Failure
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.model import Answer
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.endpoint.http import HttpReply
    from batch_scan.model import Request, Sample, Score, Shortfall

__all__ = ["SafeComms", "SafeCommsConfig", "build", "parse_usage"]

ADAPTER_VERSION = 1
"""Part of every answer's key: rises when the same options begin to be sent in another way."""
_USAGE_TIMEOUT_S = 15.0
_ID_CHARS = 100


def build(config: ServiceConfig) -> SafeComms:
    """Return the endpoint for its table of the job file."""
    if not isinstance(config, SafeCommsConfig):
        raise TypeError(f"expected SafeCommsConfig, got {type(config).__name__}")
    return SafeComms(config)


class SafeComms(Endpoint):
    """See `Endpoint`. One sample per request."""

    name = "safecomms"
    config: SafeCommsConfig

    def __init__(self, config: SafeCommsConfig) -> None:
        self.config = config
        self._http: HttpClient | None = None

    @property
    def needs(self) -> Needs:
        """See `Service.needs`."""
        config = self.config
        audio = AudioSpec(
            codec=config.audio_format,
            max_s=config.max_audio_s,
            max_bytes=config.max_sample_bytes,
            bitrate_kbps=config.audio_bitrate_kbps,
            copies=config.copied.codecs,
        )
        frame = BatchLimits(samples=1, sample_bytes=config.max_sample_bytes)
        return Needs(
            audio=audio if Medium.AUDIO in config.samples else None,
            frame=frame if Medium.FRAME in config.samples else None,
            stream=self._stream_needs if config.send is Send.URL else None,
        )

    @property
    def _stream_needs(self) -> StreamNeeds:
        table = self.config.url
        return StreamNeeds(
            sound=True,
            by_url=True,
            films=table.films,
            containers=frozenset(table.formats),
            max_s=self.config.max_audio_s,
            max_bytes=table.max_bytes,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Service.settings`."""
        taken = {Medium.STREAM: self.config.send is Send.URL}
        return {medium.value: self.settings_for(medium) for medium in OPERATIONS if taken.get(medium, True)}

    def settings_for(self, medium: Medium) -> Mapping[str, Any]:
        """See `Service.settings_for`: what is changed for frames leaves the answers for sound valid, and vice versa."""
        fields = fields_of(self.config, medium)
        if medium is not Medium.STREAM and fields.get("customKeywords"):
            fields["keywords_encoding"] = self.config.keywords_encoding.value
        settings: dict[str, Any] = {"adapter": ADAPTER_VERSION, "fields": fields}
        if medium is Medium.AUDIO:
            settings["format"] = self.config.audio_format.value
            if self.config.audio_format is AudioCodec.MP3:
                settings["bitrate_kbps"] = self.config.audio_bitrate_kbps
        return settings

    async def open(self) -> Quota:
        """See `Service.open`. A usage call that is refused stops; one that merely fails is a note."""
        key = self.config.api_key.resolve()
        header = (
            {"x-api-key": key.reveal()}
            if self.config.auth is AuthScheme.X_API_KEY
            else {"authorization": f"Bearer {key.reveal()}"}
        )
        self._http = HttpClient(self.name, self.config.base_url, self.config.limit, headers=header, secrets=(key,))
        try:
            return await self._usage()
        except EndpointError as error:
            if error.failure is Failure.FATAL and error.http_status not in WRONG_URL:
                await self._let_go()
                raise
            return Quota(note=f"rate and quota unknown: {error.detail}")

    async def close(self) -> Quota | None:
        """See `Service.close`."""
        if self._http is None:
            return None
        try:
            return await self._usage()
        except EndpointError:
            return None
        finally:
            await self._let_go()

    def operation(self, medium: Medium) -> str:
        """See `Service.operation`."""
        return OPERATIONS[medium]

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        """See `Service.quote`. Exact: it is what an answered request is charged."""
        price = PRICES[OPERATIONS[medium]]
        return sum(price.tokens(fields_of(self.config, medium, copied=sample.copied)) for sample in samples)

    async def submit(self, request: Request) -> Answer:
        """See `Service.submit`."""
        (sample,) = request.samples
        if sample.medium is Medium.STREAM:
            check_pullable(sample)
        if sample.data is not None and len(sample.data) > self.config.max_sample_bytes:
            raise EndpointError(
                Failure.REFUSED,
                f"the sample has {len(sample.data):,} bytes, more than the {self.config.max_sample_bytes:,} that "
                f"max_upload_bytes leaves room for",
            )
        call = encode(self.config, sample)
        try:
            reply = await self._opened().send("POST", call.path, json=call.json, form=call.form, files=call.files)
        except EndpointError as error:
            raise pull_error(error, sample) if sample.medium is Medium.STREAM else error from None
        if sample.medium is Medium.STREAM:
            reply = shown_reply(reply, sample)
        return Answer(
            raw=reply.raw,
            tokens_charged=self.quote(request.medium, request.samples),
            http_status=reply.status,
            vendor_request_id=_request_id(reply),
            bytes_sent=reply.bytes_sent,
        )

    def read(self, request: Request, answer: Answer) -> list[Score]:
        """See `Endpoint.read`."""
        audio = self.config.audio
        looked_for = audio.detect_pii or bool(audio.custom_keywords) or audio.detect_distress
        scores = read_answer(
            self.name,
            request,
            answer,
            self.config.severity_scores,
            unknown_fields_count=looked_for and request.medium is not Medium.FRAME,
        )
        gap = self.shortfall(request, answer) if request.medium is Medium.STREAM else None
        if gap is not None and not any(score.unclean for score in scores):
            raise EndpointError(Failure.REFUSED, gap.detail, http_status=answer.http_status, maybe_charged=True)
        return scores

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
        """See `Endpoint.shortfall`: nobody knows whether all was heard.

        Of a file that is pulled this stands beside what was found in it; a clean answer is none, as the next pull may
        fare better. Sound that was copied is the same every time, and so is the answer, which is kept.
        """
        sample = request.samples[0]
        if sample.copied:
            return unheard(answer, sample, self.config.copied.tolerance_s)
        if request.medium is Medium.STREAM:
            return unheard(answer, sample, self.config.url.tolerance_s)
        return None

    async def _usage(self) -> Quota:
        timeout_s = min(_USAGE_TIMEOUT_S, self.config.limit.timeout_s)
        reply = await self._opened().send("GET", "usage", timeout_s=timeout_s)
        return parse_usage(reply.json)

    def _opened(self) -> HttpClient:
        if self._http is None:
            raise RuntimeError("SafeComms is used before open() or after close()")
        return self._http

    async def _let_go(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()


def _request_id(reply: HttpReply) -> str:
    told = reply.json.get("id") if isinstance(reply.json, dict) else None
    return clean_text(told, _ID_CHARS) if isinstance(told, str) else reply.header("x-request-id", _ID_CHARS)
