"""Runs the real command line as a child process, and reads what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow.parquet as pq

from batch_scan.sandbox.safecomms.server import DEFAULT_KEY

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from batch_scan.cli import entry_point; entry_point()")
TIMEOUT_S = 120.0
_POLL_S = 0.01

BY_RUN = {"run_id", "request_id", "started_at", "finished_at", "sent_at", "answered_at", "latency_ms"}
"""Columns that differ between two runs by their nature: names of the run and times."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    peak_kib: int = 0
    """Largest resident size of the process itself, as the kernel counted it; children are not in it."""
    cpu_s: float = 0.0
    """User and system time, children that were waited for included."""

    @property
    def said(self) -> dict[str, Any]:
        """The last line of standard output."""
        said: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return said

    @property
    def run_id(self) -> str:
        return str(self.said["run_id"])


@dataclass(slots=True)
class Running:
    """A command that is running; its output goes to files, so that no pipe can hold it up."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def open_files(self) -> set[str]:
        """Return the names of the files that the process itself has open."""
        descriptors = Path(f"/proc/{self.process.pid}/fd")
        try:
            return {path.readlink().name for path in descriptors.iterdir()}
        except OSError:  # it has just closed one, or ended
            return set()

    def wait(self, timeout_s: float = TIMEOUT_S) -> Ended:
        """Wait for its end. A command that does not end is killed, and the test fails."""
        give_up_at_s = time.monotonic() + timeout_s
        peak_kib = 0
        while True:
            peak_kib = max(peak_kib, _peak_kib(self.process.pid))
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > give_up_at_s:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"it did not end within {timeout_s:.0f} s: {self.stderr.read_text()[-4000:]}")
            time.sleep(_POLL_S)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(
            self.process.returncode,
            self.stdout.read_text(),
            self.stderr.read_text(),
            peak_kib,
            usage.ru_utime + usage.ru_stime,
        )


@dataclass(slots=True)
class Place:
    """One working directory with a job file, a report and a ledger in it, and a temporary directory of its own."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    key: str | None = DEFAULT_KEY
    _started: int = 0

    def __post_init__(self) -> None:
        self.tmp.mkdir(parents=True, exist_ok=True)

    @property
    def job(self) -> Path:
        return self.directory / "job.toml"

    @property
    def report(self) -> Path:
        return self.directory / "reports"

    @property
    def state(self) -> Path:
        return self.report / ".state"

    @property
    def tmp(self) -> Path:
        """What the command sees as TMPDIR."""
        return self.directory / "tmp"

    def write_job(self, text: str) -> None:
        self.job.write_text(text, encoding="utf-8")

    def start(self, *arguments: str | Path, program: tuple[str, ...] = COMMAND) -> Running:
        """Start the command; with no arguments, on the job file."""
        self._started += 1
        names = [self.directory / f"out-{self._started}.{kind}" for kind in ("stdout", "stderr")]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.tmp),
            "LANG": "C.UTF-8",
            **({"SAFECOMMS_API_KEY": self.key} if self.key is not None else {}),
            **self.environment,
        }
        with names[0].open("wb") as out, names[1].open("wb") as err:
            process = _popen([*program, *map(str, arguments or (self.job,))], out, err, environment, self.directory)
        return Running(process, *names)

    def run(self, *arguments: str | Path, timeout_s: float = TIMEOUT_S) -> Ended:
        """Run the command to its end."""
        return self.start(*arguments).wait(timeout_s)

    def rows(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of one table of one run, as any reader of Parquet sees them."""
        parts = sorted((self.report / table / f"run_id={run_id}").glob("part-*.parquet"))
        return [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]

    def files(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the rows of `files` by the name of the file; of rows with one name the first."""
        by_name: dict[str, dict[str, Any]] = {}
        for row in sorted(self.rows("files", run_id), key=lambda row: row["item"]):
            by_name.setdefault(row["uri"].rpartition("/")[2], row)
        return by_name

    def left_behind(self) -> list[str]:
        """Return what lies in the temporary directory."""
        return sorted(path.name for path in self.tmp.iterdir())

    @staticmethod
    def wait_until(true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait for something that shows in the file system or in /proc, which tell nobody."""
        give_up_at_s = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < give_up_at_s, "what was waited for did not happen"
            time.sleep(_POLL_S)

    def children(self) -> list[int]:
        """Return the processes that still run with this place's temporary directory or below it."""
        return [pid for pid in _processes() if str(self.tmp) in _environment(pid)]

    def published(self) -> Iterator[Path]:
        """Every file of the report and the ledger."""
        yield from (path for path in sorted(self.report.rglob("*")) if path.is_file())


def _popen(
    command: list[str], out: IO[bytes], err: IO[bytes], environment: dict[str, str], directory: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, cwd=directory, close_fds=True
    )


def job_text(source: Path | str, url: str, extra: str = "", limit: str = "", endpoint: str = "") -> str:
    """Return a job over `source` against the server at `url`; `extra` are further tables."""
    return f"""
name = "test"
[source]
uri = "{source}"
exclude = ["hidden"]
[extract]
frame_interval = 1.0
[run]
workers = 2
[endpoints.safecomms]
base_url = "{url}"
{endpoint}
[endpoints.safecomms.limit]
requests_per_minute = 0
{limit}
{extra}
"""


def comparable(rows: Iterable[dict[str, Any]], *without: str) -> list[dict[str, Any]]:
    """Return rows without what differs between runs by its nature, in an order that does not depend on time."""
    left_out = BY_RUN | set(without)
    kept = [{name: value for name, value in row.items() if name not in left_out} for row in rows]
    return sorted(kept, key=lambda row: json.dumps(row, default=str, sort_keys=True))


def _peak_kib(pid: int) -> int:
    """Return VmHWM; what `wait4` tells (`ru_maxrss`) would count our own size before the command was executed."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all that is wanted


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
