from __future__ import annotations

import io
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from batch_scan.errors import MediaError
from batch_scan.media.clip import MAX_S, cut_clip, evened
from batch_scan.media.interface import MediaLimits
from batch_scan.vocabulary import Reason
from tests.corpus_media import H264, concat_in_disguise, make, multi_audio, numbered_source, silence, tone

RATE = 16_000


async def clip(path: Path, start_s: float, end_s: float, track: int = 0) -> np.ndarray:
    with wave.open(io.BytesIO(await cut_clip(path, track, start_s, end_s, MediaLimits()))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def level_dbfs(pcm: np.ndarray) -> float:
    return float(10 * np.log10(np.mean((pcm / 32768.0) ** 2)))


def pitch_hz(pcm: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm.astype(float)))) * RATE / len(pcm))


async def test_a_clip_is_the_stretch_asked_for(tmp_path: Path) -> None:
    rising = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "aevalsrc='0.2*sin(2*PI*(200+100*floor(t))*t):d=10:s=16000'")
    pcm = await clip(rising, 6.1, 6.9)
    assert len(pcm) == pytest.approx(0.8 * RATE, abs=RATE // 20)  # whole packets
    assert pitch_hz(pcm) == pytest.approx(800, abs=5)


async def test_a_clip_counts_from_the_start_of_the_file_where_sound_starts_late(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.mkv", *numbered_source(10), "-itsoffset", "4", "-f", "lavfi", "-i",
        "aevalsrc='0.2*sin(2*PI*(200+100*floor(t))*t):d=6:s=16000'", *H264, "-c:a", "flac",
    )  # fmt: skip
    assert pitch_hz(await clip(path, 6.1, 6.9, track=1)) == pytest.approx(400, abs=5)


@pytest.mark.parametrize("gain", ["0.01", "0.9"])
async def test_quiet_and_loud_sound_come_out_alike(tmp_path: Path, gain: str) -> None:
    path = make(tmp_path / "a.wav", "-f", "lavfi", "-i", f"aevalsrc='{gain}*sin(2*PI*300*t):d=3:s=16000'")
    assert level_dbfs(await clip(path, 0.5, 2.5)) == pytest.approx(-20.0, abs=0.3)


def test_peaks_are_never_clipped() -> None:
    pcm = np.zeros(RATE, "<i2")
    pcm[100:103] = (9000, 9001, -9000)
    louder = np.frombuffer(evened(pcm.tobytes()), "<i2")
    assert 29_000 < louder.max() <= 29_205  # 1 dB below full scale


async def test_sides_that_a_mix_would_cancel_are_heard(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", 3, "-af", "pan=stereo|c0=c0|c1=-2*c0")
    assert level_dbfs(await clip(path, 0.5, 2.5)) == pytest.approx(-20.0, abs=0.3)


async def test_silence_stays_silence(tmp_path: Path) -> None:
    pcm = await clip(silence(tmp_path / "a.wav", 3), 0, 2)
    assert len(pcm) == 2 * RATE
    assert not pcm.any()


async def test_a_clip_is_short_whatever_is_asked_for(tmp_path: Path) -> None:
    assert len(await clip(tone(tmp_path / "a.wav", 30), 2, 1e9)) == MAX_S * RATE


async def test_the_track_asked_for_is_cut(tmp_path: Path) -> None:
    path = multi_audio(tmp_path / "a.mkv", (440, 880), 4)
    assert pitch_hz(await clip(path, 1, 3, track=2)) == pytest.approx(880, abs=2)


@pytest.mark.parametrize(("start_s", "end_s", "track"), [(50, 55, 0), (3, 3, 0), (4, 2, 0), (0, 2, 7)])
async def test_where_there_is_no_sound_the_error_says_so(
    tmp_path: Path, start_s: float, end_s: float, track: int
) -> None:
    with pytest.raises(MediaError) as caught:
        await clip(tone(tmp_path / "a.wav", 5), start_s, end_s, track)
    assert caught.value.reason is Reason.NO_SAMPLES


async def test_a_script_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    secret = tone(tmp_path / "secret.wav", 2)
    with pytest.raises(MediaError):
        await clip(concat_in_disguise(tmp_path / "a.wav", secret), 0, 1)


def test_pydub_is_imported_without_a_warning_and_starts_no_program() -> None:
    code = (
        "import subprocess; subprocess.Popen = None; from batch_scan.media.clip import evened; evened(b'\\1\\2' * 99)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
