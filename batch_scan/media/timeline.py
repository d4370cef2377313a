"""Where decoded sound lies in time: what ffmpeg's log says about presentation times, as holes in a line of samples.

Decoded sound comes as bare samples; where packets are missing, or time was left out, nothing in them shows it. ffmpeg's
`ashowinfo` filter logs the presentation time of every few thousand samples, and `Timeline` reads those lines. Pure: it
is fed lines and asked for holes.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

HOLE_MIN_S: Final = 0.25
"""Times that differ by less are jitter, which live recordings and coarse time stamps are full of; what is lost in
smaller pieces adds up until it shows."""

RESTART_S: Final = 10.0
"""A time line that falls back by this much has started anew (joined recordings); by less, time stamps are untidy."""

_SHOWN: Final = re.compile(r"\[Parsed_ashowinfo_\d+ @ \w+\] \[info\] n: ?\d+ pts:(\S+) .*\brate:(\d+) nb_samples:(\d+)")
_INPUT: Final = re.compile(r"\[info\] Duration: .*, start: (-?\d+\.\d+), bitrate: [\w/ ]+$")
_COMPLAINT: Final = re.compile(
    r"\[(?:error|fatal|panic)\] (?P<what>.*)|\[warning\] (?P<corrupt>.*\bcorrupt.*)", re.IGNORECASE
)
_NEW_SOUND: Final = re.compile(r"\[warning\] New audio stream with index \d+ at pos:\d+ and DTS:(-?\d+(?:\.\d+)?)s")
_NO_DECODER: Final = re.compile(r"no decoder found|decoder .*not found|unknown decoder", re.IGNORECASE)
_NO_MEMORY: Final = re.compile(r"cannot allocate memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hole:
    """Time without sound between two decoded samples."""

    after: int
    """Samples decoded before it."""
    length: int
    """In samples."""
    damaged: bool
    """Demuxer or decoder had complained by then: sound was here and is lost. Else nothing ever was."""


class Timeline:
    """Reads the log of one decoding ffmpeg (level ``level+info``).

    Args:
        rate_hz: rate of the samples that `ashowinfo` is shown.
        container: ffmpeg's name of the demuxer, to tell its complaints from the decoder's.

    Attributes:
        shown: samples whose time is known by now.
        holes: found since they were last taken off, in order.
        complaint: the last thing the demuxer or decoder complained of; untrusted, one line, empty where none did.
        container_complaint: the last thing the demuxer complained of, likewise.
        no_decoder: ffmpeg has no decoder for the track.
        no_memory: ffmpeg ran into its limit of memory.
        late_sound_s: when the first sound track begins that the file's beginning says nothing of, seconds; or None.
    """

    def __init__(self, rate_hz: int, container: str = "") -> None:
        self.shown = 0
        self.holes: deque[Hole] = deque()
        self.complaint = ""
        self.container_complaint = ""
        self.no_decoder = False
        self.no_memory = False
        self.late_sound_s: float | None = None
        self._rate_hz = rate_hz
        self._demuxer = ("[in#", f"[{container} @") if container else ("[in#",)  # before and since ffmpeg 6
        self._least = round(HOLE_MIN_S * rate_hz)
        self._restart = round(RESTART_S * rate_hz)
        self._container_start_s = 0.0
        self._first: int | None = None
        self._passed = 0  # samples and holes so far
        self._offset = 0  # how far the time stamps lie after our line
        self._untidy = 0  # how much of a fall back may yet be made up for

    @property
    def start_s(self) -> float:
        """When the first sample is heard, seconds from the start of the file."""
        return max(0.0, (self._first or 0) / self._rate_hz)

    def take(self, untrusted_line: str) -> None:
        """Take the next line of the log."""
        if shown := _SHOWN.match(untrusted_line):
            self._show(shown[1], int(shown[2]), int(shown[3]))
        elif complaint := _COMPLAINT.search(untrusted_line):
            self._complain(untrusted_line, complaint["what"] or complaint["corrupt"])
        elif self._first is None and (found := _INPUT.match(untrusted_line)):
            self._container_start_s = float(found[1])
        elif self.late_sound_s is None and (late := _NEW_SOUND.search(untrusted_line)):
            self.late_sound_s = max(0.0, float(late[1]) - self._container_start_s)

    def _complain(self, untrusted_line: str, what: str) -> None:
        self.complaint = what
        if untrusted_line.startswith(self._demuxer):
            self.container_complaint = what
        self.no_decoder |= _NO_DECODER.search(what) is not None
        self.no_memory |= _NO_MEMORY.search(what) is not None

    def _show(self, pts: str, rate_hz: int, samples: int) -> None:
        """Take the time stamp of the next `samples` samples, in units of 1/`rate_hz`."""
        if pts.lstrip("-").isdigit() and rate_hz == self._rate_hz:
            at = int(pts) - round(self._container_start_s * rate_hz)
            if self._first is None:
                self._first = at
            self._compare(at - self._first - self._offset - self._passed)
        self.shown += samples
        self._passed += samples

    def _compare(self, ahead: int) -> None:
        """Learn from a time stamp that lies `ahead` samples after the end of our line."""
        if ahead <= -self._least:
            self._offset += ahead
            self._untidy = 0 if ahead <= -self._restart else self._untidy - ahead
        elif ahead >= self._least:
            made_up = min(ahead, self._untidy)
            self._offset += made_up
            self._untidy -= made_up
            if ahead - made_up >= self._least:
                # The decoder runs some packets ahead of what it shows: any complaint so far may be about this hole.
                self.holes.append(Hole(self.shown, ahead - made_up, damaged=bool(self.complaint)))
                self._passed += ahead - made_up
