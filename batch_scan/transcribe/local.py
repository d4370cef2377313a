"""The embedded transcriber: sound to words on this machine, with a model out of a wheel. Costs no tokens."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from batch_scan.digest import digest_file
from batch_scan.endpoint.interface import Needs, Quota
from batch_scan.endpoint.local import worker
from batch_scan.endpoint.local.models import INSTALL_HINT, digest_of, locate
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.media.interface import AudioCodec, AudioSpec
from batch_scan.model import Answer, Utterance
from batch_scan.transcribe.heard import Heard, shortfall, utterances
from batch_scan.transcribe.interface import Transcriber
from batch_scan.transcribe.join import SAMPLE_RATE_HZ
from batch_scan.untrusted import clean_text, show_path
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from batch_scan.model import Request, Sample, Shortfall
    from batch_scan.transcribe.config import LocalTranscriberConfig
    from batch_scan.transcribe.speech import Listener, SpeechOptions

_ADAPTER: Final = 1
"""Raised whenever the same sound with the same settings would be written down otherwise."""
_SAMPLE_BYTES: Final = 2
_MOST_AT_ONCE: Final = 16
"""Chunks that are listened to side by side: each takes memory. With more cores than these, each has several."""
_VAD: Final = "silero-vad"
_BUNDLED: Final = "tiny.en"
_BUNDLED_FILES: Final = ("tiny.en", "tiny.en-config", "tiny.en-tokenizer", "tiny.en-vocabulary")
_OWN_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
"""What a model of the user's own must have. Without its tokenizer the library would ask the network for one."""


def build(config: LocalTranscriberConfig) -> Transcriber:
    """Return the embedded transcriber. Loads nothing yet; a model of the user's own is read once, for its digest.

    Raises:
        UsageError: `config.model` is not a directory with a model.
    """
    return LocalTranscriber(config)


class LocalTranscriber(Transcriber):
    """Speech to text with silero VAD and Whisper, in this process."""

    name = "local"
    config: LocalTranscriberConfig

    def __init__(self, config: LocalTranscriberConfig) -> None:
        self.config = config
        self._digests = _digests(config.model)
        self._listener: Listener | None = None
        self._share = worker.Share(min(_threads(config), _MOST_AT_ONCE))
        self._engine = f"{self.name}:{_BUNDLED if config.model is None else clean_text(show_path(config.model.name))}"

    @property
    def needs(self) -> Needs:
        """Raw mono sound, minutes at once: the longer a chunk, the better windows can be filled with speech."""
        return Needs(
            audio=AudioSpec(
                codec=AudioCodec.PCM,
                max_s=self.config.max_chunk_s,
                max_bytes=int(self.config.max_chunk_s * SAMPLE_RATE_HZ) * _SAMPLE_BYTES,
                sample_rate_hz=SAMPLE_RATE_HZ,
                skip_silence=True,
            )
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Adapter version, weights by digest, and the options that change words; threads do not."""
        return {
            "adapter": _ADAPTER,
            "engine": self._engine,
            "models": self._digests,
            "language": self.config.language,
            "beam_size": self.config.beam_size,
            "speech_threshold": self.config.speech_threshold,
        }

    async def open(self) -> Quota:
        """Check the weights' digests and load them, once per process. Raises UsageError."""
        self._listener = await worker.run(lambda _: _load(self.config))
        return Quota(note=f"{self._engine}, {_threads(self.config)} threads")

    async def close(self) -> Quota | None:
        """Let go of the model. It stays loaded for the next run of this process."""
        self._listener = None
        return None

    def operation(self, medium: Medium) -> str:
        """Return the one thing it does."""
        if medium is not Medium.AUDIO:
            raise ValueError(f"the transcriber takes no {medium}")
        return "transcribe"

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:  # noqa: ARG002 - the interface names them
        """Return 0: the embedded engine charges nothing."""
        return 0

    async def submit(self, request: Request) -> Answer:
        """Transcribe one chunk in one of the models' threads; cancelling stops it before its next window of speech.

        Raises:
            EndpointError: `REFUSED` for sound that is no raw 16-bit sound, or that the model fails on.
        """
        listener = self._listener
        if listener is None:
            raise EndpointError(Failure.FATAL, "the embedded transcriber is not open")
        pcm, options = _pcm(request), self._options()

        def work(is_unwanted: Callable[[], bool]) -> Heard | None:
            return listener.listen(pcm, options, is_unwanted)

        try:
            heard = await self._share.run(work)
        except (RuntimeError, ValueError, MemoryError) as error:
            detail = f"the speech model failed: {type(error).__name__}: {clean_text(str(error))}"
            raise EndpointError(Failure.REFUSED, detail) from error
        if heard is None:
            raise EndpointError(Failure.TRANSIENT, "the transcription was stopped before its end")
        return Answer(raw=heard.model_dump_json(), tokens_charged=0, bytes_sent=0)

    def read(self, request: Request, answer: Answer) -> list[Utterance]:
        """Make utterances of an answer, in seconds of the file. Pure; raises EndpointError (`REFUSED`)."""
        sample = request.samples[0]
        return utterances(_heard(answer), sample.start_s, sample.end_s, request.request_id)

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:  # noqa: ARG002 - see `quote`
        """Return how much was said but not understood, which is what tiny.en makes of every language but English."""
        return shortfall(_heard(answer))

    def _options(self) -> SpeechOptions:
        from batch_scan.transcribe.speech import SpeechOptions  # noqa: PLC0415 - needs the [local] extra

        return SpeechOptions(
            engine=self._engine,
            models=self._digests,
            language=self.config.language,
            beam_size=self.config.beam_size,
            speech_threshold=self.config.speech_threshold,
        )


def _heard(answer: Answer) -> Heard:
    try:
        return Heard.model_validate_json(answer.raw)
    except ValidationError as error:
        detail = f"the kept transcript cannot be read ({error.error_count()} errors)"
        raise EndpointError(Failure.REFUSED, detail) from error


def _pcm(request: Request) -> bytes:
    """Return the sound of a request's one sample."""
    if len(request.samples) != 1:
        raise EndpointError(Failure.REFUSED, f"one chunk of sound at a time, not {len(request.samples)}")
    data = request.samples[0].data
    if data is None or len(data) % _SAMPLE_BYTES:
        raise EndpointError(Failure.REFUSED, "the chunk is not raw 16-bit sound")
    return data


def _threads(config: LocalTranscriberConfig) -> int:
    return config.threads or worker.CORES


def _digests(model_dir: Path | None) -> dict[str, str]:
    """Return name -> SHA-256 of every file that has a say in what is heard."""
    if model_dir is None:
        return {name: digest_of(name) for name in (_VAD, *_BUNDLED_FILES)}
    try:
        own = {name: digest_file(model_dir / name) for name in _OWN_FILES}
    except OSError as error:
        raise UsageError(
            f"[transcribe.local] model: {show_path(str(model_dir))} is no directory with a CTranslate2 Whisper model: "
            f"{show_path(str(error.filename))} cannot be read ({error.strerror})"
        ) from None
    return {_VAD: digest_of(_VAD)} | own


def _load(config: LocalTranscriberConfig) -> Listener:
    """Check and load the model. Raises UsageError."""
    locate(_VAD)
    model_dir = config.model or _bundled()
    try:
        listener = _listener(model_dir, _threads(config))
    except ImportError as error:
        raise UsageError(f"the embedded transcriber lacks the package {error.name}; {INSTALL_HINT}") from error
    except Exception as error:  # the tokenizer's library raises nothing narrower
        raise UsageError(
            f"[transcribe.local] model: {show_path(str(model_dir))} cannot be loaded: {clean_text(str(error))}"
        ) from error
    if config.language not in {"en", "auto"} and not listener.is_multilingual:
        raise UsageError(
            f"[transcribe.local] language = {config.language!r}: the model in {model_dir} knows English alone"
        )
    return listener


def _bundled() -> Path:
    """Return the directory of the bundled model, every file of it checked."""
    paths = [locate(name) for name in _BUNDLED_FILES]
    return paths[0].parent


@lru_cache(maxsize=1)
def _listener(model_dir: Path, threads: int) -> Listener:
    from batch_scan.transcribe.speech import Listener  # noqa: PLC0415 - needs the [local] extra

    at_once = min(threads, _MOST_AT_ONCE)
    return Listener(model_dir, at_once, threads // at_once)
