from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from batch_scan.sandbox.sound import RATE_HZ, decode_sound, duration_s
from tests.corpus_media import make

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "args"), [("a.mp3", ()), ("a.flac", ()), ("a.wav", ()), ("a.ogg", ("-c:a", "libopus"))]
)
def test_sound_is_as_long_and_as_loud_as_it_was(tmp_path: Path, name: str, args: tuple[str, ...]) -> None:
    tone = "sine=f=440:r=48000:d=2"
    content = make(tmp_path / name, "-f", "lavfi", "-i", tone, "-ac", "2", *args).read_bytes()
    assert duration_s(content) == pytest.approx(2.0, abs=0.1)
    samples = decode_sound(content)
    middle = samples[RATE_HZ // 2 : RATE_HZ // 2 + RATE_HZ].astype(float)
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("content", [b"", b"no sound", b"ID3" + bytes(5000), bytes(5000)])
def test_what_is_no_sound_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="no sound"):
        decode_sound(content)


def test_a_picture_is_no_sound(tmp_path: Path) -> None:
    picture = make(tmp_path / "p.png", "-f", "lavfi", "-i", "color=s=32x32", "-frames:v", "1").read_bytes()
    with pytest.raises(ValueError, match="no sound"):
        decode_sound(picture)


def test_a_playlist_opens_nothing(tmp_path: Path) -> None:
    real = make(tmp_path / "real.wav", "-f", "lavfi", "-i", "sine=d=1")
    for playlist in (f"ffconcat version 1.0\nfile '{real}'\n", f"#EXTM3U\n#EXTINF:1,\nfile:{real}\n#EXT-X-ENDLIST\n"):
        with pytest.raises(ValueError, match="no sound"):
            decode_sound(playlist.encode())
