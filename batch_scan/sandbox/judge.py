"""Who judges in the sandbox: what is true of a picture, of words, of sound, in the product's own vocabulary.

A vendor's server asks a `Judge` and puts what it says into the vendor's words. The sandbox's own judge is the embedded
engine (`engine_judge.py`); tests bring judges whose truth is known by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.vocabulary import Category


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge holds against a picture or against words."""

    category: Category
    score: float
    """Between 0 and 1."""
    text: str = ""
    """The words it is about, where there are words."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One stretch of speech in a sound."""

    start_s: float
    """Seconds of the sound."""
    end_s: float
    text: str
    confidence: float = 1.0
    speaker: int = 0


class JudgeClosedError(Exception):
    """The sandbox ends before a sample was judged: whoever asked gets no answer, and that is nobody's mistake."""


class Judge(Protocol):
    """Knows what is true of a sample. Called from threads, perhaps of several servers at once; must not mind.

    Any method may raise JudgeClosedError.
    """

    def picture(self, image: bytes) -> Sequence[Opinion]:
        """Judge an encoded picture; nothing where it is clean. Raises ValueError where it is no picture."""
        ...

    def words(self, text: str) -> Sequence[Opinion]:
        """Judge a text; nothing where it is clean."""
        ...

    def speech(self, sound: bytes) -> Sequence[Heard]:
        """Write down what is said in an encoded sound (MP3, FLAC, WAV …). Raises ValueError where it is no sound."""
        ...
