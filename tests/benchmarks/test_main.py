from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmarks
from benchmarks import media
from benchmarks.__main__ import CASES, FILMS, main
from benchmarks.extraction import TWO_HOURS

ROOT = Path(benchmarks.__file__).parents[1]
COMMAND = (sys.executable, "-m", "benchmarks")
_BOOT = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
"""
INTERRUPTIBLE = (sys.executable, "-c", _BOOT)
"""The same where tests run in the background, in which a shell has interrupts ignored."""
SHORT = ("--runs", "1", "--length", "2")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Return the exit code, and what went to standard output and to standard error."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_kinds_of_film_that_may_be_named_are_those_there_are() -> None:
    films, sounds = ([kind.name for kind in kinds] for kinds in (media.FILMS, media.SOUNDS))

    assert list(FILMS) == [*films, TWO_HOURS, *sounds]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["startupp"], "there is no case 'startupp'; 'startup'?"),
        (["xyzzy"], f"there is no case 'xyzzy': {', '.join(CASES)}"),
        (["flac", "--films", "wbe"], "there is no film 'wbe'; 'web'?"),
        (["flac", "--runs", "0"], "--runs has to be at least 1"),
        (["flac", "--length", "1"], "--length has to be at least 2"),
        (["flac", "--intervals", "0"], "--intervals have to be above 0"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_case_is_printed_and_kept_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, told = tmp_path / "kept", tmp_path / "told"
    words = ("--media", str(tmp_path), "--json", str(kept), "--markdown", str(told))

    code, out, err = said(capsys, "extraction", "--films", "aac", *SHORT, *words)

    assert (code, err) == (0, "")
    assert out == told.read_text(encoding="utf-8")
    assert "| aac, 24 s |  | sound | " in out
    row, copied = json.loads(kept.read_text(encoding="utf-8"))["rows"]
    code, out, _ = said(capsys, "targets", str(kept))
    assert code == 0
    assert (
        f"| aac, 24 s  sound {row['scan / best bare']:.3g}, aac, 24 s  copied {copied['scan / best bare']:.3g} | "
        in out
    )


def test_a_case_without_its_package_says_what_to_install_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "PIL.py").write_text("raise ModuleNotFoundError('not here', name='PIL')\n", encoding="utf-8")
    words = ("identity", "flac", *SHORT, "--media", str(tmp_path / "media"))

    ended = subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "identity: PIL is not installed: pip install '.[bench]'",
        "not measured: identity",
    ]
    assert ended.stdout.startswith("### flac: ")


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_full_disk_is_told_of_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, _, err = said(capsys, "flac", *SHORT, "--media", str(tmp_path), option, "/dev/full")

    assert code == 1
    assert "flac: /dev/full: No space left on device\n" in err


def test_a_place_for_media_that_is_none_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "file"
    place.write_text("")

    code, _, err = said(capsys, "flac", *SHORT, "--media", str(place))

    assert code == 1
    assert f"flac: {place}: File exists\n" in err


def test_an_interrupt_ends_it_without_a_traceback(tmp_path: Path) -> None:
    words = ("flac", "--runs", "1000000", "--length", "2", "--media", str(tmp_path))
    with subprocess.Popen([*INTERRUPTIBLE, *words], cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        try:
            while not (tmp_path / "sound-2s.m4a").exists() and child.poll() is None:
                time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=60)
        finally:
            child.kill()

    assert child.returncode == 130
    assert err.splitlines()[-1] == "interrupted; media that was made stays, and what was measured stands above"
    assert "Traceback" not in err
