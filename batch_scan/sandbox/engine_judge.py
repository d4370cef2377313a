"""The sandbox's own judge: the embedded engine, so that what the servers answer is real.

Pictures by its picture models, texts by its word models, sound by its transcriber; the same models, loaded from the
same checked files, as `[endpoints.local]` and `[transcribe.local]` use.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.local.answers import JUDGEMENTS
from batch_scan.endpoint.local.config import FrameModel, LocalConfig
from batch_scan.endpoint.local.text import TextModels
from batch_scan.errors import EndpointError, UsageError
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.sandbox.judge import Heard, JudgeClosedError, Opinion
from batch_scan.sandbox.sound import RATE_HZ, decode_sound
from batch_scan.transcribe import local as transcriber
from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batch_scan.endpoint.local.images import FrameModels
    from batch_scan.model import Answer, Utterance
    from batch_scan.transcribe.interface import Transcriber

NOTABLE: Final = 0.5
"""A score from here on is held against a sample: the product's default policy flags from there."""
INSTALL_HINT: Final = "pip install 'batch-scan[sandbox]'"


@dataclass(frozen=True, slots=True)
class _Engine:
    frames: FrameModels
    texts: TextModels
    speech: Transcriber


class EngineJudge:
    """A `Judge`. Loads on first use, or by `load`; one is enough for all servers, from any number of threads.

    Pictures are judged side by side, and so is sound. Texts wait for one another: their models are not to be used from
    two threads at once. No method may be called from a thread whose event loop is running.
    """

    def __init__(self, *, notable: float = NOTABLE, threads: int = 0) -> None:
        """Prepare a judge; loads nothing.

        Args:
            notable: scores below this are nobody's opinion.
            threads: of the models; 0 is one per core.
        """
        self._notable = notable
        self._threads = threads
        self._engine: _Engine | None = None
        self._loading = threading.Lock()
        self._texts = threading.Lock()
        self._listening = threading.Lock()
        self._tasks: dict[asyncio.Task[Answer], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def load(self) -> None:
        """Load the models now. Raises UsageError where a package or file is missing or wrong."""
        self._models()

    @property
    def is_listening(self) -> bool:
        """Whether some sound is being written down, or waits for it."""
        return bool(self._tasks)

    def close(self) -> None:
        """Stop listening to whatever sound there is: it may take minutes. Who waits for it gets JudgeClosedError."""
        with self._listening:
            self._closed = True
            for task, loop in self._tasks.items():
                loop.call_soon_threadsafe(task.cancel)

    def picture(self, image: bytes) -> Sequence[Opinion]:
        """See `Judge`. One opinion per category, the highest score of all models; pictures are JPEG."""
        (outputs,) = self._models().frames.judge([image])
        scores = [
            (judgement.category, min(1.0, sum(outputs[model][name] for name in judgement.outputs)))
            for model, judgements in JUDGEMENTS.items()
            if FrameModel(model).value in outputs
            for judgement in judgements
        ]
        return self._strongest(Opinion(category, score) for category, score in scores)

    def words(self, text: str) -> Sequence[Opinion]:
        """See `Judge`. One opinion per category and words; a model that judges the whole text names all of it."""
        texts = self._models().texts
        with self._texts:
            (scores,) = texts.judge([text], [""])
        return self._strongest(Opinion(score.category, min(1.0, score.score), score.term or text) for score in scores)

    def speech(self, sound: bytes) -> Sequence[Heard]:
        """See `Judge`. English, one speaker; words that the model itself doubts are there, with a low confidence."""
        said = self._models().speech
        pcm = decode_sound(sound)
        if not len(pcm):
            return []
        sample = Sample(
            Medium.AUDIO, 0.0, len(pcm) / RATE_HZ, Digest(digest_bytes(sound)), "audio/L16", pcm.astype("<i2").tobytes()
        )
        request = Request(RequestId("sandbox"), said.name, said.operation(Medium.AUDIO), (sample,), 0)
        try:
            answer = asyncio.run(self._listen(said, request))
        except EndpointError as error:
            raise ValueError(f"the sound cannot be written down: {error}") from error
        except asyncio.CancelledError:
            raise JudgeClosedError("the judge was closed") from None
        return [_heard(utterance) for utterance in said.read(request, answer)]

    async def _listen(self, said: Transcriber, request: Request) -> Answer:
        task = asyncio.ensure_future(said.submit(request))
        with self._listening:
            self._tasks[task] = asyncio.get_running_loop()
            if self._closed:
                task.cancel()
        try:
            return await task
        finally:
            with self._listening:
                del self._tasks[task]

    def _strongest(self, opinions: Iterable[Opinion]) -> list[Opinion]:
        best: dict[tuple[str, str], Opinion] = {}
        for opinion in opinions:
            about = (opinion.category, opinion.text)
            if opinion.score >= self._notable and (about not in best or opinion.score > best[about].score):
                best[about] = opinion
        return list(best.values())

    def _models(self) -> _Engine:
        with self._loading:
            if self._engine is None:
                self._engine = _load(self._threads)
            return self._engine


def _load(threads: int) -> _Engine:
    try:
        from batch_scan.endpoint.local.images import FrameModels  # noqa: PLC0415 - needs the engine's packages
    except ImportError as error:
        raise UsageError(f"the sandbox's judge lacks the package {error.name}; {INSTALL_HINT}") from error
    config = LocalConfig(threads=threads)
    speech = transcriber.build(LocalTranscriberConfig(threads=threads))
    asyncio.run(speech.open())
    return _Engine(FrameModels(config), TextModels(config), speech)


def _heard(utterance: Utterance) -> Heard:
    return Heard(
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        text=utterance.text,
        confidence=1.0 if utterance.confidence is None else utterance.confidence,
    )
