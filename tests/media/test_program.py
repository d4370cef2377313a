from __future__ import annotations

import os
from pathlib import Path

import ffmpeg
import pytest

from batch_scan.errors import UsageError
from batch_scan.media.formats import ALLOWED_FORMATS
from batch_scan.media.interface import MediaLimits
from batch_scan.media.program import compile_args, ffmpeg_exe, ffmpeg_version, input_args

GUARDS = ("protocol_whitelist", "format_whitelist", "max_pixels", "max_streams", "probesize", "analyzeduration")


def test_bundled_program_is_found_and_tells_its_version() -> None:
    assert Path(ffmpeg_exe()).is_absolute()
    assert any(char.isdigit() for char in ffmpeg_version())


def test_environment_names_another_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'ffmpeg version 1.2.3 Copyright'\n")
    program.chmod(0o755)
    monkeypatch.setenv("BATCH_SCAN_FFMPEG", str(program))
    assert ffmpeg_exe() == str(program)
    assert ffmpeg_version() == "1.2.3"


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n"])
def test_a_program_that_is_not_ffmpeg_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("BATCH_SCAN_FFMPEG", str(program))
    with pytest.raises(UsageError, match="ffmpeg"):
        ffmpeg_version()


def test_a_missing_program_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATCH_SCAN_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="BATCH_SCAN_FFMPEG"):
        ffmpeg_exe()


@pytest.mark.parametrize("guard", GUARDS)
def test_every_guard_stands_before_the_input(guard: str) -> None:
    output = ffmpeg.input(**input_args(Path("-y\n:a.mp4"), MediaLimits(), ss=3)).output("pipe:1", format="null")
    argv = compile_args(output)
    at = argv.index("-i")
    assert f"-{guard}" in argv[:at]
    assert argv[at + 1] == f"file:{Path.cwd()}/-y\n:a.mp4"
    assert argv[argv.index("-ss") + 1] == "3"
    assert {"-nostdin", "-hide_banner"} <= set(argv)


def test_an_option_cannot_replace_a_guard() -> None:
    arguments = input_args(Path("a.mp4"), MediaLimits(), protocol_whitelist="http", filename="http://example.org")
    assert arguments["protocol_whitelist"] == "file,pipe"
    assert os.fsdecode(arguments["filename"]) == f"file:{Path.cwd()}/a.mp4"


@pytest.mark.parametrize(
    "name",
    [
        *("hls", "concat", "dash", "imf", "sdp", "rtp", "rtsp", "lavfi", "image2", "avisynth", "vobsub", "svg_pipe"),
        *("data", "webm_dash_manifest", "v4l2", "x11grab", "alsa", "tedcaptions", "ffmetadata", "rawvideo"),
    ],
)
def test_formats_that_name_other_files_are_not_allowed(name: str) -> None:
    assert name not in ALLOWED_FORMATS
