from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from batch_scan.errors import MediaError
from batch_scan.media.runner import ChildLimits, start_child
from batch_scan.vocabulary import Reason

LIMITS = ChildLimits(memory_bytes=4 << 30, cpu_s=30, file_bytes=1 << 20, wall_s=30)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def limits(
    *, memory_bytes: int = 4 << 30, cpu_s: float = 30, file_bytes: int = 1 << 20, wall_s: float = 30
) -> ChildLimits:
    return ChildLimits(memory_bytes, cpu_s, file_bytes, wall_s)


async def is_gone(pid: int) -> bool:
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_output_is_read_and_the_end_is_clean() -> None:
    async with start_child(python("print('x' * 300_000)"), LIMITS) as child:
        data = b""
        while block := await child.read(1 << 16):
            data += block
        end = await child.wait()
    assert data == b"x" * 300_000 + b"\n"
    assert (end.returncode, end.reason, end.untrusted_stderr) == (0, None, "")


async def test_a_status_other_than_zero_is_told_without_a_reason_of_ours() -> None:
    async with start_child(python("raise SystemExit(3)"), LIMITS) as child:
        assert await child.read(1) == b""
        end = await child.wait()
    assert (end.returncode, end.reason) == (3, None)


async def test_input_is_written_and_closed() -> None:
    async with start_child(python("import sys; print(len(sys.stdin.read()))"), LIMITS, stdin=True) as child:
        await child.write(b"x" * 500_000)
        await child.close_stdin()
        assert await child.read_exactly(7) == b"500000\n"


async def test_writing_to_a_child_that_has_ended_is_no_error() -> None:
    async with start_child(python("import os; os.close(0); print('closed', flush=True)"), LIMITS, stdin=True) as child:
        assert await child.read_exactly(6) == b"closed"
        assert (await child.wait()).returncode == 0
        for _ in range(3):
            await child.write(b"x" * 100_000)


async def test_environment_is_empty_but_for_the_private_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "hush")
    async with start_child(python("import os; print(sorted(os.environ), os.environ['TMPDIR'])"), LIMITS) as child:
        told = (await child.read(10_000)).decode()
        assert told == f"['LC_ALL', 'PWD', 'TMPDIR'] {child.tmp}\n"


async def test_private_directory_is_ours_alone_and_removed_on_every_way_out() -> None:
    code = "import os; os.mkdir('sub'); open('sub/file', 'w').write('x'); print(oct(os.stat('sub/file').st_mode))"
    with contextlib.suppress(RuntimeError):
        async with start_child(python(code), LIMITS) as child:
            assert stat.S_IMODE(child.tmp.stat().st_mode) == 0o700
            assert (await child.read(100)).strip() == b"0o100600"
            raise RuntimeError
    assert not child.tmp.exists()


async def test_child_has_a_session_and_group_of_its_own() -> None:
    async with start_child(python("import os; print(os.getsid(0), os.getpgid(0))"), LIMITS) as child:
        assert (await child.read(100)).split() == [str(child.pid).encode()] * 2
    assert os.getsid(0) != child.pid


async def test_standard_error_is_drained_bounded_and_stripped() -> None:
    code = "import sys\nfor n in range(200_000): print('\\x1b[31mline', n, file=sys.stderr)\nprint('done')"
    lines: list[str] = []
    async with start_child(python(code), LIMITS, on_stderr_line=lines.append) as child:
        assert (await child.read(100)).strip() == b"done"
        end = await child.wait()
    assert len(lines) == 200_000
    assert lines[-1].endswith("[31mline 199999")
    assert len(end.untrusted_stderr) <= 4000
    assert end.untrusted_stderr.endswith("line 199999")
    assert end.untrusted_stderr.isprintable()


async def test_a_line_without_end_takes_no_more_memory_than_a_line() -> None:
    code = "import sys\nfor _ in range(200): sys.stderr.write('x' * 100_000)"
    lines: list[str] = []
    async with start_child(python(code), LIMITS, on_stderr_line=lines.append) as child:
        assert await child.read(1) == b""
        await child.wait()
    assert len(lines) == 1
    assert len(lines[0]) <= 2000


async def test_cpu_limit_is_told_as_a_limit() -> None:
    async with start_child(python("while True: pass"), limits(cpu_s=1)) as child:
        assert await child.read(1) == b""
        end = await child.wait()
    assert end.reason is Reason.DECODER_LIMIT


async def test_address_space_is_limited_before_the_program_starts() -> None:
    code = (
        "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    async with start_child(python(code), limits(memory_bytes=1 << 30)) as child:
        assert (await child.read(100)).split() == [str(1 << 30).encode(), b"0"]


async def test_file_size_limit_is_told_as_a_limit() -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('big', 'wb').write(bytes(1 << 22))"
    async with start_child(python(code), limits(file_bytes=1 << 16)) as child:
        assert await child.read(1) == b""
        assert (await child.wait()).reason is Reason.DECODER_LIMIT


async def test_crash_is_told_as_a_crash() -> None:
    async with start_child(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), LIMITS) as child:
        assert await child.read(1) == b""
        end = await child.wait()
    assert (end.returncode, end.reason) == (-signal.SIGSEGV, Reason.DECODER_CRASHED)


async def test_a_child_that_keeps_us_waiting_is_stopped() -> None:
    async with start_child(python("import time; time.sleep(600)"), limits(wall_s=0.3)) as child:
        with pytest.raises(MediaError) as failure:
            await child.read(1)
        end = await child.wait()
    assert failure.value.reason is Reason.DECODER_TIMEOUT
    assert end.reason is Reason.DECODER_TIMEOUT


async def test_time_that_the_child_waits_for_us_does_not_count() -> None:
    code = "import sys\nfor _ in range(3): sys.stdout.write('x' * 1_000_000)\nsys.stdout.flush()"
    async with start_child(python(code), limits(wall_s=5)) as child:
        assert await child.read(1) == b"x"
        child.restart_clock(0.5)
        await asyncio.sleep(0.7)  # the passing of time is what is tested
        rest = await child.read_exactly(2_999_999)
    assert len(rest) == 2_999_999


async def test_a_child_that_ignores_term_is_killed() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    async with start_child(python(code), LIMITS) as child:
        assert (await child.read(10)).strip() == b"deaf"
    assert await is_gone(child.pid)


async def test_the_whole_group_is_ended() -> None:
    code = "import os, time\npid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(600)"
    async with start_child(python(code), LIMITS) as child:
        grandchild = int(await child.read(20))
    assert await is_gone(child.pid)
    assert await is_gone(grandchild)


async def test_cancellation_ends_the_child_and_removes_its_directory() -> None:
    started: asyncio.Future[tuple[int, Path]] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with start_child(python("import time; time.sleep(600)"), LIMITS) as child:
            started.set_result((child.pid, child.tmp))
            await child.read(1)

    task = asyncio.create_task(work())
    pid, tmp = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_gone(pid)
    assert not tmp.exists()


async def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/owned); `touch {tmp_path}/owned` ' \" * \n -x"
    async with start_child([*python("import sys; print(ascii(sys.argv[1]))"), hostile], LIMITS) as child:
        assert (await child.read(1000)).decode().strip() == ascii(hostile)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing here is worth a thread
