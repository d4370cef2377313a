"""From pictures to samples, in a decoder worker: near-twins merged, the others scaled, encoded and sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from batch_scan.media import wire
from batch_scan.media.twins import MAX_RUN_S, glance, is_twin, may_be_twin

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    from batch_scan.media.worker_decode import Shown
    from batch_scan.media.worker_picture import PictureMaker


class Look:
    """What a scaled picture is compared by; its thumbnail is made only where a glance does not tell enough."""

    def __init__(self, scaled: VideoFrame, maker: PictureMaker) -> None:
        self._scaled = scaled
        self._maker = maker
        self._glance = glance(maker.luma(scaled))

    @cached_property
    def _thumbnail(self) -> NDArray[np.uint8]:
        return self._maker.thumbnail(self._scaled)

    def is_twin(self, of: Look) -> bool:
        """Say whether both pictures may share one judgement."""
        return may_be_twin(self._glance, of._glance) and is_twin(self._thumbnail, of._thumbnail)


@dataclass(slots=True)
class _Run:
    """A picture and the twins that followed it."""

    start_s: float
    end_s: float
    jpeg: bytes
    look: Look | None
    stands_for: int = 1


class Sampler:
    """Turns pictures into samples; a sample is sent when the run of its twins has ended.

    Attributes:
        deduplicated: pictures that share the sample of another.
    """

    def __init__(self, track: int, send: Callable[[bytes], None], *, dedup: bool) -> None:
        self._track = track
        self._send = send
        self._dedup = dedup
        self._run: _Run | None = None
        self.deduplicated = 0

    def add(self, shown: Shown, time_s: float, maker: PictureMaker) -> None:
        """Take the next picture, shown at `time_s`."""
        scaled = maker.scaled(shown.frame)
        look = Look(scaled, maker) if self._dedup else None
        if self._run is not None and look is not None and self._is_in_run(self._run, look, time_s):
            self._run.end_s = time_s
            self._run.stands_for += 1
            self.deduplicated += 1
            return
        jpeg = maker.jpeg(scaled, shown.frame.rotation)
        self.close()
        self._run = _Run(time_s, time_s, jpeg, look)

    @staticmethod
    def _is_in_run(run: _Run, look: Look, time_s: float) -> bool:
        return run.look is not None and time_s - run.start_s <= MAX_RUN_S and look.is_twin(run.look)

    def close(self) -> None:
        """Send the sample of the run that has ended."""
        run, self._run = self._run, None
        if run is not None:
            picture = wire.Picture(self._track, run.start_s, run.end_s, run.stands_for, run.jpeg)
            self._send(wire.pack_picture(picture))
