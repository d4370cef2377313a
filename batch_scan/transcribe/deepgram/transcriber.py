"""Deepgram: turns chunks of sound into utterances, paid by the second (``https://developers.deepgram.com``).

The vendor's own library waits 60 s for an answer, retries on its own, and would add nothing to a single POST; its HTTP
API is spoken directly. A test sends the same request with it.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.http import HttpClient
from batch_scan.endpoint.interface import Needs, Quota
from batch_scan.errors import EndpointError, Failure
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.model import Answer, Shortfall
from batch_scan.transcribe.deepgram.answer import duration_of, parse_answer, place, request_id_of, sha256_of
from batch_scan.transcribe.deepgram.config import AuthScheme, DeepgramConfig
from batch_scan.transcribe.deepgram.wire import PATH, answer_query, query_of
from batch_scan.transcribe.heard import unclear_bound_s
from batch_scan.transcribe.interface import Transcriber
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.endpoint.http import HttpReply
    from batch_scan.model import Request, Sample, Utterance
    from batch_scan.transcribe.deepgram.answer import Transcript

__all__ = ["Deepgram", "DeepgramConfig", "build"]

ADAPTER_VERSION = 1
"""Part of every answer's key: rises when the same options begin to be sent in another way."""

_TRANSIENT = frozenset({HTTPStatus.CONFLICT.value})
"""Deepgram's own library asks again after 408, 409, 429 and 5xx; the common table has all but 409."""
_MARGIN_S: Mapping[AudioCodec, float] = {AudioCodec.FLAC: 0.05, AudioCodec.MP3: 0.25}
"""How much longer encoded sound may be found to be than what went into it, seconds. Measured with 1 to 61 s of noise
from 16, 44.1 and 48 kHz: FLAC within 0.01 ms; MP3 the same for a decoder that heeds its gapless information, up to
0.13 s for one that does not (encoder delay, information frame, and the last frame filled up)."""
_LEFT_OUT_S = 1.0
"""From how many seconds on sound counts as left out. Decoders find what was sent within 0.01 ms (see `_MARGIN_S`); the
rest is for how the service may round, which its pages do not say."""
_NOT_ASKED = "rate, quota and credit unknown: the service has no call that tells; a wrong key shows at the first chunk"


def build(config: ServiceConfig) -> Deepgram:
    """Return the transcriber for its table of the job file."""
    if not isinstance(config, DeepgramConfig):
        raise TypeError(f"expected DeepgramConfig, got {type(config).__name__}")
    return Deepgram(config)


class Deepgram(Transcriber):
    """See `Transcriber`. One chunk of sound per request; a token is a second of it."""

    name = "deepgram"
    config: DeepgramConfig

    def __init__(self, config: DeepgramConfig) -> None:
        self.config = config
        self._http: HttpClient | None = None

    @property
    def needs(self) -> Needs:
        """See `Service.needs`: long chunks, and long silence left out, for it would be paid."""
        config = self.config
        return Needs(
            audio=AudioSpec(
                codec=config.audio_format,
                max_s=config.max_chunk_s,
                max_bytes=config.max_upload_bytes,
                bitrate_kbps=config.audio_bitrate_kbps,
                split_silence_s=config.split_silence_s,
                copies=config.copied_codecs,
            )
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Service.settings`. Labels, the model improvement programme and how chunks are cut change no answer."""
        config = self.config
        settings: dict[str, Any] = {
            "adapter": ADAPTER_VERSION,
            "query": answer_query(config),
            "format": config.audio_format.value,
        }
        if config.audio_format is AudioCodec.MP3:
            settings["bitrate_kbps"] = config.audio_bitrate_kbps
        return settings

    async def open(self) -> Quota:
        """See `Service.open`. Reads the key and asks nothing: there is no call that would neither cost nor do."""
        key = self.config.api_key.resolve()
        scheme = "Token" if self.config.auth is AuthScheme.TOKEN else "Bearer"
        self._http = HttpClient(
            self.name,
            self.config.base_url,
            self.config.limit,
            headers={"authorization": f"{scheme} {key.reveal()}"},
            secrets=(key,),
            table=f"transcribe.{self.name}",
            also_transient=_TRANSIENT,
        )
        return Quota(note=_NOT_ASKED)

    async def close(self) -> Quota | None:
        """See `Service.close`."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()
        return None

    def operation(self, medium: Medium) -> str:
        """See `Service.operation`."""
        if medium is not Medium.AUDIO:
            raise ValueError(f"deepgram takes no {medium}")
        return "listen"

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:  # noqa: ARG002 - it takes sound alone
        """See `Service.quote`: seconds of sound, rounded up per request, with what an encoder may add."""
        margin_s, most_s = _MARGIN_S[self.config.audio_format], max(_MARGIN_S.values())
        return sum(math.ceil(sample.duration_s + (most_s if sample.copied else margin_s)) for sample in samples)

    async def submit(self, request: Request) -> Answer:
        """See `Service.submit`."""
        sample = _one_sample(request)
        data = sample.data or b""
        if not data or len(data) > self.config.max_upload_bytes:
            most = self.config.max_upload_bytes
            raise EndpointError(Failure.REFUSED, f"the chunk has {len(data):,} bytes, not 1 to {most:,}")
        reply = await self._post(sample, data)
        if self._is_about_another(sha256_of(reply.json), sample):
            raise EndpointError(
                Failure.FATAL,
                "deepgram answered about another sound than the one that was sent (metadata.sha256); if that is its "
                "way of counting, set check_sha256 = false",
                http_status=reply.status,
                maybe_charged=True,
            )
        return Answer(
            raw=reply.raw,
            tokens_charged=_charged(reply.json, request.tokens_max),
            http_status=reply.status,
            vendor_request_id=request_id_of(reply.json) or reply.header("dg-request-id"),
            bytes_sent=reply.bytes_sent,
        )

    def read(self, request: Request, answer: Answer) -> list[Utterance]:
        """See `Transcriber.read`."""
        transcript = self._transcript(request, answer)
        engine = f"{self.name}:{self.config.model}"
        language = next(iter(sorted(transcript.detected)), self.config.asked_language)
        return [place(said, request, engine, language) for said in transcript.said]

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
        """See `Transcriber.shortfall`: sound left out, another language, or too many words it was unsure of."""
        transcript = self._transcript(request, answer)
        sample = request.samples[0]
        length_s = sample.duration_s
        if sample.copied and not _is_about(transcript.duration_s, length_s):
            told = "does not say how much" if transcript.duration_s is None else f"found {transcript.duration_s:.1f} s"
            return Shortfall(
                Reason.NOT_UNDERSTOOD,
                f"deepgram {told} of the {length_s:.1f} s of sound that were handed on undecoded (metadata.duration), "
                "so that nobody knows whether it heard all",
            )
        if transcript.duration_s is not None and transcript.duration_s < length_s - _LEFT_OUT_S:
            return Shortfall(
                Reason.NOT_UNDERSTOOD,
                f"deepgram worked on {transcript.duration_s:.1f} s of {length_s:.1f} s of sound (metadata.duration); "
                "what was said in the rest is not known",
            )
        if not transcript.said:
            return None
        foreign = _foreign(self.config, transcript)
        if foreign:
            wanted = ", ".join(self.config.expected_languages) or self.config.asked_language
            return Shortfall(
                Reason.NOT_UNDERSTOOD,
                f"deepgram heard {', '.join(sorted(foreign))}, not {wanted}; set language or expected_languages in "
                "[transcribe.deepgram] to what is spoken",
            )
        return self._unsure(request, transcript)

    def _unsure(self, request: Request, transcript: Transcript) -> Shortfall | None:
        utterances = [place(said, request, "", "") for said in transcript.said]
        said_s = sum(one.end_s - one.start_s for one in utterances)
        least = self.config.min_confidence
        unclear_s = sum(
            one.end_s - one.start_s for one in utterances if one.confidence is not None and one.confidence < least
        )
        if unclear_s < unclear_bound_s(said_s):
            return None
        return Shortfall(
            Reason.NOT_UNDERSTOOD,
            f"{unclear_s:.1f} s of speech were not understood by deepgram (confidence below "
            f"{least:g}): another language, or too much noise; set language, or detect_language, "
            "in [transcribe.deepgram]",
        )

    async def _post(self, sample: Sample, data: bytes) -> HttpReply:
        http = self._http
        if http is None:
            raise RuntimeError("Deepgram is used before open() or after close()")
        try:
            return await http.send(
                "POST", PATH, content=data, params=query_of(self.config), headers={"content-type": sample.mime}
            )
        except EndpointError as error:
            if error.http_status != HTTPStatus.GATEWAY_TIMEOUT:
                raise
            raise EndpointError(
                error.failure,
                f"{error.detail} (it worked too long on one chunk; a smaller max_chunk_s may help)",
                http_status=error.http_status,
                vendor_code=error.vendor_code,
                retry_after_s=error.retry_after_s,
                maybe_charged=error.maybe_charged,
            ) from None

    def _transcript(self, request: Request, answer: Answer) -> Transcript:
        transcript = parse_answer(answer.raw, self.config.utt_split)
        if self._is_about_another(transcript.sha256, request.samples[0]):
            raise EndpointError(
                Failure.REFUSED, "unrecognised answer: it is about another sound (metadata.sha256)", maybe_charged=True
            )
        return transcript

    def _is_about_another(self, sha256: str, sample: Sample) -> bool:
        return self.config.check_sha256 and sha256 not in {"", sample.digest}


def _is_about(told_s: float | None, length_s: float) -> bool:
    """Tell whether a length is that of the sound; of a short one, half of it is not."""
    return told_s is not None and abs(told_s - length_s) <= min(_LEFT_OUT_S, length_s / 2)


def _foreign(config: DeepgramConfig, transcript: Transcript) -> frozenset[str]:
    """Return the languages that the service found and that were not asked for; dialects count as their language."""
    wanted = {_base(language) for language in (*config.expected_languages, config.asked_language) if language}
    return frozenset(language for language in transcript.detected if wanted and _base(language) not in wanted)


def _base(language: str) -> str:
    return language.partition("-")[0].casefold()


def _charged(body: Any, tokens_max: int) -> int:
    """Return the seconds that the service found, rounded up; the most that was quoted where it says nothing usable.

    Never more than the quote: what was sent is known, and an answer that claims more cannot be taken at its word.
    """
    duration_s = duration_of(body)
    return tokens_max if duration_s is None or duration_s > tokens_max else math.ceil(duration_s)


def _one_sample(request: Request) -> Sample:
    if len(request.samples) != 1:
        raise EndpointError(Failure.REFUSED, f"one chunk of sound at a time, not {len(request.samples)}")
    return request.samples[0]
