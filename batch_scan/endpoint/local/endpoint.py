"""The embedded engine as an endpoint: frames and utterances judged in this process, without tokens or sockets."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota
from batch_scan.endpoint.local import worker
from batch_scan.endpoint.local.answers import (
    PREPROCESSING,
    UndecodableError,
    read_scores,
    write_frames,
    write_utterances,
)
from batch_scan.endpoint.local.models import INSTALL_HINT, digest_of
from batch_scan.endpoint.local.text import TextModels, text_settings, understands
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.model import Answer
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batch_scan.endpoint.local.config import LocalConfig
    from batch_scan.endpoint.local.images import FrameModels
    from batch_scan.model import Request, Sample, Score

_ADAPTER: Final = 1
"""Raised whenever the same sample would get another answer from the same models."""
_FRAMES_PER_REQUEST: Final = 32
"""About 1.3 s of one core: enough to feed many cores at once, little to repeat after a kill."""
_UTTERANCES_PER_REQUEST: Final = 64
_OPERATIONS: Final = {Medium.FRAME: "frame", Medium.UTTERANCE: "text"}
_NOT_LOADED_BY: Final = {"limit", "budget", "token_price"}


def build(config: LocalConfig) -> Endpoint:
    """Return the embedded engine. Loads nothing yet and needs nothing of the `[local]` extra."""
    return LocalEndpoint(config)


class LocalEndpoint(Endpoint):
    """Embedded models. All calls of a process share one set of them, and a thread per core."""

    name = "local"
    config: LocalConfig

    def __init__(self, config: LocalConfig) -> None:
        self.config = config
        self._threads = worker.Share(config.threads or worker.CORES)

    @property
    def needs(self) -> Needs:
        """Frames as JPEG and utterances, in batches."""
        takes = self.config.samples
        return Needs(
            frame=BatchLimits(samples=_FRAMES_PER_REQUEST) if "frame" in takes else None,
            utterance=BatchLimits(samples=_UTTERANCES_PER_REQUEST) if "utterance" in takes else None,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Adapter versions and weights by digest; threads do not change an answer."""
        return {str(medium): self.settings_for(medium) for medium in _OPERATIONS}

    def settings_for(self, medium: Medium) -> Mapping[str, Any]:
        """Return the part for frames or for utterances: another rule for words makes no picture looked at again."""
        if medium is Medium.FRAME:
            return {"adapter": _ADAPTER, "preprocessing": PREPROCESSING, "models": self._frame_digests()}
        return {"adapter": _ADAPTER, **text_settings(self.config)}

    async def open(self) -> Quota:
        """Verify the model files and load them, once per process. Raises UsageError."""
        await worker.run(lambda _: _models(self.config))
        frames = self._frame_digests() if "frame" in self.config.samples else ()
        words = ("text",) if "utterance" in self.config.samples else ()
        return Quota(note=f"embedded models: {', '.join((*frames, *words))}")

    async def close(self) -> Quota | None:
        """Do nothing: the models stay for the next run of this process."""
        return None

    def operation(self, medium: Medium) -> str:
        """Return `frame` or `text`."""
        return _OPERATIONS[medium]

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:  # noqa: ARG002 - the interface names them
        """Return 0: the embedded engine charges nothing."""
        return 0

    async def submit(self, request: Request) -> Answer:
        """Judge the samples in the models' threads. Raises EndpointError (`REFUSED`) for what cannot be read."""
        if any(sample.data is None for sample in request.samples):
            raise _refused("a sample came without its content")
        if request.medium is Medium.FRAME:
            raw = await self._judge_frames(request)
        else:
            _check_languages(request)
            raw = await worker.run(
                lambda _: _judge_utterances(_models(self.config), text_settings(self.config), request)
            )
        return Answer(raw=raw, tokens_charged=0)

    def read(self, request: Request, answer: Answer) -> list[Score]:
        """See `Endpoint`. One score per model and category for every frame, the harmless ones too."""
        return read_scores(request, answer)

    async def _judge_frames(self, request: Request) -> str:
        """Have every picture judged on its own, beside those of other files. Raises EndpointError."""
        models = (await worker.run(lambda _: _models(self.config))).frames
        if models is None:
            raise _refused("frames are not among `samples`")
        looks = [
            asyncio.create_task(self._threads.run(partial(_look, models, index, sample.data or b"")))
            for index, sample in enumerate(request.samples)
        ]
        try:
            return write_frames(self._frame_digests(), await asyncio.gather(*looks))
        except UndecodableError as error:
            at_s = request.samples[error.index].start_s
            raise _refused(f"the frame at {at_s:.3f} s cannot be decoded: {error}") from error
        except ValueError as error:
            raise _refused(f"a model gave no numbers: {error}") from error
        finally:
            for look in looks:
                look.cancel()

    def _frame_digests(self) -> dict[str, str]:
        return {
            model.value: digest_of(model.value, self.config.models.get(model.value))
            for model in self.config.frame_models
        }


@dataclass(frozen=True, slots=True)
class _Models:
    """What is loaded; None for a kind of sample that the job leaves out."""

    frames: FrameModels | None
    text: TextModels | None


_loaded: Final[dict[str, _Models]] = {}
_loading: Final = threading.Lock()
"""Held while models are loaded, so that nothing is ever loaded twice."""
_text: Final = threading.Lock()
"""Held while words are judged: those models are for one thread, and quick."""


def _models(config: LocalConfig) -> _Models:
    key = config.model_dump_json(exclude=_NOT_LOADED_BY)
    with _loading:
        if key not in _loaded:
            _loaded[key] = _load(config)
        return _loaded[key]


def _load(config: LocalConfig) -> _Models:
    """Verify and load. Raises UsageError."""
    frames: FrameModels | None = None
    if "frame" in config.samples:
        try:
            from batch_scan.endpoint.local.images import FrameModels  # noqa: PLC0415 - needs the [local] extra
        except ImportError as error:
            raise UsageError(f"the frame models lack the package {error.name}; {INSTALL_HINT}") from error
        frames = FrameModels(config)
    return _Models(frames, TextModels(config) if "utterance" in config.samples else None)


def _look(models: FrameModels, index: int, jpeg: bytes, _: Callable[[], bool]) -> dict[str, dict[str, float]]:
    return models.look(index, jpeg)


def _judge_utterances(models: _Models, settings: Mapping[str, Any], request: Request) -> str:
    if models.text is None:
        raise _refused("utterances are not among `samples`")
    try:
        texts = [(sample.data or b"").decode("utf-8") for sample in request.samples]
        with _text:
            scores = models.text.judge(texts, [sample.language for sample in request.samples])
        return write_utterances(settings, texts, scores)
    except ValueError as error:
        raise _refused(f"the text models failed: {error}") from error


def _check_languages(request: Request) -> None:
    """Raise where no model knows a language: what nobody understood must not pass for clean."""
    unknown = sorted({sample.language for sample in request.samples if not understands(sample.language)})
    if unknown:
        raise _refused(f"no text model understands the language {', '.join(unknown)}")


def _refused(detail: str) -> EndpointError:
    return EndpointError(Failure.REFUSED, detail)
