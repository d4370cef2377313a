from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_CHILD = "tests.endpoint.local.offline"
_NAMESPACE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT)}
    return subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def _assert_judged(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert {label for _, label, _ in scores} > {"porn", "nsfw", "gore", "assault rifle + revolver + rifle"}
    assert max(score for category, _, score in scores if category == "profanity") > 0.8


def test_the_engine_judges_with_every_way_to_a_network_barred() -> None:
    _assert_judged(_run(sys.executable, "-m", _CHILD))


def test_the_engine_judges_in_a_network_namespace_of_its_own() -> None:
    permitted = shutil.which("unshare") is not None and _run(*_NAMESPACE, "true").returncode == 0
    if not permitted and os.environ.get("CI") != "true":
        pytest.skip(f"`{' '.join(_NAMESPACE)}` is not permitted here")
    _assert_judged(_run(*_NAMESPACE, sys.executable, "-m", _CHILD, "--alone"))
