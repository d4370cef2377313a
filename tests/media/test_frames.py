"""What the scanner makes of a worker that says what no worker of ours would say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batch_scan.errors import MediaError
from batch_scan.media.decoder import DecoderPool
from batch_scan.media.frames import read_frames
from batch_scan.media.interface import FrameSpec, FrameTally, MediaLimits
from batch_scan.media.probe import probe
from batch_scan.model import MediaInfo, Sample, Shortfall, VideoTrack
from batch_scan.vocabulary import Reason

LIMITS = MediaLimits()
FILM = MediaInfo("mov", 10.0, (), (VideoTrack(0, "h264", 320, 240, 10.0),))
TWO = MediaInfo("mov", 10.0, (), (*FILM.video, VideoTrack(3, "mjpeg", 10, 10, None, is_cover=True)))

SAYING = """
import os, sys
from batch_scan.media import wire
from batch_scan.media.wire import Kind, Picture, pack, pack_json, pack_picture

os.write(1, pack(Kind.END, b"{}"))
header = sys.stdin.buffer.read(wire.HEADER.size)
sys.stdin.buffer.read(wire.unpack_header(header)[1])
"""
PICTURE = "pack_picture(Picture(0, 1.0, 3.0, 2, b'jpeg'))"
TALLY = "pack_json(Kind.TALLY, dict(track=0, planned=5, extracted=2, deduplicated=1))"
END = "pack(Kind.END, b'{}')"


def worker_saying(*messages: str) -> DecoderPool:
    said = "".join(f"os.write(1, {message})\n" for message in messages)
    code = f"import sys; sys.path[:] = {sys.path!r}\n{SAYING}\n{said}"
    return DecoderPool(1, LIMITS, [sys.executable, "-c", code])


async def told(pool: DecoderPool, info: MediaInfo = FILM) -> list[Sample | Shortfall | FrameTally]:
    async with pool:
        return [one async for one in read_frames(pool, Path("/a.mp4"), info, FrameSpec(interval_s=2.0), LIMITS)]


async def test_a_picture_is_a_sample_and_a_tally_closes_it() -> None:
    sample, tally = await told(worker_saying(PICTURE, TALLY, END))
    assert isinstance(sample, Sample)
    assert (sample.start_s, sample.end_s, sample.stands_for, sample.data) == (1.0, 3.0, 2, b"jpeg")
    assert tally == FrameTally(0, 5, 2, 1)


async def test_a_worker_that_dies_leaves_what_it_sent_and_a_reason() -> None:
    sample, shortfall, tally = await told(worker_saying(PICTURE))
    assert isinstance(sample, Sample)
    assert isinstance(shortfall, Shortfall)
    assert shortfall.reason is Reason.DECODER_CRASHED
    assert tally == FrameTally(0, 5, 2, 1)


async def test_every_track_is_closed_when_a_worker_dies() -> None:
    *_, film, cover = await told(worker_saying(PICTURE), TWO)
    assert (film, cover) == (FrameTally(0, 5, 2, 1), FrameTally(3, 1, 0, 0))


@pytest.mark.parametrize(
    "message",
    [
        "pack_picture(Picture(7, 1.0, 3.0, 2, b'jpeg'))",
        "pack(Kind.PICTURE, b'')",
        "pack_json(Kind.TALLY, dict(track=0, planned=-1, extracted=2, deduplicated=1))",
        "pack_json(Kind.TALLY, dict(track=9, planned=1, extracted=1, deduplicated=1))",
        "pack_json(Kind.TALLY, dict(track=0, planned=5, extracted=2, deduplicated=1, work=dict(track=0, packets=-1)))",
        "pack_json(Kind.SHORTFALL, dict(reason='all_is_well', detail=''))",
        "pack(Kind.SHORTFALL, b'[')",
        "pack(Kind.END, b'[1]')",
        "pack(Kind.REQUEST, b'{}')",
    ],
)
async def test_what_makes_no_sense_is_never_a_clean_file(message: str) -> None:
    *_, shortfall, tally = await told(worker_saying(message, END))
    assert isinstance(shortfall, Shortfall)
    assert shortfall.reason is Reason.DECODER_CRASHED
    assert isinstance(tally, FrameTally)
    assert tally.planned > tally.extracted


async def test_a_worker_that_closes_nothing_is_no_clean_file() -> None:
    told_all = await told(worker_saying(END))
    assert any(isinstance(one, Shortfall) for one in told_all)
    assert told_all[-1] == FrameTally(0, 5, 0, 0)


async def test_words_of_a_worker_are_made_safe_to_show() -> None:
    missing = "pack_json(Kind.SHORTFALL, dict(reason='damaged', detail='a\\x1b[31mb\\nc'))"
    shortfall, _ = await told(worker_saying(missing, TALLY, END))
    assert isinstance(shortfall, Shortfall)
    assert shortfall.detail.isprintable()


@pytest.mark.parametrize(
    "info",
    [
        "None",
        "dict(container='x', duration_s=-1, tracks=[])",
        "dict(container='x', duration_s=1, tracks=[dict(type='smell', index=0)])",
        "dict(container='x', duration_s=1, tracks=[dict(type='video', index=-1)])",
    ],
)
async def test_a_malformed_description_is_refused(info: str) -> None:
    async with worker_saying(f"pack_json(Kind.END, dict(info={info}))") as pool:
        with pytest.raises(MediaError) as failure:
            await probe(pool, Path("/a.mp4"), LIMITS)
    assert failure.value.reason is Reason.DECODER_CRASHED
