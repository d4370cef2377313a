"""Many channels to the one that is listened to, such that no sound of theirs is lost in it.

Weights that are fixed can always be cancelled out: whatever they are, some recording has channels that add up to
nothing. So channels come here unmixed, are mixed with unequal weights (equal ones lose sound of opposite phase, which
careless recordings are full of), and every window of the mix is compared with the channels it was made of. Where it
is silent and one of them is not, or where it lies far below one of them, that channel is handed on in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batch_scan.media.chunks import SILENCE_PEAK

if TYPE_CHECKING:
    import numpy.typing as npt

    Samples = npt.NDArray[np.int16]

MAX_CHANNELS: Final = 64
"""What ffmpeg's `pan` serves; a track of more channels is refused by it, and its row says so."""

_FIRST: Final = 2 / 3
_OTHER: Final = 1 / 3
_FAR_BELOW: Final = 1 / 16
"""12 dB, as a share of energy. One channel alone, or two of opposite phase, come out at most 9.5 dB below."""

_FULL_SCALE: Final = (-32_768, 32_767)


def channels_kept(declared: int, codec: str) -> int:
    """Return how many channels a track is decoded to.

    A mono track gets a second one, as most codecs can change the number on the way; that of bare PCM is fixed.
    """
    if declared == 1 and codec.startswith("pcm_"):
        return 1
    return min(max(declared, 2), MAX_CHANNELS)


def keep_channels(count: int) -> str:
    """Return the filter that gives `count` channels, silent ones for those that are not there.

    Should more come than were declared, the last one takes the surplus.
    """
    kept = "|".join(f"c{channel}=c{channel}" for channel in range(count))
    surplus = "".join(f"+{_OTHER:.4f}*c{channel}" for channel in range(count, MAX_CHANNELS))
    return f"pan={count}C|{kept}{surplus}"


def mixed(frames: Samples, window: int, *, is_mono: bool = False) -> Samples:
    """Mix channels into one.

    The first channel weighs twice as much as each other one, so that of two with opposite phase a third is left, as is
    of a single one. Weights add up to 1 for stereo; for more channels they do not, as a lone voice among 32 channels
    would come out as silence: the loudest of films may clip.

    Args:
        frames: samples of shape (time, channels).
        window: length in samples of the stretches that are compared.
        is_mono: the first channel is all there should be; it keeps its level.
    """
    if frames.shape[1] == 1:
        return frames[:, 0]
    planes = np.ascontiguousarray(frames.T)
    weights = np.full(len(planes), _OTHER, np.float32)
    weights[0] = _FIRST
    exact = planes.astype(np.float32)
    mix = (weights / _FIRST if is_mono else weights) @ exact
    pcm: Samples = np.rint(mix).clip(*_FULL_SCALE).astype(np.int16)
    whole = len(pcm) // window * window
    for part, length in ((slice(whole), window), (slice(whole, None), len(pcm) - whole)):
        if len(pcm[part]):
            _restore(planes[:, part], exact[:, part], pcm[part], length)
    return pcm


def _restore(planes: Samples, exact: npt.NDArray[np.float32], pcm: Samples, length: int) -> None:
    """Put a channel in the place of the mix, in `pcm`, wherever the mix has lost it."""
    count = len(pcm) // length
    channels = planes.reshape(len(planes), count, length)
    peaks = _peaks(channels)
    loudest_peak = peaks.max(axis=0)
    mix_peak = _peaks(pcm.reshape(count, length))
    energies = _energies(exact.reshape(channels.shape))
    energies[peaks <= SILENCE_PEAK] = -1.0  # what is silent itself is never put in the place of a mix
    mix_energy = _energies(pcm.reshape(count, length).astype(np.float32))
    is_lost = (mix_peak <= SILENCE_PEAK) | (mix_energy < _FAR_BELOW * energies.max(axis=0))
    for at in np.flatnonzero(is_lost & (loudest_peak > SILENCE_PEAK)).tolist():
        pcm[at * length : (at + 1) * length] = channels[energies[:, at].argmax(), at]


def _peaks(samples: Samples) -> npt.NDArray[np.int32]:
    """Return the largest distance from zero along the last axis."""
    lowest = samples.min(axis=-1).astype(np.int32)
    peaks: npt.NDArray[np.int32] = np.maximum(samples.max(axis=-1), -lowest)
    return peaks


def _energies(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the sum of squares along the last axis."""
    sums: npt.NDArray[np.float32] = np.einsum("...i,...i->...", samples, samples)
    return sums
