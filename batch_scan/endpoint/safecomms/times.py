"""Where in a chunk of sound a word was said, as far as a transcription with times tells. Pure.

The vendor does not document how its transcriptions look, so anything that resembles one is tried, and what cannot be
right (a time beyond the end of the chunk, such as milliseconds taken for seconds) discredits all of it: a finding then
has the times of its chunk, which are wide but true.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLACES = ("transcription", "transcript", "segments")
_LISTS = ("segments", "utterances", "words")
_START_KEYS = ("start", "startTime", "start_time", "startSeconds", "from", "begin")
_END_KEYS = ("end", "endTime", "end_time", "endSeconds", "to")
_TEXT_KEYS = ("text", "content", "transcript", "word")
_SLACK_S = 1.0
"""Encoders pad: a segment may end this much after the chunk."""
_CLOCK = re.compile(r"^(?:(?:([0-9]{1,3}):)?([0-9]{1,3}):)?([0-9]{1,6}(?:\.[0-9]{1,9})?)s?$", re.ASCII)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of transcription, seconds from the start of the chunk."""

    start_s: float
    end_s: float
    text: str


class Transcription:
    """Segments with times, searchable for words."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self._words = [(word, segment) for segment in segments for word in _words(segment.text)]
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place, (word, _) in enumerate(self._words):
            self._places[word].append(place)

    def span_of(self, term: str) -> tuple[float, float] | None:
        """Return from when to when `term` is said, in seconds of the chunk; from first to last where it is repeated.

        None where it is not found as whole words in a row.
        """
        wanted = _words(term)
        if not wanted:
            return None
        found = [
            self._words[place : place + len(wanted)]
            for place in self._places.get(wanted[0], ())
            if [word for word, _ in self._words[place : place + len(wanted)]] == wanted
        ]
        if not found:
            return None
        return found[0][0][1].start_s, max(run[-1][1].end_s for run in found)


def transcription_of(body: Mapping[str, Any], duration_s: float) -> Transcription:
    """Return what an answer says of when things were said; empty where it does not, or not credibly.

    Args:
        body: the whole answer.
        duration_s: length of the chunk, which no time may exceed.
    """
    for place in _PLACES:
        entries = _entries(body.get(place))
        segments = [_segment(entry, duration_s) for entry in entries]
        credible = [segment for segment in segments if segment is not None]
        if credible and len(credible) == len(segments):
            return Transcription(tuple(sorted(credible, key=lambda segment: segment.start_s)))
    return Transcription(())


def clock_s(text: str) -> float | None:
    """Return the seconds that a text like ``00:01:15.5000000`` or ``75.5s`` tells; None where it tells none."""
    clock = _CLOCK.match(text)
    if clock is None:
        return None
    hours, minutes, seconds = clock.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _entries(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return next((found for key in _LISTS if isinstance(found := value.get(key), list)), [])
    return value if isinstance(value, list) else []


def _segment(entry: Any, duration_s: float) -> Segment | None:
    if not isinstance(entry, dict):
        return None
    start_s = next(_seconds(entry, _START_KEYS), None)
    end_s = next(_seconds(entry, _END_KEYS), None)
    text = next((entry[key] for key in _TEXT_KEYS if isinstance(entry.get(key), str)), None)
    if start_s is None or end_s is None or text is None or not 0 <= start_s <= end_s <= duration_s + _SLACK_S:
        return None
    return Segment(start_s, min(end_s, duration_s), text)


def _seconds(entry: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[float]:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
        elif isinstance(value, str) and (seconds := clock_s(value)) is not None:
            yield seconds


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
