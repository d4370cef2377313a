"""Which pictures lean on one that a decoder marks as damaged, in a decoder worker. Pure.

H.264 conceals what cannot be decoded without a word and marks the one picture, when it comes out: after others were
decoded that were predicted from it, and, where pictures are shown in another order, after some of those came out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from batch_scan.media.worker_packets import TrackPacket

_KEPT: Final = 64
"""Pictures whose places are kept: more than a decoder holds back (16) and lies between two that depend on each other in
order of showing."""


class _Place(NamedTuple):
    at: int
    """In order of decoding."""
    ticks: int
    is_key: bool
    blame: bool


class Spoilt:
    """Follows packets into a decoder and pictures out of it."""

    def __init__(self) -> None:
        self._sent = 0
        self._places: dict[int, _Place] = {}
        self._keys: deque[_Place] = deque(maxlen=_KEPT)
        self._shown: deque[tuple[_Place, float]] = deque(maxlen=_KEPT)
        self._first: _Place | None = None
        """The first damaged picture since the last keyframe."""
        self._is_timeless_spoilt = False
        self._belated_s: list[float] = []

    def note(self, packet: TrackPacket, *, blame: bool) -> None:
        """Take a packet that is decoded now; nothing leans on one that is not to blame."""
        self._sent += 1
        ticks = packet.packet.pts
        if ticks is None:
            return
        place = self._places[ticks] = _Place(self._sent, ticks, packet.is_key, blame)
        if len(self._places) > _KEPT:
            del self._places[next(iter(self._places))]
        if place.is_key:
            self._keys.append(place)

    def show(self, ticks: int | None, time_s: float, *, is_key: bool, is_corrupt: bool) -> bool:
        """Take a picture that comes out, and say whether it is damaged, or leans on one that is."""
        place = None if ticks is None else self._places.get(ticks)
        if place is None:
            self._is_timeless_spoilt = is_corrupt or (self._is_timeless_spoilt and not is_key)
            return self._is_timeless_spoilt
        if is_corrupt:
            self._spoil(place)
            return True
        if self._first is not None and self._leans(place):
            return True
        self._shown.append((place, time_s))
        return False

    def take_belated_s(self) -> list[float]:
        """Return the times of pictures that came out before the damaged one they lean on, each once."""
        belated_s, self._belated_s = self._belated_s, []
        return belated_s

    def clear(self) -> None:
        """Forget all packets: decoding starts afresh."""
        self._places.clear()
        self._keys.clear()
        self._shown.clear()
        self._first = None
        self._is_timeless_spoilt = False

    def _spoil(self, place: _Place) -> None:
        if not place.blame or self._leans(place):
            return
        self._first = place
        spoilt = [one for one in self._shown if self._leans(one[0])]
        self._belated_s += [time_s for _, time_s in spoilt]
        for one in spoilt:
            self._shown.remove(one)

    def _leans(self, place: _Place) -> bool:
        first = self._first
        if first is None or place.at <= first.at:
            return False
        return not any(first.at < key.at <= place.at and place.ticks >= key.ticks for key in self._keys)
