from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

LOGS_AN_ERROR = """
import logging

def test_it_logs_an_error(expected_errors):
    {expect}
    logging.getLogger("somewhere").error("the disk is full")
"""


def run_pytest(directory: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run one test file under this suite's conftest, in a process of its own."""
    file = directory / "test_it.py"
    file.write_text(source)
    (directory / "conftest.py").write_text(
        "from tests.conftest import *\nfrom tests.conftest import _no_unexpected_errors\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(directory), str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_an_error_in_the_log_that_nobody_expected_fails_the_test(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LOGS_AN_ERROR.format(expect="pass"))
    assert done.returncode == 1
    assert "logged and not expected: ['the disk is full']" in done.stdout


def test_an_error_in_the_log_that_was_expected_passes(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LOGS_AN_ERROR.format(expect='expected_errors.append("disk is .*")'))
    assert done.returncode == 0, done.stdout


def test_an_expected_error_is_let_pass_here_too(expected_errors: list[str]) -> None:
    expected_errors.append("^on purpose$")
    logging.getLogger("tests").error("on purpose")


def test_no_key_and_no_proxy_of_this_machine_is_seen() -> None:
    names = {name.lower() for name in os.environ}
    assert not names & {"http_proxy", "https_proxy", "all_proxy", "ssl_cert_file", "safecomms_api_key"}
