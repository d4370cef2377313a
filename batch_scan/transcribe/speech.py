"""Finds speech and writes it down: silero VAD and Whisper, by faster-whisper. Blocking; runs in the models' threads.

Needs the `[local]` extra. Nothing here reaches for the network: models are opened by path, tokenizer included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.vad import VadOptions, get_speech_timestamps

from batch_scan.transcribe.heard import Heard, Segment, is_repetitive
from batch_scan.transcribe.join import SAMPLE_RATE_HZ, Stretch, Window, Word, join, place, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_WINDOW_SAMPLES: Final = 28 * SAMPLE_RATE_HZ
"""Whisper looks at 30 seconds; what is left over keeps its last word from being cut."""
_VAD_MAX_SPEECH_S: Final = 28.0
_PCM_SCALE: Final = 32768.0
_SECOND_TRY: Final[Mapping[str, Any]] = {"beam_size": 5, "repetition_penalty": 1.1}
"""Whisper's own cure for going in circles is to draw words at random; but an answer must be repeatable."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How sound is listened to; all of it changes answers."""

    engine: str
    models: Mapping[str, str]
    """Name of each model file -> SHA-256; goes into the answer."""
    language: str = "en"
    """ISO 639-1, or ``auto``."""
    beam_size: int = 1
    speech_threshold: float = 0.5


class Listener:
    """A loaded model, to be used from `at_once` threads at a time.

    Each takes some 40 MB. Chunks side by side, a thread each, cost 8 to 14 % less CPU than one chunk on two threads,
    and give the same words.
    """

    def __init__(self, model_dir: Path, at_once: int, threads_each: int = 1) -> None:
        """Load a CTranslate2 Whisper model, quantised to 8 bits. Raises RuntimeError or ValueError where it is none."""
        self._model = WhisperModel(
            str(model_dir),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads_each,
            num_workers=at_once,
            local_files_only=True,
        )

    @property
    def is_multilingual(self) -> bool:
        """False for the `.en` models."""
        return bool(self._model.model.is_multilingual)

    def listen(self, pcm: bytes, options: SpeechOptions, is_stopped: Callable[[], bool]) -> Heard | None:
        """Write down what is said in a chunk.

        Args:
            pcm: mono 16-bit little-endian samples at 16 kHz.
            options: how.
            is_stopped: asked before every window of speech.

        Returns:
            What was heard, or None where it was told to stop.
        """
        sound = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / _PCM_SCALE
        stretches = find_speech(sound, options.speech_threshold)
        segments: list[Segment] = []
        for window in join(stretches, _WINDOW_SAMPLES):
            if is_stopped():
                return None
            segments += self._write_down(sound, window, options)
        return Heard(
            engine=options.engine,
            models=dict(options.models),
            duration_s=len(sound) / SAMPLE_RATE_HZ,
            stretches=tuple((stretch.start_s, stretch.end_s) for stretch in stretches),
            segments=tuple(segments),
        )

    def _write_down(self, sound: NDArray[np.float32], window: Window, options: SpeechOptions) -> Iterator[Segment]:
        joined = np.concatenate([sound[stretch.start : stretch.end] for stretch in window.stretches])
        said, language = self._transcribe(joined, options)
        if any(is_repetitive(segment.compression_ratio) for segment in said):
            again, language_again = self._transcribe(joined, options, **_SECOND_TRY)
            if again and not any(is_repetitive(segment.compression_ratio) for segment in again):
                said, language = again, language_again
        for segment in said:
            for words in place(window, _words(segment)):
                yield Segment(
                    start_s=words[0].start_s,
                    end_s=words[-1].end_s,
                    text="".join(word.text for word in words).strip(),
                    language=language,
                    avg_logprob=segment.avg_logprob,
                    no_speech_prob=segment.no_speech_prob,
                    compression_ratio=segment.compression_ratio,
                )

    def _transcribe(self, joined: NDArray[np.float32], options: SpeechOptions, **how: Any) -> tuple[list[Any], str]:
        """Transcribe one window. The library's own thresholds are off: it drops what fails them without a word."""
        segments, info = self._model.transcribe(
            joined,
            language=None if options.language == "auto" else options.language,
            temperature=0.0,
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
            word_timestamps=True,
            vad_filter=False,
            **({"beam_size": options.beam_size} | how),
        )
        return list(segments), str(info.language)


def find_speech(sound: NDArray[np.float32], threshold: float) -> list[Stretch]:
    """Return where somebody speaks, in order, each stretch short enough for one window.

    Pauses under two seconds stay inside a stretch, and each is padded by 0.4 s on both sides (the library's defaults).
    """
    if not len(sound):
        return []
    options = VadOptions(threshold=threshold, max_speech_duration_s=_VAD_MAX_SPEECH_S)
    found = [Stretch(int(one["start"]), int(one["end"])) for one in get_speech_timestamps(sound, options)]
    return list(split(_apart(found), _WINDOW_SAMPLES))


def _apart(stretches: list[Stretch]) -> Iterator[Stretch]:
    """Yield stretches that do not overlap: padding may make neighbours meet."""
    floor = 0
    for stretch in stretches:
        yield replace(stretch, start=max(stretch.start, floor))
        floor = stretch.end


def _words(segment: Any) -> list[Word]:
    """Return a segment's words, or the segment as one word where the model could not say when they were said."""
    words = [Word(float(word.start), float(word.end), str(word.word)) for word in segment.words or ()]
    return words or [Word(float(segment.start), float(segment.end), str(segment.text))]
