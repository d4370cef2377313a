"""`batch-scan sandbox` as its user meets it: a process of its own, beside the scan that asks it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from batch_scan.errors import UsageError
from batch_scan.sandbox.command import add_sandbox, run_sandbox
from batch_scan.totals import Exit
from tests.scan.harness import COMMAND, ROOT, Place

_MEDIA = ROOT / "sample_media"
_SANDBOX = (*COMMAND, "sandbox")


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_sandbox(parser)
    return run_sandbox(parser.parse_args(arguments))


def test_a_job_is_tried_against_real_judgement_and_what_it_cost_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("spoken_insult.m4a", "drawn_revolver.mp4", "debian.ogg"):
        shutil.copy(_MEDIA / name, archive)
    place = Place(tmp_path, key=None)
    sandbox = place.start(archive, "--out", tmp_path, "--only", "safecomms", program=_SANDBOX)
    try:
        place.wait_until(lambda: place.job.exists() or sandbox.process.poll() is not None)
        ended = place.run(place.job)
    finally:
        sandbox.signal(signal.SIGTERM)
        account = sandbox.wait()
    assert ended.code == 1, ended.stderr
    files = place.files(ended.run_id)
    assert {name: row["verdict"] for name, row in files.items()} == {
        "spoken_insult.m4a": "remove",
        "drawn_revolver.mp4": "flag",
        "debian.ogg": "keep",
    }
    assert {row["status"] for row in files.values()} == {"complete"}
    found = {(row["medium"], row["category"]) for row in place.rows("findings", ended.run_id)}
    assert found == {("audio", "harassment"), ("frame", "violence")}
    charged = ended.said["tokens_charged"]
    assert charged == sum(row["tokens_charged"] for row in place.rows("requests", ended.run_id)) > 0
    requests = len(place.rows("requests", ended.run_id))
    assert account.stdout.splitlines()[-1] == f"safecomms: {charged} tokens charged for {requests} requests"
    assert (account.code, account.stderr) == (0, "")


def test_ctrl_c_ends_it_well(tmp_path: Path) -> None:
    place = Place(tmp_path, key=None)
    sandbox = place.start("--out", tmp_path, "--only", "safecomms", program=_SANDBOX)
    place.wait_until(lambda: "Ctrl-C" in sandbox.stdout.read_text() or sandbox.process.poll() is not None)
    sandbox.signal(signal.SIGINT)
    account = sandbox.wait()
    assert (account.code, account.stderr) == (0, "")
    assert account.stdout.splitlines()[-1] == "safecomms: 0 tokens charged for 0 requests"
    assert place.left_behind() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("job.toml",), "writes the job file itself"),
        (("--port", "65535"), "--port: 65535 is no port"),
        (("--port", "-1"), "--port: -1 is no port"),
        (("--rate", "0"), "--rate: 0 is not above 0"),
        (("--tokens", "-5"), "--tokens: -5 is not above 0"),
        (("--faults", "safecomms:sing"), "does not know how to 'sing'"),
    ],
)
def test_what_makes_no_sense_is_an_error_of_use(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _run(*arguments)


def test_an_unknown_server_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(argparse.ArgumentError, match="'safecomms', 'stream', 'deepgram', 'visionular', 'deepcleer'"):
        _run("--only", "nobody")


@pytest.mark.parametrize("missing", [("starlette", "uvicorn"), ("python_multipart",), ("tomli_w",), ("onnxruntime",)])
def test_a_missing_extra_is_an_error_of_use_that_says_how_to_install_it(
    tmp_path: Path, missing: tuple[str, ...]
) -> None:
    for path in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        for entry in Path(path).iterdir():
            if entry.name not in missing and not (tmp_path / entry.name).exists():
                (tmp_path / entry.name).symlink_to(entry)
    done = subprocess.run(
        [sys.executable, "-S", *_SANDBOX[1:]],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.USAGE
    mend = "pip install 'batch-scan[sandbox]'"
    assert done.stderr == f"batch-scan: error: the sandbox lacks {', '.join(missing)}; {mend}\n"
