"""Decoded sound of one shape to the samples that are wanted, in a decoder worker: libavfilter, fed by the half second.

The filters are those of the ffmpeg program, and so are the samples, bit for bit. What a decoder gives are stretches of
20 to 90 ms; they are joined before they are filtered, as what each costs in Python is more than what its samples cost.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from av import AudioFifo
from av.filter import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av import AudioFrame
    from av.filter import FilterContext

Shape: TypeAlias = tuple[int, str, str]
"""Sample rate, sample format and channel layout, as libav names them."""

STAMP_S: Final = 0.25
"""How long a stretch with a time of its own is. A hole in the times is placed this exactly."""

_HELD_S: Final = 0.5
_JITTER_S: Final = 0.02
"""Times that differ by less are those of containers that count in milliseconds; more is told of at once."""

SAMPLE_BYTES: Final = 2


def shape_of(frame: AudioFrame) -> Shape:
    """Return what a filter graph is built for."""
    return frame.sample_rate, frame.format.name, frame.layout.name


class Resampler:
    """Filters decoded sound of one shape to interleaved 16-bit samples. Raises whatever libavfilter raises.

    Args:
        shape: of every frame that is put in.
        pan: the filter that gives the channels that are wanted; see `mix.keep_channels`.
        channels: how many those are.
        rate_hz: rate of the samples that are wanted.
    """

    def __init__(self, shape: Shape, pan: str, channels: int, rate_hz: int) -> None:
        self._frame_bytes = SAMPLE_BYTES * channels
        self._tick = Fraction(1, shape[0])
        self._enough = round(_HELD_S * shape[0])
        self._jitter = round(_JITTER_S * shape[0])
        self._fifo = AudioFifo()
        self._held = 0
        self._first = 0
        self._graph = Graph()  # the contexts do not keep it alive
        rate, name, layout = shape
        self._source = self._graph.add(
            "abuffer", f"sample_rate={rate}:sample_fmt={name}:channel_layout={layout}:time_base=1/{rate}"
        )
        self._sink = self._linked(
            "aformat=sample_fmts=fltp",
            pan,
            f"aresample={rate_hz}",
            "aformat=sample_fmts=s16",
            f"asetnsamples=n={round(STAMP_S * rate_hz)}:p=0",
            "abuffersink",
        )
        self._graph.configure()

    def put(self, frame: AudioFrame, at: int) -> Iterator[tuple[int, int, bytes]]:
        """Take the next frame, and yield what is ready: its time in samples wanted, their number, and they themselves.

        Args:
            frame: of the shape that was said.
            at: its time, in samples of its own rate.
        """
        if self._held and abs(at - self._first - self._held) > self._jitter:
            yield from self._filtered()
        if not self._held:
            self._first = at
        frame.pts = None  # the queue would have them without a gap
        self._fifo.write(frame)
        self._held += frame.samples
        if self._held >= self._enough:
            yield from self._filtered()

    def finish(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the rest; nothing can be put in any more."""
        yield from self._filtered()
        self._source.push(None)
        yield from self._ready()

    def _filtered(self) -> Iterator[tuple[int, int, bytes]]:
        held = self._fifo.read(0, partial=True)
        self._held = 0
        if held is not None:
            held.pts, held.time_base = self._first, self._tick
            self._source.push(held)
            yield from self._ready()

    def _ready(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            try:
                frame = cast("AudioFrame", self._sink.pull())
            except (BlockingIOError, EOFError):
                return
            pcm = bytes(memoryview(frame.planes[0])[: frame.samples * self._frame_bytes])
            yield frame.pts or 0, frame.samples, pcm

    def _linked(self, *filters: str) -> FilterContext:
        last = self._source
        for described in filters:
            name, _, arguments = described.partition("=")
            node = self._graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        return last
