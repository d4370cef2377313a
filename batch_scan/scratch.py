"""One temporary directory per state directory, so that what a killed run leaves is removed by the next one."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def scratch_of(state_dir: Path) -> Iterator[None]:
    """Have everything temporary of this process below one private directory of `TMPDIR`, gone on leaving.

    Its name comes from the state directory, which the caller holds: whatever lies there, nobody uses any more. Where
    somebody else has taken that name (the names in /tmp are anybody's), temporary files go where they always do.
    """
    before = tempfile.tempdir
    identity = state_dir.stat()
    own = Path(tempfile.gettempdir()) / f"batch-scan-{os.geteuid()}-{identity.st_dev:x}-{identity.st_ino:x}"
    if not _make_anew(own):
        yield
        return
    tempfile.tempdir = str(own)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(own, ignore_errors=True)


def _make_anew(own: Path) -> bool:
    try:
        found = own.lstat()
    except OSError:
        pass
    else:
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        shutil.rmtree(own, ignore_errors=True)
    try:
        own.mkdir(mode=0o700)
    except OSError:
        return False
    return True
