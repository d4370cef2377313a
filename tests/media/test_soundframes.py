from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.cutting import FLICKS_PER_S
from batch_scan.media.soundframes import adts_body_at, adts_header, is_aac, mp3_header
from tests.corpus_media import make

if TYPE_CHECKING:
    from pathlib import Path


def packets(path: Path) -> list[tuple[bytes, float]]:
    """Return the packets of a file and how long each lasts."""
    with av.open(path) as container:
        found = [packet for packet in container.demux(audio=0) if packet.size]
        return [(bytes(packet), float((packet.duration or 0) * (packet.time_base or 0))) for packet in found]


def tone(path: Path, *args: str) -> Path:
    return make(path, "-f", "lavfi", "-i", "anoisesrc=d=1:c=pink:a=0.3", *args)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("how", [("-b:a", "32k"), ("-q:a", "3")], ids=["constant", "variable"])
def test_headers_of_mp3_say_what_libav_says(tmp_path: Path, rate_hz: int, channels: int, how: tuple[str, str]) -> None:
    path = tone(tmp_path / "a.mp3", "-ar", str(rate_hz), "-ac", str(channels), "-c:a", "libmp3lame", *how)
    for data, length_s in packets(path):
        header = mp3_header(data[:4])
        assert header is not None
        assert (header.size_bytes, header.kind) == (len(data), (rate_hz, channels))
        assert header.length / FLICKS_PER_S == pytest.approx(length_s)
        assert 0 < header.main_bytes < len(data)


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_headers_of_adts_say_what_libav_says(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = tone(tmp_path / "a.aac", "-ar", str(rate_hz), "-ac", str(channels), "-c:a", "aac", "-b:a", "24k")
    for data, _ in packets(path):
        header = adts_header(data[:7])
        assert header is not None
        assert (header.size_bytes, header.kind) == (len(data), (rate_hz, channels))
        assert header.length == FLICKS_PER_S * 1024 // rate_hz


@given(st.binary(max_size=8))
def test_any_bytes_are_a_frame_that_lasts_or_none(header: bytes) -> None:
    for found in (mp3_header(header[:4]), adts_header(header[:7])):
        assert found is None or (found.length > 0 and found.size_bytes >= 0 and found.main_bytes >= 0)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("fffb0064", id="no bit rate of its own"),
        pytest.param("fffbf064", id="a bit rate that does not exist"),
        pytest.param("fffb9c64", id="a sample rate that does not exist"),
        pytest.param("fffd9064", id="layer II"),
        pytest.param("ffeb9064", id="a version that does not exist"),
        pytest.param("fffb", id="cut"),
    ],
)
def test_what_is_no_frame_of_layer_three_is_none(header: str) -> None:
    assert mp3_header(bytes.fromhex(header)) is None


@pytest.mark.parametrize("source", ["anoisesrc=d=2:c=pink:a=0.3", "anullsrc=d=2", "sine=d=2"])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_of_aac_begin_as_frames_may_also_where_they_are_silent(
    tmp_path: Path, source: str, channels: int
) -> None:
    for name, header_bytes in (("a.aac", 7), ("a.m4a", 0)):
        path = make(tmp_path / name, "-f", "lavfi", "-i", source, "-t", "2", "-ac", str(channels), "-c:a", "aac")
        for data, _ in packets(path):
            assert is_aac(data[header_bytes:], channels)
            assert header_bytes == 0 or adts_body_at(data) == header_bytes


@pytest.mark.parametrize("frame", [b"", bytes(1), bytes(400), b"\xff\xf1\x50\x80" + bytes(90)])
@pytest.mark.parametrize("channels", [1, 2])
def test_zeros_and_second_headers_are_no_frames_of_aac(frame: bytes, channels: int) -> None:
    assert not is_aac(frame, channels)


@pytest.mark.parametrize(("channels", "element"), [(1, 1), (2, 0)])
def test_a_frame_of_aac_holds_as_many_channels_as_its_header_says(channels: int, element: int) -> None:
    assert not is_aac(bytes([element << 5 | 1, 64, 32]), channels)
    assert is_aac(bytes([element << 5 | 1, 64, 32]), 3 - channels)


@pytest.mark.parametrize(("protected", "blocks", "at"), [(1, 1, 7), (0, 1, 9), (1, 4, 7), (0, 4, 15)])
def test_behind_the_header_of_adts_may_be_checksums(protected: int, blocks: int, at: int) -> None:
    assert adts_body_at(bytes([0xFF, 0xF0 | protected, 0x50, 0x80, 2, 0x1F, 0xFC | blocks - 1])) == at
