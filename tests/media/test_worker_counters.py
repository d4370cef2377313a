from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from batch_scan.media.interface import AudioSpec, AudioTally
from batch_scan.media.reader import MediaReader
from batch_scan.media.worker_counters import counters_leap
from batch_scan.model import Shortfall
from batch_scan.vocabulary import Reason
from tests.corpus_media import tone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOUND_PIDS = (0x100, 0x1100)
"""Of transport streams and of M2TS, as the ffmpeg program numbers them."""
SIZES = {"ts": 188, "m2ts": 192}
COPIES = [(), ("mp3",)]


def packets(whole: bytes, size: int) -> Iterator[bytearray]:
    for at in range(0, len(whole), size):
        yield bytearray(whole[at : at + size])


def is_sound(packet: bytearray) -> bool:
    head = packet[-188:]
    return (head[1] & 0x1F) << 8 | head[2] == SOUND_PIDS[len(packet) > len(head)]


def with_hole(whole: bytes, size: int, *, goes_on: bool) -> bytes:
    """Take a third of the sound out of a transport stream; its counters leap there, or go on as if there was none."""
    parts = list(packets(whole, size))
    sound = [at for at, part in enumerate(parts) if is_sound(part)]
    starts = [at for at in sound if parts[at][-188 + 1] & 0x40]
    begin, end = starts[len(starts) // 3], starts[2 * len(starts) // 3]
    left_out = {at for at in sound if begin <= at < end}
    if len(left_out) % 16 == 0:
        left_out = {at for at in sound if begin <= at < starts[2 * len(starts) // 3 + 1]}
    kept = [part for at, part in enumerate(parts) if at not in left_out]
    if goes_on:
        for number, part in enumerate(part for part in kept if is_sound(part)):
            part[-188 + 3] = part[-188 + 3] & 0xF0 | number & 0xF
    return b"".join(kept)


async def heard(path: Path, copies: tuple[str, ...]) -> tuple[list[Shortfall], AudioTally]:
    async with MediaReader(1) as reader:
        info = await reader.probe(path)
        told = [event async for event in reader.audio(path, info, (AudioSpec(copies=copies),))]
    (tally,) = [event for event in told if isinstance(event, AudioTally)]
    return [event for event in told if isinstance(event, Shortfall)], tally


@pytest.mark.parametrize("copies", COPIES, ids=["decoded", "copied"])
@pytest.mark.parametrize("name", SIZES)
async def test_sound_whose_packets_are_lost_was_not_heard(tmp_path: Path, name: str, copies: tuple[str, ...]) -> None:
    path = tmp_path / f"a.{name}"
    whole = tone(tmp_path / f"whole.{name}", 12, "-c:a", "libmp3lame").read_bytes()
    path.write_bytes(with_hole(whole, SIZES[name], goes_on=False))
    shortfalls, tally = await heard(path, copies)
    (gap,) = shortfalls
    assert gap.reason is Reason.DAMAGED
    assert "transport packets are missing" in gap.detail
    assert tally.decoded_s == pytest.approx(8, abs=0.6)
    path.write_bytes(whole)
    assert (await heard(path, copies))[0] == []


@pytest.mark.parametrize("copies", COPIES, ids=["decoded", "copied"])
@pytest.mark.parametrize("name", SIZES)
async def test_where_nothing_was_ever_sent_nothing_is_lost(tmp_path: Path, name: str, copies: tuple[str, ...]) -> None:
    path = tone(tmp_path / f"a.{name}", 12, "-c:a", "libmp3lame")
    path.write_bytes(with_hole(path.read_bytes(), SIZES[name], goes_on=True))
    shortfalls, tally = await heard(path, copies)
    assert shortfalls == []
    assert tally.decoded_s == pytest.approx(12, abs=0.6)


@pytest.mark.parametrize("whole", [b"", bytes(10_000), b"G" * 10_000, b"G" + bytes(187)])
def test_what_is_no_transport_stream_tells_nothing(whole: bytes) -> None:
    for end in (0, 1, 1880, len(whole)):
        counters_leap(io.BytesIO(whole), 0, end)


def test_a_leap_that_is_announced_is_none() -> None:
    def packet(counter: int, field: bytes = b"") -> bytes:
        flags = 0x30 if field else 0x10
        return (b"G\x01\x00" + bytes([flags | counter]) + field).ljust(188, b"\xff")

    before, after = packet(3), [packet(9 + more) for more in range(5)]
    assert counters_leap(io.BytesIO(b"".join([before, *after])), 0, 188)
    announced = packet(9, b"\x01\x80")
    assert not counters_leap(io.BytesIO(b"".join([before, announced, *after])), 0, 188)
    assert not counters_leap(io.BytesIO(b"".join([packet(8), *after])), 0, 188)
