from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batch_scan.errors import LockedError, UsageError
from batch_scan.lock import (
    ALLOW_NETWORK_VARIABLE,
    DirectoryLock,
    filesystem_type,
    is_network,
    make_directory,
    refuse_network_filesystem,
)

MOUNTS = r"""
/dev/vda / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /archive nfs4 rw 0 0
/dev/vdb /archive/local xfs rw 0 0
//server/share /mnt/with\040space cifs rw 0 0
broken
user@host: /home/me/remote fuse.sshfs rw 0 0
"""

HOLDER = """
import asyncio, sys
from pathlib import Path
from batch_scan.lock import DirectoryLock

async def main():
    async with DirectoryLock(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""

# Forks while it holds the lock, dies, and leaves the child behind.
FORKING_HOLDER = """
import asyncio, os, sys, time
from pathlib import Path
from batch_scan.lock import DirectoryLock

async def main():
    async with DirectoryLock(Path(sys.argv[1])):
        ready, told = os.pipe()
        if os.fork() == 0:
            os.write(told, b"x")
            sys.stdin.readline()
            os._exit(0)
        os.read(ready, 1)
        print("held", flush=True)
        time.sleep(600)

asyncio.run(main())
"""


def start_holder(directory: Path, script: str = HOLDER) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=30)


async def test_a_second_process_is_told_who_holds_the_directory_and_what_to_do(tmp_path: Path) -> None:
    child = start_holder(tmp_path)
    try:
        with pytest.raises(LockedError) as caught:
            async with DirectoryLock(tmp_path):
                pass
    finally:
        end(child)
    assert f"process {child.pid} on " in str(caught.value)
    assert "since 2" in str(caught.value)
    assert "a state directory of its own" in str(caught.value)


async def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    end(start_holder(tmp_path))
    async with DirectoryLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / "lock").read_text()


async def test_the_lock_dies_with_its_holder_even_where_a_forked_child_lives_on(tmp_path: Path) -> None:
    child = start_holder(tmp_path, FORKING_HOLDER)
    child.kill()
    child.wait(timeout=30)
    try:
        async with DirectoryLock(tmp_path):
            pass
    finally:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        child.stdout.close()


async def test_it_waits_for_another_holder_when_asked_to(tmp_path: Path) -> None:
    child = start_holder(tmp_path)

    async def wait_for_it() -> None:
        async with DirectoryLock(tmp_path, wait_s=60.0):
            assert child.poll() == 0

    waiting = asyncio.create_task(wait_for_it())
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(child.communicate, "go\n")
    await waiting


async def test_it_gives_up_waiting(tmp_path: Path) -> None:
    async with DirectoryLock(tmp_path):
        before_s = time.monotonic()
        with pytest.raises(LockedError):
            async with DirectoryLock(tmp_path, wait_s=0.05):
                pass
        assert time.monotonic() - before_s >= 0.05


async def test_a_cancelled_wait_leaves_the_lock_to_others(tmp_path: Path) -> None:
    async with DirectoryLock(tmp_path):
        waiting = asyncio.create_task(DirectoryLock(tmp_path, wait_s=60.0).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with DirectoryLock(tmp_path):
        pass


async def test_a_lock_file_that_cannot_be_made_is_a_usage_error_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(UsageError, match=f"{tmp_path} cannot be used: Is a directory"):
        async with DirectoryLock(tmp_path):
            pass


async def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(UsageError):
        async with DirectoryLock(tmp_path):
            pass
    assert victim.read_text() == "precious"


def test_the_state_directory_is_its_owners_alone(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "state")
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_a_usage_error_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file/state cannot be used: Not a directory; name a directory"):
        make_directory(tmp_path / "file" / "state")


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/home/me", "ext4"),
        ("/tmp/x", "tmpfs"),  # noqa: S108 - a name in a table of mounts
        ("/tmpfiles", "ext4"),  # noqa: S108 - likewise
        ("/archive", "nfs4"),
        ("/archive/state", "nfs4"),
        ("/archive/local/state", "xfs"),
        ("/mnt/with space/state", "cifs"),
        ("/home/me/remote/state", "fuse.sshfs"),
    ],
)
def test_the_mount_that_holds_a_path_is_the_closest_one(path: str, filesystem: str) -> None:
    assert filesystem_type(path, MOUNTS) == filesystem


def test_the_later_of_two_mounts_on_one_point_hides_the_earlier() -> None:
    assert filesystem_type("/a/b", "x /a ext4 rw\ny /a nfs rw\n") == "nfs"


def test_without_a_table_of_mounts_the_type_is_unknown_and_not_refused(tmp_path: Path) -> None:
    assert filesystem_type("/a", "") == ""
    refuse_network_filesystem(tmp_path, "")


@pytest.mark.parametrize("filesystem", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.s3fs", "fuse"])
def test_filesystems_of_other_machines_are_known(filesystem: str) -> None:
    assert is_network(filesystem)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", ""])
def test_local_filesystems_are_known(filesystem: str) -> None:
    assert not is_network(filesystem)


def test_a_network_filesystem_is_refused_with_advice_unless_the_user_takes_the_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = f"server:/export {tmp_path.resolve()} nfs rw 0 0\n"
    with pytest.raises(UsageError, match=r"network filesystem \(nfs\).*BATCH_SCAN_ALLOW_NETWORK_STATE=1"):
        refuse_network_filesystem(tmp_path, mounts)
    monkeypatch.setenv(ALLOW_NETWORK_VARIABLE, "1")
    refuse_network_filesystem(tmp_path, mounts)
