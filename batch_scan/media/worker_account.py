"""What was planned for a track and what is missing of it, in a decoder worker: pure arithmetic on what a pass left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batch_scan.media.wanted import wanted_between
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.errors import MediaError
    from batch_scan.media.worker_packets import TrackPackets
    from batch_scan.media.worker_progress import Progress

_TOLERANCE_S: Final = 1.0
_TOLERANCE_SHARE: Final = 0.1
"""Declared and real durations may differ by a second or a tenth, whichever is less, and two pictures."""

_LEAD_IN_S: Final = 0.5
"""So late the first picture may come after it was promised: what is allowed for sound too (`coverage.TOLERANCE_S`)."""

_SHOWN_S: Final = 0.1
"""Times closer than this read alike."""


@dataclass(slots=True)
class Account:
    """What is known about one track after its pictures were read.

    Attributes:
        progress: what was wanted and taken.
        declared_s: the track's declared duration, seconds; the file's where the track declares none.
        declared_by_file: `declared_s` is the file's: any track that reaches it proves the file whole.
        packets: where reading got to; None where the file could not be opened.
        decoded: pictures that came out of the decoder.
        damaged_at_s: times of pictures that were taken although the decoder met errors in them.
        lost_at_s: times of pictures that could not be scaled or encoded.
        container_damage: what says that the container is damaged, whatever its times say; empty where nothing does.
        failure: why reading ended early.
    """

    progress: Progress
    declared_s: float | None
    declared_by_file: bool = False
    packets: TrackPackets | None = None
    decoded: int = 0
    damaged_at_s: list[float] = field(default_factory=list)
    lost_at_s: list[float] = field(default_factory=list)
    container_damage: str = ""
    failure: MediaError | None = None

    @property
    def read_to_s(self) -> float:
        """Up to where pictures were there to be taken, seconds."""
        if self.packets is None:
            return 0.0
        if self.progress.undecoded_from_s is not None:
            return self.progress.undecoded_from_s
        return self.packets.file_end_s if self.declared_by_file else self.packets.end_s

    @property
    def is_short(self) -> bool:
        """Less was read than is declared. Unknown, hence False, where reading was stopped.

        A time line that jumps back goes on from where it was, so it ends no earlier than the container's own.
        """
        if self.progress.undecoded_from_s is not None:
            return True
        if self.declared_s is None or self.progress.stopped:
            return False
        if self.packets is None:
            return True
        if self.packets.too_long:
            return False
        slack_s = min(_TOLERANCE_S, _TOLERANCE_SHARE * self.declared_s) + 2 * self.packets.frame_s
        return self.read_to_s < self.declared_s - slack_s

    @property
    def planned(self) -> int:
        """How many pictures an undamaged file would have given."""
        progress = self.progress
        missing = 0
        if self.is_short or (self.packets is not None and self.packets.too_long):
            missing = progress.wanted.left_before(max(self.declared_s or 0.0, self.read_to_s))
        if self.has_undecodable and not missing:
            missing = 1
        return min(progress.taken + progress.hidden + self._in_holes + missing, max(progress.max_taken, progress.taken))

    @property
    def _in_holes(self) -> int:
        """Wanted times in stretches lost to damage, one for each left out: the picture after it was taken."""
        if self.packets is None:
            return 0
        interval_s = self.progress.wanted.interval_s
        lost = (wanted_between(interval_s, start_s, end_s) - 1 for start_s, end_s in self.packets.holes)
        return sum(max(one, 0) for one in lost)

    @property
    def undecodable_start_s(self) -> tuple[float, float] | None:
        """From when to when nothing came of what the track begins with, where that is not the way of a recording.

        One that begins between keyframes has packets before the first that nobody can decode: up to a group of pictures
        in whatever was cut from a transmission. They are damage where there are too many of them, or damaged ones; and
        so is whatever follows a keyframe and does not come.
        """
        packets, first_taken_s = self.packets, self.progress.first_taken_s
        if packets is None or packets.first_s is None or first_taken_s is None:
            return None
        is_usual = first_taken_s - packets.first_s <= self.progress.lead_in_s and not packets.has_corrupt_start
        from_s = packets.promised_s if is_usual else packets.first_s
        if from_s is None or first_taken_s - from_s <= _LEAD_IN_S:
            return None
        return from_s, first_taken_s

    @property
    def has_undecodable(self) -> bool:
        """There is something in the track, and no picture came of it."""
        return not self.decoded and (self.packets is None or self.packets.count > 0)

    def shortfalls(self) -> list[tuple[Reason, str]]:
        """Return what is missing of the track, with a sentence each."""
        known = list(self._known())
        if self.container_damage and self.failure is None and all(reason is not Reason.DAMAGED for reason, _ in known):
            to = f" to {self.read_to_s:.1f} s" if self.read_to_s else ""
            found = f"pictures were found{to}, more may be missing"
            known.append((Reason.DAMAGED, f"{self.container_damage}; {found}"))
        return known

    def _known(self) -> Iterator[tuple[Reason, str]]:
        if self.failure is not None:
            yield self.failure.reason, self.failure.detail
        elif self.has_undecodable:
            yield Reason.DAMAGED, "none of its pictures can be decoded"
        elif self.is_short:
            yield Reason.DAMAGED, self._short_of()
        yield from self._stops()
        yield from self._damage()

    def _short_of(self) -> str:
        if self.declared_s is None:
            declared = ""
        elif self.read_to_s < self.declared_s - _SHOWN_S:
            declared = f" of {self.declared_s:.1f} s declared"
        else:
            return f"pictures after {self.read_to_s:.1f} s, where it is said to end, cannot be decoded"
        what = "the file could be read" if self.declared_by_file else "pictures decoded"
        return f"{what} to {self.read_to_s:.1f} s{declared}"

    def _stops(self) -> Iterator[tuple[Reason, str]]:
        if self.packets is not None and self.packets.too_long:
            yield Reason.TOO_LONG, f"pictures examined to {self.read_to_s:.0f} s; what is shown later is not looked at"
        if self.progress.stopped:
            yield (
                Reason.FRAME_CAP,
                f"{self.progress.taken} pictures taken, to {self.progress.last_taken_s:.1f} s; more are wanted after",
            )

    def _damage(self) -> Iterator[tuple[Reason, str]]:
        progress = self.progress
        if self.undecodable_start_s is not None:
            from_s, to_s = (max(time_s, 0.0) for time_s in self.undecodable_start_s)
            yield Reason.DAMAGED, f"its beginning, from {from_s:.1f} s to {to_s:.1f} s, cannot be decoded"
        if self.packets is not None and self.packets.holes:
            start_s, end_s = self.packets.holes[0]
            more = _more(len(self.packets.holes) - 1, "place")
            yield Reason.DAMAGED, f"no pictures from {start_s:.1f} s to {end_s:.1f} s, where the file is damaged{more}"
        if progress.hidden_at_s or self.lost_at_s:
            times_s = sorted([*progress.hidden_at_s, *self.lost_at_s])
            more = _more(len(times_s) + progress.hidden - 1, "picture")
            yield Reason.DAMAGED, f"the picture wanted at {times_s[0]:.1f} s cannot be decoded{more}"
        if self.damaged_at_s:
            more = _more(len(self.damaged_at_s) - 1, "picture")
            yield Reason.DAMAGED, f"the picture at {self.damaged_at_s[0]:.1f} s is damaged{more}"


def _more(count: int, noun: str) -> str:
    return f" ({count} more {noun}{'s' if count > 1 else ''} alike)" if count > 0 else ""
