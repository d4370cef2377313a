"""The headers of MP3 and AAC frames, as far as is needed to cut between them or to doubt them. Pure; all is hostile.

MP3: ISO/IEC 11172-3 (2.4.1.3), 13818-3 and, for 8 to 12 kHz, what is called MPEG-2.5. AAC: ADTS, ISO/IEC 13818-7 (6.2).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from batch_scan.media.cutting import FLICKS_PER_S, Frame

HEADER_BYTES: Final = 4
ADTS_HEADER_BYTES: Final = 7
MAX_FRAME_BYTES: Final = 8191
"""The length of an ADTS frame has 13 bits; no frame of MP3 with a bit rate of its own comes near."""

_KBPS_1: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_RATES_HZ: Final = (44_100, 48_000, 32_000)
_MPEG_1, _MPEG_2, _MPEG_25 = 3, 2, 0
_RATE_SHIFT: Final = {_MPEG_1: 0, _MPEG_2: 1, _MPEG_25: 2}
_LAYER_3: Final = 1
_MONO: Final = 3
_CRC_BYTES: Final = 2
_ADTS_RATES_HZ: Final = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)
_AAC_SAMPLES: Final = 1024
_SINGLE, _PAIR, _DATA, _PROGRAM, _FILL = 0, 1, 4, 5, 6
_AAC_FIRST: Final = {1: {_SINGLE, _DATA, _PROGRAM, _FILL}, 2: {_PAIR, _DATA, _PROGRAM, _FILL}}
"""What a frame of one or two channels may begin with: the channels themselves, or what is not heard (4.4.2.1)."""


@lru_cache(maxsize=4096)
def mp3_header(header: bytes) -> Frame | None:
    """Return what the first four bytes of a frame say; None where they are no header of layer III with a bit rate."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - 11 bits set
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate_at, bits_at = header[2] >> 2 & 3, header[2] >> 4
    if version not in _RATE_SHIFT or layer != _LAYER_3 or rate_at >= len(_MP3_RATES_HZ):
        return None
    kbps = _KBPS_1 if version == _MPEG_1 else _KBPS_2
    if not 1 <= bits_at <= len(kbps):
        return None
    rate_hz = _MP3_RATES_HZ[rate_at] >> _RATE_SHIFT[version]
    samples = 1152 if version == _MPEG_1 else 576
    is_mono = header[3] >> 6 == _MONO
    size_bytes = samples // 8 * kbps[bits_at - 1] * 1000 // rate_hz + (header[2] >> 1 & 1)
    side_bytes = (17 if is_mono else 32) if version == _MPEG_1 else (9 if is_mono else 17)
    crc_bytes = 0 if header[1] & 1 else _CRC_BYTES
    main_bytes = max(0, size_bytes - HEADER_BYTES - side_bytes - crc_bytes)
    return Frame(samples * FLICKS_PER_S // rate_hz, size_bytes, main_bytes, (rate_hz, 1 if is_mono else 2))


def adts_header(header: bytes) -> Frame | None:
    """Return what the first seven bytes of a frame say; None where they are no ADTS header.

    The rate is that of the core: where a frame holds spectral band replication, it is heard at twice the rate and as
    long.
    """
    if len(header) < ADTS_HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:  # noqa: PLR2004 - 12 bits set
        return None
    rate_at = header[2] >> 2 & 15
    if rate_at >= len(_ADTS_RATES_HZ):
        return None
    rate_hz = _ADTS_RATES_HZ[rate_at]
    size_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    samples = _AAC_SAMPLES * ((header[6] & 3) + 1)
    channels = (header[2] & 1) << 2 | header[3] >> 6
    return Frame(samples * FLICKS_PER_S // rate_hz, size_bytes, 0, (rate_hz, channels))


def adts_body_at(frame: bytes) -> int:
    """Return where the sound of an ADTS frame begins, behind its header and checksums."""
    has_checksum, blocks = not frame[1] & 1, (frame[6] & 3) + 1
    return ADTS_HEADER_BYTES + _CRC_BYTES * blocks * has_checksum


def is_aac(frame: bytes, channels: int) -> bool:
    """Say whether bytes without a header may be a frame of AAC; of bytes made up by chance every other one may.

    No frame is zeros alone: it ends with an element of its own (ISO/IEC 14496-3, 4.4.2.1).
    """
    return any(frame) and (channels not in _AAC_FIRST or frame[0] >> 5 in _AAC_FIRST[channels])
