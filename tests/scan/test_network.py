from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.scan.harness import COMMAND, ROOT

if TYPE_CHECKING:
    from tests.scan.harness import Place


def _namespace() -> list[str]:
    """Return the words that run a command where there is no network at all."""
    unshare = shutil.which("unshare")
    for options in (["-n"], ["-rn"]):
        words = [unshare or "unshare", *options]
        if unshare and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    if os.environ.get("CI") == "true":
        pytest.fail("CI must be able to make a network namespace")
    pytest.skip("no network namespace can be made here")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_embedded_engine_scans_the_sample_without_a_network(place: Place) -> None:
    place.key = None
    words = _namespace()
    sample = ROOT / "sample_media/manifest.csv"
    ended = place.start(sample, "--report", place.report, program=(*words, *COMMAND)).wait(timeout_s=500)
    assert ended.code == 1, ended.stderr
    said = ended.said
    assert (said["items"], said["complete"], said["unknown"]) == (12, 12, 0)
    assert said["remove"] + said["flag"] >= 2
    again = place.start(sample, "--report", place.report, program=(*words, *COMMAND)).wait(timeout_s=500)
    assert again.code == 1, again.stderr
    assert again.said["requests"] == 0
    assert [row["verdict"] for row in sorted(place.rows("files", again.run_id), key=lambda row: row["item"])] == [
        row["verdict"] for row in sorted(place.rows("files", ended.run_id), key=lambda row: row["item"])
    ]
