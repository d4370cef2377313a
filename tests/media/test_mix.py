from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from batch_scan.media.chunks import SILENCE_PEAK
from batch_scan.media.mix import channels_kept, keep_channels, mixed

WINDOW = 160
TONE = (3000 * np.sin(np.arange(10 * WINDOW) * 0.2)).astype("<i2")
NOTHING = np.zeros_like(TONE)


def frames_of(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels, axis=1).astype("<i2")


def peak(pcm: np.ndarray) -> int:
    return int(np.abs(pcm.astype(np.int32)).max())


@pytest.mark.parametrize(
    "channels",
    [
        pytest.param((TONE, -2 * TONE), id="stereo that the weights cancel"),
        pytest.param((TONE, -TONE), id="opposite phase"),
        pytest.param((NOTHING, TONE), id="one side"),
        pytest.param((TONE, -2 * TONE, NOTHING, NOTHING, NOTHING, NOTHING), id="two of six"),
        pytest.param((NOTHING, TONE, NOTHING, -TONE), id="two of the lighter ones"),
        pytest.param((NOTHING, TONE, TONE, TONE, TONE, -4 * TONE), id="five of six"),
    ],
)
def test_no_channels_cancel_each_other(channels: tuple[np.ndarray, ...]) -> None:
    pcm = mixed(frames_of(*channels), WINDOW)
    assert all(peak(window) > 900 for window in pcm.reshape(-1, WINDOW))


def test_a_click_in_the_mix_does_not_cover_what_it_has_lost() -> None:
    click = np.zeros_like(TONE)
    click[::WINDOW] = 1000
    pcm = mixed(frames_of(TONE + click, -2 * TONE), WINDOW)
    assert np.mean(pcm.astype(float) ** 2) > np.mean(TONE.astype(float) ** 2)


def test_what_is_lost_in_the_last_short_window_is_found() -> None:
    pcm = mixed(frames_of(TONE, -2 * TONE)[: WINDOW + 7], WINDOW)
    assert peak(pcm[WINDOW:]) > 900


def test_ordinary_stereo_is_the_mix_of_both_sides() -> None:
    other = (2000 * np.sin(np.arange(len(TONE)) * 0.11)).astype("<i2")
    assert np.abs(mixed(frames_of(TONE, other), WINDOW) - (2 * TONE + other) / 3).max() <= 0.51


def test_mono_passes_untouched() -> None:
    assert mixed(TONE[:, None], WINDOW).tobytes() == TONE.tobytes()
    assert mixed(frames_of(TONE, NOTHING), WINDOW, is_mono=True).tobytes() == TONE.tobytes()


def test_the_loudest_sound_does_not_wrap_around() -> None:
    loud = np.full(WINDOW, 32_767, "<i2")
    assert mixed(frames_of(loud, loud, loud, loud), WINDOW).min() == 32_767


@given(
    frames=arrays.arrays(
        np.int16,
        st.tuples(st.integers(1, 50), st.integers(2, 9)),
        elements=st.one_of(st.integers(-40, 40), st.integers(-32_768, 32_767)),
    ),
    window=st.integers(1, 20),
)
def test_a_mix_is_never_silent_where_a_channel_is_not(frames: np.ndarray, window: int) -> None:
    pcm = mixed(frames, window)
    assert pcm.shape == (len(frames),)
    for start in range(0, len(frames), window):
        if peak(frames[start : start + window]) > SILENCE_PEAK:
            assert peak(pcm[start : start + window]) > SILENCE_PEAK


@pytest.mark.parametrize(
    ("declared", "codec", "kept"),
    [(1, "pcm_s16le", 1), (1, "aac", 2), (2, "pcm_s16le", 2), (6, "ac3", 6), (0, "", 2), (1000, "x", 64)],
)
def test_every_declared_channel_is_kept(declared: int, codec: str, kept: int) -> None:
    assert channels_kept(declared, codec) == kept


def test_channels_beyond_the_declared_ones_have_a_place() -> None:
    assert keep_channels(2).startswith("pan=2C|c0=c0|c1=c1+0.3333*c2+")
    assert keep_channels(64).endswith("|c63=c63")
