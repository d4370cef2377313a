"""DeepCleer: judges chunks of sound, frames, and whole files that it can pull from a URL (``docs.deepcleer.com``).

There is no library of the vendor's for Python; its HTTP API is spoken directly.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.answer import read_audio, read_images, unseen
from batch_scan.endpoint.deepcleer.codes import code_error
from batch_scan.endpoint.deepcleer.config import PATHS, DeepCleerConfig, Mode
from batch_scan.endpoint.deepcleer.files import submit_sound
from batch_scan.endpoint.deepcleer.heard import read_stream
from batch_scan.endpoint.deepcleer.images import submit_pictures
from batch_scan.endpoint.deepcleer.judgement import Rules
from batch_scan.endpoint.deepcleer.prices import quote
from batch_scan.endpoint.deepcleer.streams import Streams, sort_callback
from batch_scan.endpoint.deepcleer.wire import Wire, envelope
from batch_scan.endpoint.http import HttpClient
from batch_scan.endpoint.http_errors import WRONG_URL
from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota, StreamNeeds
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.model import Answer, Request, Sample, Score, Shortfall

__all__ = ["DeepCleer", "DeepCleerConfig", "build"]

ADAPTER_VERSION: Final = 1
"""Part of every answer's key: rises when the same options begin to be sent in another way."""
_OPERATIONS: Final[Mapping[Medium, str]] = {
    Medium.AUDIO: "audio",
    Medium.FRAME: "images",
    Medium.STREAM: "audiostream",
}


def build(config: ServiceConfig) -> DeepCleer:
    """Return the endpoint for its table of the job file."""
    if not isinstance(config, DeepCleerConfig):
        raise TypeError(f"expected DeepCleerConfig, got {type(config).__name__}")
    return DeepCleer(config)


class DeepCleer(Endpoint):
    """See `Endpoint`. One sound or one stream per request, up to 12 frames."""

    name = "deepcleer"
    config: DeepCleerConfig

    def __init__(self, config: DeepCleerConfig) -> None:
        self.config = config
        self._wire: Wire | None = None
        self._streams: Streams | None = None
        self._rules = Rules(config.risk_scores, config.tells_minors)

    @property
    def needs(self) -> Needs:
        """See `Service.needs`."""
        config = self.config
        audio = AudioSpec(
            codec=config.audio_format,
            max_s=config.max_audio_s,
            max_bytes=config.max_audio_bytes,
            bitrate_kbps=config.audio_bitrate_kbps,
            split_silence_s=config.split_silence_s,
        )
        frame = BatchLimits(samples=config.images_per_request, sample_bytes=config.max_image_bytes)
        return Needs(
            audio=audio if Medium.AUDIO in config.samples else None,
            frame=frame if Medium.FRAME in config.samples else None,
            stream=StreamNeeds(sound=True, by_url=True) if config.mode is Mode.STREAM else None,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Service.settings`."""
        return {medium.value: self.settings_for(medium) for medium in _OPERATIONS}

    def settings_for(self, medium: Medium) -> Mapping[str, Any]:
        """See `Service.settings_for`: what is changed for frames leaves the answers for sound valid, and vice versa."""
        config = self.config
        settings: dict[str, Any] = {
            "adapter": ADAPTER_VERSION,
            "fields": envelope(config, pictures=medium is Medium.FRAME),
            "token_id": config.token_id,
            "lang": config.lang,
        }
        if medium is Medium.AUDIO:
            settings["format"] = config.audio_format.value
            if config.audio_format is AudioCodec.MP3:
                settings["bitrate_kbps"] = config.audio_bitrate_kbps
        return settings

    async def open(self) -> Quota:
        """See `Service.open`. Closes streams left open; a key that is refused stops, other trouble is a note."""
        self._check_table()
        config = self.config
        key = config.access_key.resolve()
        http = HttpClient(self.name, config.base_url, config.limit, secrets=(key,))
        self._wire = Wire(config, http, key, self.premises)
        try:
            notes = [await self._try_key(self._wire)]
            if config.mode is Mode.STREAM:
                notes.append(await self._open_streams(self._wire))
        except BaseException:
            await self._let_go()
            raise
        return Quota(note="; ".join(filter(None, notes)))

    async def close(self) -> Quota | None:
        """See `Service.close`. The vendor has no call that tells a quota."""
        await self._let_go()
        return None

    def operation(self, medium: Medium) -> str:
        """See `Service.operation`."""
        return _OPERATIONS[medium]

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        """See `Service.quote`: whole seconds and images, each times its tokens."""
        return quote(self.config.tokens, medium, samples)

    def lasts_s(self, medium: Medium, samples: Sequence[Sample]) -> float:
        """See `Service.lasts_s`: how fast the vendor pulls is not known, and the user's to say."""
        live = medium is Medium.STREAM and self.config.stream.plays_live
        return sum(sample.duration_s for sample in samples) if live else 0.0

    async def submit(self, request: Request) -> Answer:
        """See `Service.submit`."""
        if self._wire is None:
            raise RuntimeError("DeepCleer is used before open() or after close()")
        if request.medium is Medium.FRAME:
            return await submit_pictures(self._wire, request)
        if request.medium is not Medium.STREAM:
            return await submit_sound(self._wire, request)
        if self._streams is None:
            raise RuntimeError('DeepCleer takes streams with mode = "stream" only')
        return await self._streams.submit(request)

    def read(self, request: Request, answer: Answer) -> list[Score]:
        """See `Endpoint.read`."""
        if request.medium is Medium.FRAME:
            return read_images(self.name, request, answer, self._rules)
        if request.medium is Medium.STREAM:
            return read_stream(self.name, request, answer, self._rules, self.config.stream)
        return read_audio(self.name, request, answer, self._rules)

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:
        """See `Endpoint.shortfall`: pictures that were refused in a call in which others were judged."""
        return unseen(request, answer) if request.medium is Medium.FRAME else None

    # ------------------------------------------------------------------------------------------ opening and closing

    def _check_table(self) -> None:
        """Raise UsageError for what the vendor must have told the user, and the table does not say."""
        config = self.config
        for key in ("app_id", "event_id"):
            if not getattr(config, key):
                raise UsageError(f"[endpoints.deepcleer] {key} is empty; the vendor issues it with the access key")
        for call in config.calls:
            if not config.urls.of(call):
                raise UsageError(
                    f"[endpoints.deepcleer] urls.{call} is empty: where is {PATHS[call]} in your cluster? "
                    "See docs/endpoints/deepcleer.md"
                )
        if config.mode is Mode.STREAM and self.premises.callbacks is None:
            raise UsageError(
                '[endpoints.deepcleer] mode = "stream" has its answers posted to this run: '
                'set [callbacks] bind and public_url, or mode = "file"'
            )

    async def _try_key(self, wire: Wire) -> str:
        """Ask after a sound that nobody submitted, which is free; return a note. Raises EndpointError if fatal."""
        if "audio_query" not in self.config.calls:
            return "key not tried: no call of this job is free"
        try:
            reply = await wire.ask_shortly("audio_query", {"btId": f"batch-scan-{secrets.token_hex(16)}"})
        except EndpointError as error:
            if error.failure is Failure.FATAL and error.http_status not in WRONG_URL:
                raise
            return f"key not tried: {error.detail}"
        refusal = code_error(reply.json, "a question that tries the key")
        if refusal.failure is Failure.FATAL:
            raise refusal
        return ""

    async def _open_streams(self, wire: Wire) -> str:
        callbacks = self.premises.callbacks
        assert callbacks is not None  # noqa: S101 - `_check_table` has seen to it
        self._streams = Streams(wire, callbacks.mailbox(self.name, sort_callback))
        left = await self._streams.close_left_open()
        return f"{left} streams of before may still be open at the vendor" if left else ""

    async def _let_go(self) -> None:
        streams, self._streams = self._streams, None
        wire, self._wire = self._wire, None
        if streams is not None:
            await streams.aclose()
        if wire is not None:
            await wire.aclose()
