"""The command line as far as it goes without a scan; tests/scan has the rest, as processes."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan import __version__
from batch_scan.cli import main
from batch_scan.ledger_schema import FILE_NAME
from batch_scan.model import RunTotals
from batch_scan.totals import Exit
from tests.corpus_media import numbered_video

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = ("scan", "plan", "report", "doctor")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_OF_OTHER_PROGRAMS = {"--check"}


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("batch_scan")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def assert_tells_of_failure(out: str, *, scan: bool) -> None:
    """A scan ends with its result line whatever happened; the other commands have none."""
    if not scan:
        assert out == ""
        return
    result = json.loads(out.splitlines()[-1])
    assert (result["run_id"], result["items"], result["exit_code"]) == (None, 0, Exit.USAGE)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--help"] if command == "scan" else [command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


# -------------------------------------------------------------------------------------------------------------- words


def test_every_option_and_command_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = " ".join(help_of(command, capsys) for command in COMMANDS)
    named = set(_OPTION.findall(README)) - _OF_OTHER_PROGRAMS
    assert named <= set(_OPTION.findall(told))
    for command in set(re.findall(r"^batch-scan ([a-z]+) ", README, re.MULTILINE)):
        assert f"batch-scan {command}" in told


def test_every_option_of_the_job_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = set(_OPTION.findall(" ".join(help_of(command, capsys) for command in COMMANDS)))
    page = (ROOT / "docs" / "job-file.md").read_text(encoding="utf-8")
    assert set(_OPTION.findall(page)) - _OF_OTHER_PROGRAMS <= told


def test_the_help_names_every_exit_code_as_the_readme_does(capsys: pytest.CaptureFixture[str]) -> None:
    told = help_of("scan", capsys)
    for code in Exit:
        assert re.search(rf"\b{int(code)}\b", told.partition("exit codes:")[2])
        assert re.search(rf"^\| (\d+, )*{int(code)}\b", README, re.MULTILINE)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"batch-scan {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frames", "3"],
        ["--int", "3", "x"],
        ["--workers", "many", "x"],
        ["--fail-on", "keep", "x"],
        ["report"],
        ["a", "b"],
    ],
)
def test_a_wrong_argument_ends_with_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == Exit.USAGE
    shown = capsys.readouterr()
    assert_tells_of_failure(shown.out, scan=arguments[:1] != ["report"])
    assert "usage: batch-scan" in shown.err


# ------------------------------------------------------------------------------------------------- nothing was scanned


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to scan: name a manifest"),
        (["plan"], "nothing to scan: name a manifest"),
        (["missing.toml"], "missing.toml: no such job file"),
        (["--job", "missing.toml"], "missing.toml: no such job file"),
        (["bad.toml"], "did you mean 'frame_interval'"),
        (["here", "--endpoint", "safecom"], "did you mean 'safecomms'"),
        (["here", "--interval", "0"], "greater than 0"),
        (["here", "--max-time", "soon"], "1h30m"),
        (["plan", "missing", "--endpoint", "local"], "missing"),
        (["missing", "--endpoint", "local"], "missing"),
        (["here", "--endpoint", "local", "--report", "sftp://host/reports"], "holds no report"),
        (["report", "nowhere"], "nowhere"),
        (["columns.csv", "--endpoint", "local"], "its columns are 'name', 'size'"),
    ],
)
def test_bad_input_names_the_mend_ends_with_usage_and_writes_nothing(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], expected_errors: list[str]
) -> None:
    expected_errors.append(".")
    (tmp_path / "here").mkdir()
    (tmp_path / "bad.toml").write_text('[source]\nuri = "here"\n[extract]\nframe_intervall = 1\n')
    (tmp_path / "columns.csv").write_text("name,size\na,1\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == Exit.USAGE
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert_tells_of_failure(shown.out, scan=arguments[:1] not in (["plan"], ["report"], ["doctor"]))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_is_one_json_object_a_line_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], expected_errors: list[str]
) -> None:
    expected_errors.append(".")
    (tmp_path / "bad.toml").write_text('[source]\nuri = "x"\n[extract]\nframe_interval = 0\nframe_size = 1\n')
    assert main(["bad.toml", "--log-format", "json"]) == Exit.USAGE
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["error", "error"]


def test_a_missing_key_is_a_mistake_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], expected_errors: list[str]
) -> None:
    expected_errors.append(".")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.mp3").write_bytes(b"x")
    assert main(["here", "--endpoint", "safecomms", "--report", "reports"]) == Exit.USAGE
    assert "environment variable SAFECOMMS_API_KEY is empty or not set" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("source", "words"), [("here", "no file lies below it"), ("m.csv", "the manifest has no rows")]
)
def test_a_source_without_any_entry_never_looks_like_a_clean_one(
    tmp_path: Path, source: str, words: str, capsys: pytest.CaptureFixture[str], expected_errors: list[str]
) -> None:
    expected_errors.append("nothing to scan")
    (tmp_path / "here" / "empty" / "deeper").mkdir(parents=True)
    (tmp_path / "here" / "reports" / "files").mkdir(parents=True)
    (tmp_path / "here" / "reports" / "files" / "part-0.parquet").write_bytes(b"a report of its own is no entry")
    (tmp_path / "m.csv").write_text("uri,title\n")
    before = sorted(tmp_path.rglob("*"))
    for command in ([], ["plan"]):
        assert main([*command, source, "--endpoint", "local", "--report", "here/reports"]) == Exit.USAGE
        shown = capsys.readouterr()
        assert f"{tmp_path / source}: {words}" in shown.err
        assert_tells_of_failure(shown.out, scan=not command)
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------------------- small scans


def test_where_everything_is_left_out_the_scan_is_reported_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / ".keep").touch()
    (tmp_path / "job.toml").write_text('[source]\nuri = "here"\nexclude = [".keep"]\n[endpoints.local]\n')
    assert main(["job.toml", "--workers", "1"]) == Exit.CLEAN
    shown = capsys.readouterr()
    assert shown.err.startswith("batch-scan: endpoints: local (as named)\n")
    assert "nothing was examined: include, exclude, modified_after or limit left out every entry" in shown.err
    (line,) = shown.out.splitlines()
    told = json.loads(line)
    assert (told["items"], told["skipped"], told["exit_code"], told["tokens_charged"]) == (1, 1, 0, 0)
    assert told["report"] == str(tmp_path / "reports")
    assert sorted(told) == sorted(["run_id", "report", "exit_code", *RunTotals.__dataclass_fields__])
    assert (tmp_path / "reports" / ".state" / FILE_NAME).is_file()
    assert main(["report", "reports"]) == Exit.CLEAN
    assert told["run_id"] in capsys.readouterr().out


def test_a_row_that_is_missing_makes_the_run_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_text("uri\ngone.mp4\n")
    assert main(["m.csv", "--endpoint", "local", "--workers", "1"]) == Exit.INCOMPLETE
    told = json.loads(capsys.readouterr().out)
    assert (told["items"], told["failed"], told["unknown"]) == (1, 1, 1)


def test_entries_beyond_the_limit_are_skipped_which_is_not_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.mp3").write_bytes(b"x" * 100)
    assert main(["here", "--endpoint", "local", "--workers", "1", "--limit", "0"]) == Exit.CLEAN
    assert json.loads(capsys.readouterr().out)["skipped"] == 1


def test_a_plan_sends_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_text("uri\ngone.mp4\n")
    assert main(["plan", "m.csv", "--endpoint", "local", "--workers", "1"]) == Exit.CLEAN
    shown = capsys.readouterr()
    assert json.loads(shown.out)["not_examined"] == {"missing": 1}
    assert "nothing was sent" in shown.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv"]


def test_a_plan_says_which_way_each_film_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    numbered_video(tmp_path / "here" / "film.mp4", 5)
    monkeypatch.setenv("SAFECOMMS_API_KEY", "key")
    command = ["plan", "here", "--endpoint", "safecomms", "--interval", "3", "--workers", "1"]
    told = "film.mp4: one pass, "
    assert main(command) == Exit.CLEAN
    assert told not in capsys.readouterr().err
    assert main([*command, "--verbose"]) == Exit.CLEAN
    shown = capsys.readouterr()
    assert told in shown.err
    assert json.loads(shown.out)["decoding"]["tracks"] == {"selective": 1}


def test_the_help_does_not_wait_for_the_models(tmp_path: Path) -> None:
    code = (
        "import sys, contextlib\nfrom batch_scan.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = {'onnxruntime', 'faster_whisper', 'pandas', 'sklearn', 'av'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_run_began_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.mp3").write_bytes(b"x")
    before = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    main(["here", "--endpoint", "local", "--workers", "1", "--report", "out", "--limit", "0"])
    assert json.loads(capsys.readouterr().out)["run_id"] >= before
