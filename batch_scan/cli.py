"""The command line: flags and job file in; progress, summary and exit code out."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NoReturn

from batch_scan import __version__
from batch_scan.allocators import share_heaps
from batch_scan.errors import BatchScanError, LockedError, UsageError
from batch_scan.job import FailOn, LogFormat
from batch_scan.jobfile import load_job
from batch_scan.lazy_pandas import keep_pandas_out
from batch_scan.logs import set_up_logs
from batch_scan.model import RunTotals
from batch_scan.stopping import run_until_signal
from batch_scan.totals import Exit
from batch_scan.untrusted import show_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_scan.engine.outcome import RunOutcome
    from batch_scan.jobfile import LoadedJob
    from batch_scan.progress import Progress

_log = logging.getLogger(__name__)

_FLAGS = {
    "endpoint": ("endpoints",),
    "interval": ("extract", "frame_interval"),
    "report": ("report", "uri"),
    "max_tokens": ("budget", "tokens"),
    "max_time": ("run", "max_time"),
    "workers": ("run", "workers"),
    "limit": ("run", "limit"),
    "fail_on": ("run", "fail_on"),
    "log_format": ("run", "log_format"),
    "state": ("state", "dir"),
}
_told: list[bool] = []
"""Whether this command has written its result line."""
_begun: list[tuple[Progress, str]] = []
"""How far the scan of this command has come, and where its report lies: for the result line of one that breaks off."""
_COMMANDS = ("plan", "report", "doctor", "policy", "review", "sandbox")
_EPILOG = """commands:
  batch-scan SOURCE          scan; SOURCE is a manifest (.csv, .jsonl, .parquet), a directory,
                             a bucket (s3://, gs://, az://) or a job file (.toml)
  batch-scan plan SOURCE     price a scan, send nothing
  batch-scan report RUN      the summary of a run again; RUN is a report directory, or REPORT/RUN_ID
  batch-scan policy          push the policy of a job to Stream, or show the one that stands there
  batch-scan review JOB      what waits for a moderator at Stream; acts on it only where told to
  batch-scan sandbox         serve the vendors' contracts on this machine, to try a job without paying
  batch-scan doctor          versions, codecs, keys present, endpoints reachable, quota left

exit codes:
  0 complete, nothing found     1 complete, something found      2 usage or configuration, nothing scanned
  3 incomplete                  4 stopped by the budget          5 stopped by the time limit
  6 an endpoint refused         7 internal error, full disk      130/143 interrupted/terminated, state saved
"""


def entry_point() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Writes nothing but the result to standard output."""
    command = argv[0] if argv and argv[0] in _COMMANDS else "scan"
    _told.clear()
    _begun.clear()
    set_up_logs(LogFormat.TEXT)
    try:
        arguments = _parser(command).parse_args(argv[1:] if command != "scan" else argv)
    except SystemExit as end:  # argparse has said what is wrong, or shown its help
        if end.code and command == "scan":
            _tell_failure(Exit.USAGE)
        raise
    set_up_logs(LogFormat(arguments.log_format or LogFormat.TEXT))
    code = _run(command, arguments)
    if command == "scan" and not _told:
        _tell_failure(code)
    return code


def _run(command: str, arguments: argparse.Namespace) -> int:
    try:
        run = _RUN.get(command) or resolve_name(_ELSEWHERE[command].format("run"))
        return int(run(arguments))
    except (UsageError, LockedError) as error:
        for line in str(error).splitlines():
            _log.error("%s", line)
        return Exit.USAGE
    except BatchScanError as error:
        _log.error("%s", error)
        return Exit.INTERNAL
    except BrokenPipeError:
        return Exit.INTERNAL
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception:  # noqa: BLE001 - the last resort: whatever it is, it is logged and has its exit code
        _log.exception("internal error in batch-scan %s; please report it with this trace", __version__)
        return Exit.INTERNAL


# ------------------------------------------------------------------------------------------------------------ commands


def _scan(arguments: argparse.Namespace) -> int:
    share_heaps()
    keep_pandas_out()
    from batch_scan.engine.one_machine import run_scan  # noqa: PLC0415 - `--help` need not wait for it
    from batch_scan.progress import Progress  # noqa: PLC0415

    loaded = _load(arguments)
    job = loaded.job
    set_up_logs(job.run.log_format)
    _log.info("endpoints: %s (%s)", ", ".join(job.endpoints), loaded.endpoints_because)
    progress = Progress(enabled=job.run.progress and not arguments.no_progress)
    place = show_path(job.report.uri)
    _begun.append((progress, place))
    outcome, caught = run_until_signal(
        lambda stop: run_scan(job, progress, stop), lambda: progress.run is not None, _leave
    )
    if outcome is None:
        return caught
    unfinished = outcome.run.finished_at is None
    code = caught if caught and unfinished else outcome.exit
    _tell(outcome, place, code)
    return code


def _plan(arguments: argparse.Namespace) -> int:
    share_heaps()
    keep_pandas_out()
    from batch_scan.plan import plan_scan  # noqa: PLC0415
    from batch_scan.plan_text import plan_dict, plan_text  # noqa: PLC0415
    from batch_scan.progress import Progress  # noqa: PLC0415

    loaded = _load(arguments)
    _log.info("endpoints: %s (%s)", ", ".join(loaded.job.endpoints), loaded.endpoints_because)
    progress = Progress(enabled=loaded.job.run.progress and not arguments.no_progress)
    outcome = asyncio.run(plan_scan(loaded.job, progress, _log.info if arguments.verbose else None))
    progress.finished()
    sys.stderr.write(plan_text(outcome))
    _print_json(plan_dict(outcome))
    return Exit.CLEAN


def _report(arguments: argparse.Namespace) -> int:
    from batch_scan.report.figures import summarise  # noqa: PLC0415
    from batch_scan.report.reader import open_report  # noqa: PLC0415
    from batch_scan.report.summary import summary_text  # noqa: PLC0415

    sys.stdout.write(summary_text(summarise(open_report(arguments.run))))
    return Exit.CLEAN


def _doctor(arguments: argparse.Namespace) -> int:
    from batch_scan.doctor import examine_place  # noqa: PLC0415

    loaded = load_job(
        str(Path.cwd()) if arguments.source is None else arguments.source, arguments.job, _flags(arguments)
    )
    checks = asyncio.run(examine_place(loaded.job, probe=arguments.probe))
    for check in checks:
        sys.stdout.write(f"{check.mark} {check.what}: {check.found}\n")
    return Exit.CLEAN if all(check.good for check in checks) else Exit.USAGE


_RUN = {"scan": _scan, "plan": _plan, "report": _report, "doctor": _doctor}
_ELSEWHERE = {
    "policy": "batch_scan.endpoint.stream.command:{}_policy",
    "review": "batch_scan.endpoint.stream.command:{}_review",
    "sandbox": "batch_scan.sandbox.command:{}_sandbox",
}
"""Commands that have a room of their own: where their ``add_…`` (arguments) and ``run_…`` stand."""


# ----------------------------------------------------------------------------------------------------------- arguments


def _parser(command: str) -> argparse.ArgumentParser:
    name = "batch-scan" if command == "scan" else f"batch-scan {command}"
    parser = argparse.ArgumentParser(
        prog=name,
        description="Scan archives of audio and video with moderation endpoints; one verdict per file, in Parquet.",
        epilog=_EPILOG if command == "scan" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"batch-scan {__version__}")
    parser.add_argument("--log-format", choices=list(LogFormat), help="messages on standard error (default: text)")
    if command == "report":
        parser.add_argument("run", metavar="RUN", help="a report (its newest run), or REPORT/RUN_ID")
        return parser
    if command in _ELSEWHERE:
        resolve_name(_ELSEWHERE[command].format("add"))(parser)
        return parser
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a manifest, a directory, a bucket or a job file")
    parser.add_argument("--job", type=Path, metavar="FILE", help="job file (TOML)")
    parser.add_argument("--endpoint", action="append", metavar="NAME", help="ask this endpoint (repeatable)")
    parser.add_argument(
        "--state",
        metavar="DIR",
        help="directory of the ledger (default: .state in a local report)",
    )
    parser.add_argument("--report", metavar="DIR", help="directory or bucket of the report (default: reports)")
    if command == "doctor":
        parser.add_argument("--probe", action="store_true", help="send one harmless sample of each kind; costs tokens")
        return parser
    if command == "plan":
        parser.add_argument("--verbose", action="store_true", help="say of every film how its pictures are taken out")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="seconds between frames (default: 5)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="budget of this run, in tokens")
    parser.add_argument("--max-time", metavar="DURATION", help="ask nothing new after this long, such as 6h or 90m")
    parser.add_argument("--workers", type=int, metavar="N", help="decoder processes (default: one per core)")
    parser.add_argument("--limit", type=int, metavar="N", help="scan the first N items only")
    parser.add_argument("--fail-on", choices=list(FailOn), help="from which verdict on to exit with 1 (default: flag)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar, not even on a terminal")
    return parser


def _flags(arguments: argparse.Namespace) -> dict[tuple[str, ...], Any]:
    given = {place: getattr(arguments, flag, None) for flag, place in _FLAGS.items()}
    return {place: value for place, value in given.items() if value is not None}


def _load(arguments: argparse.Namespace) -> LoadedJob:
    source = arguments.source
    if source is None and arguments.job is None:
        raise UsageError("nothing to scan: name a manifest, a directory or a job file (see batch-scan --help)")
    return load_job(source, arguments.job, _flags(arguments))


# -------------------------------------------------------------------------------------------------------------- output


def _tell(outcome: RunOutcome, place: str, code: int) -> None:
    for remark in outcome.remarks:
        _log.info("%s", remark)
    if not outcome.is_reported:
        _tell_failure(code)
        return
    _log.info("%s", _summary_line(outcome))
    _log.info("report: %s (batch-scan report %s)", place, place)
    _print_json(_result(outcome.run.totals, run_id=outcome.run.run_id, report=place, code=code))


def _leave(code: int) -> NoReturn:
    """End the process as it is, as a kill would: what has to last is on the disk."""
    if not _told:
        _tell_failure(code)
    os._exit(code)


def _tell_failure(code: int) -> None:
    """Write the result line of a command that comes to no end: with its run, once that has its place in a report."""
    for progress, place in _begun:
        if progress.run is not None:
            _print_json(_result(progress.run.totals, run_id=progress.run.run_id, report=place, code=code))
            return
    _print_json(_result(RunTotals(), run_id=None, report=None, code=code))


def _result(totals: RunTotals, *, run_id: str | None, report: str | None, code: int) -> dict[str, Any]:
    return {"run_id": run_id, **asdict(totals), "report": report, "exit_code": int(code)}


def _summary_line(outcome: RunOutcome) -> str:
    totals = outcome.run.totals
    verdicts = f"{totals.keep} keep, {totals.flag} flag, {totals.remove} remove, {totals.unknown} unknown"
    asked = f"{totals.requests} requests sent, {totals.cached_requests} answered from memory"
    charged = f"{totals.tokens_charged} tokens charged"
    return f"{totals.items} items: {verdicts}; {asked}, {charged}"


def _print_json(values: dict[str, Any]) -> None:
    """Write the result line; where nobody listens any more, what was done stays done and keeps its exit code."""
    _told.append(True)
    try:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        _log.warning("the result line could not be written to standard output")
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - or Python fails on leaving
