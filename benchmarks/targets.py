"""What the scanner is held to: ratios within one run, by the tables in which the cases of this package show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.results import Cell


class Sense(StrEnum):
    """Which side of its limit a figure has to be on."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Target:
    """A column of a case's table, and what its figures may be."""

    what: str
    case: str
    column: str
    sense: Sense
    limit: float | Mapping[str, float]
    """One for all rows, or one for each row of this name; rows of other names have none."""
    by: tuple[str, ...] = ()
    """The columns that name a row."""
    where: Mapping[str, Cell] = field(default_factory=dict)
    """Rows that count have these cells."""
    over: str = ""
    """The column that the figure is divided by, if any."""


_LEAST: Final = Sense.AT_LEAST
_MOST: Final = Sense.AT_MOST
_EVERY: Final = "every, s"
_AT: Final = 10.7
_NAIVE: Final = ("extraction", "naive / scan")
_BARE: Final = ("extraction", "scan / best bare")
_WAYS: Final = ("film", _EVERY, "mode")
_FILM: Final = ("film",)
_MILLION: Final[Mapping[str, Cell]] = {"rows": "known", "how many": 1_000_000.0}

_EXACT: Final = {"web": 11.0, "long": 3.3, "hevc": 5.0, "vp9": 4.8, "av1": 3.3, "480p": 4.5, "mpegts": 9.0}
_FAST: Final = {"web": 15.0, "hevc": 7.0}
_KEYFRAMES: Final = {"web": 33.0, "vp9": 20.0, "hevc": 35.0, "av1": 11.0, "480p": 11.0}
_PEERS: Final = {"opencv-seek": 0.5, "decord": 0.5, "torchcodec": 0.5, "scenedetect": 0.5}
_SAME: Final = "bit for bit the same"
_PSNR: Final = "fast: PSNR, dB (lowest, mean)"
_SAME_JPEGS: Final = "exact / full decode with the same JPEGs"
_LONGEST: Final = "longest side, pixels"
_SOUND: Final = "with sound"

TARGETS: Final = (
    Target("CPU of a scan / best bare way", *_BARE, _MOST, 1.10, _WAYS),
    Target("the worst of that CPU", *_BARE, _MOST, 1.25, _WAYS),
    Target("naive / scan, exact", *_NAIVE, _LEAST, _EXACT, _FILM, {"mode": "exact", _EVERY: _AT}),
    Target("bit for bit the same / pictures", "identity", _SAME, _LEAST, 1.0, _WAYS[:2], {}, "pictures"),
    Target("naive / scan, fast", *_NAIVE, _LEAST, _FAST, _FILM, {"mode": "fast", _EVERY: _AT}),
    Target("the lowest PSNR of a fast picture, dB", "identity", _PSNR, _LEAST, 40.0, _WAYS[:2]),
    Target("naive / scan, keyframes", *_NAIVE, _LEAST, _KEYFRAMES, _FILM, {"mode": "keyframe", _EVERY: _AT}),
    Target("exact / full decode", "exact", "exact / full decode", _MOST, 1.05, _WAYS[:2], {_LONGEST: 640.0}),
    Target("exact / full decode with the same JPEGs", "exact", _SAME_JPEGS, _MOST, 1.05, _WAYS[:2], {_LONGEST: 640.0}),
    Target("ours / a peer, exact, web", "peers", "ours / it", _MOST, _PEERS, ("taken by",), {"film": "web"}),
    Target("ours / a peer, exact, 480p", "peers", "ours / it", _MOST, _PEERS, ("taken by",), {"film": "480p"}),
    Target("clips, naive / scan, exact", "tiny", "naive / it", _LEAST, 5.0, (), {"what": f"scan, exact, {_SOUND}"}),
    Target(
        "clips, naive / scan, keyframes", "tiny", "naive / it", _LEAST, 14.0, (), {"what": f"scan, keyframes, {_SOUND}"}
    ),
    Target("memory of a decoder worker, MB", "memory", "decoder worker, MB", _MOST, 110.0, ("film", "length, s")),
    Target("memory of a worker, 2 h / 5 min", "memory", "/ shorter film", _MOST, 1.1, _FILM, {"length, s": 7200.0}),
    Target("one worker / two", "workers", "one / two", _LEAST, 1.85, ("what",)),
    Target("start-up, CPU s", "startup", "CPU, s", _MOST, 1.0, (), {"what": "a scan of no file"}),
    Target("wall of a scan / its slowest stage", "flow", "scan / alone", _MOST, 1.05, ("slowest stage",)),
    Target("rate used / allowed", "sending", "rate used / allowed", _LEAST, 0.98, ("rate allowed, per minute",)),
    Target(
        "most of a rate used in any 5 s / allowed",
        "sending",
        "most in any 5 s / allowed",
        _MOST,
        1.0,
        ("rate allowed, per minute",),
    ),
    Target("requests per second / httpx", "sending", "batch-scan / httpx", _LEAST, 0.8, ("in flight",)),
    Target("peak memory, 10^6 rows / 10^3", "items", "/ memory of 1,000", _MOST, 1.2, (), _MILLION),
    Target("10^6 known rows, CPU s", "items", "CPU, s", _MOST, 600.0, (), _MILLION),
    Target("10^6 known rows, MB", "items", "memory, MB", _MOST, 400.0, (), _MILLION),
    Target("comparing pictures / encoding", "twins", "compare / encode", _MOST, 0.1, _FILM),
    Target("comparing near-twins / encoding", "twins", "compare twins / encode", _MOST, 0.1, _FILM),
    Target("embedded engine / bare models", "engine", "judging / bare", _MOST, 1.15, ("what",)),
)
"""A memory that shall be "the same" for five minutes and two hours may differ by a tenth."""
