from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bare import decode_all, read_packets
from benchmarks.reading import sought

MEDIA = Path(__file__).parents[2] / "sample_media"


def test_one_pass_reads_what_two_read() -> None:
    film = MEDIA / "hello.mp4"

    pictures, sound = read_packets(film, "video"), read_packets(film, "audio")

    assert pictures == decode_all(str(film))
    assert sound > 0
    assert read_packets(film, "video", "audio") == pictures + sound


@pytest.mark.parametrize("name", ["hello.mp4", "variable_frame_rate.webm"])
def test_seeking_reads_less_than_all_of_the_pictures(name: str) -> None:
    assert 0 < sought(MEDIA / name) < read_packets(MEDIA / name, "video")
