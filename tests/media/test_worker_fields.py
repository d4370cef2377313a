"""Which packets are second fields, against what was written and against bytes that mean nothing."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.worker_fields import FieldPairs
from tests.corpus_media import H264, make, numbered_source
from tests.media.field_coded import GROUP, STREAMS, field_coded

if TYPE_CHECKING:
    from pathlib import Path


def seconds(packets: list[bytes], codec: str = "h264", extradata: bytes | None = None) -> list[bool]:
    pairs = FieldPairs(codec, extradata)
    return [pairs.is_second(memoryview(data), is_key=b"\0\0\1\x67" in data) for data in packets]


@pytest.mark.parametrize("stream", STREAMS)
def test_second_fields_are_those_that_end_a_picture(stream: str) -> None:
    pictures = field_coded(40, **STREAMS[stream])
    packets = [part for picture in pictures for part in picture.parts]
    assert seconds(packets) == [bool(place) for picture in pictures for place in range(len(picture.parts))]


def test_a_field_whose_other_one_is_lost_stays_without() -> None:
    pictures = field_coded(40)
    for lost in (0, 1):
        parts = [list(picture.parts) for picture in pictures]
        del parts[6][lost]
        assert seconds([*chain(*parts)]) == [bool(place) for one in parts for place in range(len(one))]


def test_packets_of_both_fields_are_no_second_fields() -> None:
    assert not any(seconds([b"".join(picture.parts) for picture in field_coded(40)]))


def test_other_codecs_and_unknown_sequences_have_none() -> None:
    packets = [part for picture in field_coded(20) for part in picture.parts]
    assert not any(seconds(packets, "hevc"))
    assert not any(seconds(packets[1:GROUP]))


@pytest.mark.parametrize("args", [("-r", "50"), ("-r", "60"), ("-r", "50", "-flags", "+ildct+ilme")])
@pytest.mark.parametrize("suffix", ["ts", "mp4"])
def test_fifty_pictures_a_second_are_no_fields(tmp_path: Path, args: tuple[str, ...], suffix: str) -> None:
    path = make(tmp_path / f"many.{suffix}", *numbered_source(2, 50, "64x32"), *H264, "-g", "12", *args)
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        pairs = FieldPairs("h264", track.codec_context.extradata)
        packets = [packet for packet in container.demux(track) if packet.size]
        assert not any(pairs.is_second(memoryview(packet), is_key=packet.is_keyframe) for packet in packets)
    assert len(packets) >= 100


@given(st.data())
def test_no_bytes_make_it_fail(data: st.DataObject) -> None:
    packets = [bytearray(part) for picture in field_coded(3, rich=True) for part in picture.parts]
    for packet in packets:
        for _ in range(data.draw(st.integers(0, 3))):
            packet[data.draw(st.integers(0, min(len(packet), 60) - 1))] = data.draw(st.integers(0, 255))
        del packet[data.draw(st.integers(0, 400)) :]
    extradata = data.draw(st.one_of(st.binary(max_size=60), st.just(b"\1\x64\0\x1e\xff\xe1")))
    told = seconds([bytes(packet) for packet in packets], extradata=extradata)
    assert not told[0]
    assert not any(one and other for one, other in pairwise(told))
