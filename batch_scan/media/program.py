"""The ffmpeg program: where it is, which version, and the options that every hostile input gets.

Argument lists are compiled with ffmpeg-python and run by `runner.start_child`, never by ffmpeg-python itself, whose
`run` has no time-out and shares our standard input.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ffmpeg
import imageio_ffmpeg

from batch_scan.errors import UsageError
from batch_scan.media.formats import ALLOWED_FORMATS, ANALYZE_DURATION_US, PROBE_BYTES
from batch_scan.untrusted import show_path

if TYPE_CHECKING:
    from batch_scan.media.interface import MediaLimits

FFMPEG_VARIABLE: Final = "BATCH_SCAN_FFMPEG"
"""Environment variable that names another ffmpeg program than the bundled one."""

_VERSION_TIMEOUT_S: Final = 30.0


def ffmpeg_exe() -> str:
    """Return the absolute path of the ffmpeg program: `BATCH_SCAN_FFMPEG` or the bundled one. Raises UsageError."""
    named = os.environ.get(FFMPEG_VARIABLE, "")
    if named:
        program = Path(named).absolute()
        if not program.is_file() or not os.access(program, os.X_OK):
            raise UsageError(f"{FFMPEG_VARIABLE} names {show_path(named)}, which is not a program that can be started")
        return str(program)
    return _bundled()


@cache
def _bundled() -> str:
    try:
        return str(Path(imageio_ffmpeg.get_ffmpeg_exe()).absolute())
    except RuntimeError:
        raise UsageError(
            f"no ffmpeg program: this platform has no bundled one; install ffmpeg and set {FFMPEG_VARIABLE} to its path"
        ) from None


def ffmpeg_version() -> str:
    """Return the version that the ffmpeg program states, such as ``9.0.2``. Raises UsageError."""
    return _version_of(ffmpeg_exe())


@cache
def _version_of(exe: str) -> str:
    try:
        done = subprocess.run(
            [exe, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=True,
            env={},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"the ffmpeg program {show_path(exe)} does not start ({type(error).__name__})") from None
    words = done.stdout.decode("utf-8", "replace").split()
    if words[:2] != ["ffmpeg", "version"]:
        raise UsageError(f"the program {show_path(exe)} is not ffmpeg")
    return words[2]


def input_args(path: Path, limits: MediaLimits, **options: str | float) -> dict[str, Any]:
    """Return the keywords for `ffmpeg.input` that guard one untrusted file.

    Only the file itself can be opened, under an absolute name with ``file:`` before it (a name cannot be an option, a
    protocol or a pattern), and only as a real media format.

    Args:
        path: the file.
        limits: pixels and streams are capped by it.
        options: further input options, such as ``ss=12.5``; they cannot replace a guard.
    """
    return {
        **options,
        "filename": os.fsencode(f"file:{path.absolute()}"),  # ffmpeg-python cannot hash a name that is not UTF-8
        "protocol_whitelist": "file,pipe",
        "format_whitelist": ",".join(ALLOWED_FORMATS),
        "max_pixels": limits.max_pixels,
        "max_streams": limits.max_streams,
        "probesize": PROBE_BYTES,
        "analyzeduration": ANALYZE_DURATION_US,
    }


def compile_args(output: Any, *, loglevel: str = "error") -> list[str]:
    """Return the whole argument list for an ffmpeg-python output node, the program itself first.

    Args:
        output: what ``ffmpeg.input(**input_args(...)).output("pipe:1", ...)`` returned.
        loglevel: how much ffmpeg writes to standard error.
    """
    guarded = ffmpeg.overwrite_output(output).global_args("-nostdin", "-hide_banner", "-loglevel", loglevel)
    return [os.fsdecode(argument) for argument in ffmpeg.compile(guarded, cmd=ffmpeg_exe())]
