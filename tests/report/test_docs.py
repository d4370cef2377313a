from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from batch_scan.report.docs import main, page
from batch_scan.report.schema import TABLES
from batch_scan.report.writer import ReportWriter
from tests.report import made

PAGE = Path(__file__).parents[2] / "docs" / "report.md"
BLOCK = re.compile(r"^```(python|sql)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a report in `reports`, as the examples expect it."""
    writer = ReportWriter(tmp_path / "reports", made.run())
    for index in range(4):
        writer.add(made.full(index))
        writer.add(made.plain(index + 10))
    writer.finish(made.run(ended=True))
    monkeypatch.chdir(tmp_path)


def test_the_page_is_what_the_schema_says() -> None:
    command = [sys.executable, "-m", "batch_scan.report.docs", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PAGE.parents[1])
    assert (done.returncode, done.stderr) == (0, "")


def test_every_column_stands_in_the_page_with_its_description() -> None:
    for spec in TABLES.values():
        for column in spec.columns:
            assert re.search(rf"^\| `{column.name}` \| .+ \| {re.escape(column.description)} \|$", page(), re.MULTILINE)


@pytest.mark.usefixtures("archive")
def test_the_examples_in_python_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [code for language, code in BLOCK.findall(page()) if language == "python"]
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for code in blocks:
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert names["unproven"].reason.tolist() == ["damaged"] * 4
    assert names["worst"].category.tolist() == ["weapon"] * 4 + ["profanity"] * 4
    assert len(names["every_run"]) == len(names["one_run"]) == 8
    assert "show 1" in capsys.readouterr().out


@pytest.mark.usefixtures("archive")
def test_the_examples_in_sql_run_and_find_what_is_there() -> None:
    blocks = [code for language, code in BLOCK.findall(page()) if language == "sql"]
    assert len(blocks) == 5
    answers = [duckdb.execute(code).fetchall() for code in blocks]
    assert answers[0] == [("keep", "complete", 4, 0), ("remove", "partial", 4, 28)]
    assert answers[1][0][:2] == ("damaged", 4)
    assert len(answers[2]) == 4
    assert answers[2][0][3:] == ("weapon", 0.91, "remove")
    assert answers[3] == [], "no two endpoints judged the same moment"
    assert answers[4] == [("2026-11", "safecomms", 4, 28, pytest.approx(0.28))]


def test_the_command_writes_the_page_and_checks_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "report.md"
    assert main(["--check", str(copy)]) == 1
    assert "differs from the schema" in capsys.readouterr().err
    assert main([str(copy)]) == 0
    assert main(["--check", str(copy)]) == 0
    copy.write_text(copy.read_text(encoding="utf-8") + "an edit\n", encoding="utf-8")
    assert main(["--check", str(copy)]) == 1
