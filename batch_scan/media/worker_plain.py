"""Decoding every packet of a track, in a decoder worker: what is done where choosing first cannot be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from batch_scan.media.wanted import EPSILON_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.media.worker_decode import Shown, TrackDecoder
    from batch_scan.media.worker_packets import TrackPackets
    from batch_scan.media.worker_progress import Progress


class PlainPass:
    """Decodes every packet; needs no times in the container. Iterate once."""

    def __init__(self, packets: TrackPackets, decoder: TrackDecoder, progress: Progress) -> None:
        self._packets = packets
        self._decoder = decoder
        self._progress = progress
        self._patience_s = 1.5 * packets.frame_s + 0.05
        self._end_s = 0.0

    def __iter__(self) -> Iterator[Shown]:
        self._progress.forget_expected()
        for packet in self._packets:
            if packet.breaks:
                yield from self._offer(self._decoder.drain())
            if packet.time_s is not None:
                self._progress.expect(packet.time_s)
            yield from self._offer(self._decoder.send(packet, whole=True))
            if self._progress.stopped:
                return
        yield from self._offer(self._decoder.drain())
        yield from self._last_picture()

    def _offer(self, pictures: list[Shown]) -> Iterator[Shown]:
        for shown in pictures:
            self._end_s = max(self._end_s, shown.time_s + self._packets.frame_s)
            if not self._progress.wanted.wants(shown.time_s) or self._progress.stop_if_full(shown.time_s):
                continue
            self._note_hidden(shown)
            yield self._progress.take(shown)

    def _note_hidden(self, shown: Shown) -> None:
        progress = self._progress
        missed_s = progress.missed_before(shown.time_s)
        if missed_s is None or shown.time_s - missed_s <= self._patience_s:
            return
        progress.hidden += max(progress.wanted.left_before(shown.time_s) - 1, 0)
        if progress.first_taken_s is not None:  # `Account` tells of the beginning
            progress.hidden_at_s.append(missed_s)

    def _last_picture(self) -> Iterator[Shown]:
        progress, last = self._progress, self._decoder.last
        if progress.stopped:
            return
        missed_s = progress.missed_before(math.inf)
        if missed_s is not None and self._packets.end_s - self._end_s > self._patience_s:
            progress.undecoded_from_s = self._end_s
        end_s = max(self._end_s, self._packets.end_s)
        if (
            last is not None
            and last.time_s > progress.last_taken_s + EPSILON_S
            and progress.wanted.next_s < end_s - EPSILON_S
        ):
            yield progress.take(last)
