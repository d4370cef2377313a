"""Measures what a scan costs, against the bare tools on the same work, in turn in one run.

    pip install '.[bench]'
    python -m benchmarks                                 # every case; takes hours
    python -m benchmarks startup tiny --runs 5
    python -m benchmarks extraction --films web 480p --intervals 10.7 --json measured.jsonl
    python -m benchmarks targets measured.jsonl          # what was measured against what is asked

Prints a Markdown table per case: medians, and in brackets the lowest and the highest. Media is made once, from a
package that pip fetches, in the directory that --media names (some 9 GB for all cases). A case that cannot be measured
says why, and the others go on. Exit code: 0, 1 where a case was not measured, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from batch_scan.errors import BatchScanError
from benchmarks.judging import against
from benchmarks.options import INTERVALS_S, MOST_ITEMS, Options
from benchmarks.results import Measured, read, rows_by_case, rows_of
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from benchmarks.options import Case

CASES = {
    "startup": "the command before it does anything",
    "extraction": "every kind of file against naive and bare ways",
    "identity": "exact pictures against a full decode, bit for bit",
    "reading": "one pass or two over the packets, and seeking",
    "exact": "exact mode at short intervals against one full decode",
    "tiny": "500 clips of 3 to 10 seconds",
    "workers": "two decoder workers against one",
    "memory": "five minutes against two hours",
    "peers": "other libraries that take pictures and sound out",
    "flac": "sound to FLAC in our process against the ffmpeg program",
    "twins": "finding near-twins against encoding",
    "sending": "requests per second, and the share of a rate that is used",
    "flow": "a scan against its slowest stage alone",
    "items": "known and new rows, up to a million",
    "engine": "the embedded engine against its bare models",
}
FILMS = ("web", "clean", "grainy", "long", "hevc", "vp9", "av1", "mpegts", "480p", "two-hours", "aac", "mp3")
_FILMS_HELP = f"of {', '.join(FILMS)}, the last three for extraction alone (default: those of the case)"
_MEDIA = Path(tempfile.gettempdir()) / "batch-scan-benchmarks"
_TARGETS = "targets"
_INTERRUPTED = 130


def main(words: Sequence[str]) -> int:
    """Run the cases that were named, or judge what earlier runs found. Returns the exit code."""
    if words and words[0] == _TARGETS:
        return _judge(words[1:])
    given = _parsed(words)
    missed = [name for name in given.cases or CASES if not _run(name, given)]
    if missed:
        sys.stderr.write(f"not measured: {', '.join(missed)}\n")
    return 1 if missed else 0


def _judge(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {_TARGETS}", description="Prints what is asked beside what was measured."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what --json wrote; the later count")
    sys.stdout.write(against(TARGETS, rows_by_case(read(parser.parse_args(words).files))))
    return 0


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="cases:\n" + "\n".join(f"  {name:12} {what}" for name, what in CASES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is measured (default: 3)")
    parser.add_argument("--media", type=Path, default=_MEDIA, metavar="DIR", help=f"default: {_MEDIA}")
    parser.add_argument("--length", type=int, default=300, help="seconds of film (default: 300)")
    parser.add_argument("--films", nargs="+", default=(), metavar="FILM", help=_FILMS_HELP)
    parser.add_argument("--intervals", nargs="+", type=float, default=INTERVALS_S, metavar="SECONDS")
    parser.add_argument("--most-items", type=int, default=MOST_ITEMS, metavar="N", help="the largest manifest")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append what comes out to this file too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append medians to this file, a line for each case")
    given = parser.parse_args(words)
    for problem in _problems(given):
        parser.error(problem)
    return given


def _problems(given: argparse.Namespace) -> list[str]:
    """Return what is wrong with a command line, before anything is measured by it."""
    problems = [_unknown("case", name, CASES) for name in given.cases if name not in CASES]
    problems += [_unknown("film", name, FILMS) for name in given.films if name not in FILMS]
    least = {"--runs": (given.runs, 1), "--length": (given.length, 2), "--most-items": (given.most_items, 1)}
    problems += [f"{name} has to be at least {low}" for name, (value, low) in least.items() if value < low]
    return problems + ["--intervals have to be above 0"] * any(value <= 0 for value in given.intervals)


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"there is no {what} {name!r}" + (f"; {close[0]!r}?" if close else f": {', '.join(known)}")


def _run(name: str, given: argparse.Namespace) -> bool:
    """Run one case and hand on what it found. Returns whether it could be measured."""
    try:
        _tell(name, _measured(name, given), given)
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed: pip install '.[bench]'"
    except OSError as error:
        reason = f"{error.filename or given.media}: {error.strerror}"
    except (BatchScanError, SystemExit) as error:
        reason = str(error)
    else:
        return True
    sys.stderr.write(f"{name}: {reason}\n")
    return False


def _measured(name: str, given: argparse.Namespace) -> str:
    given.media.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="batch-scan-benchmark-") as scratch:
        options = Options(
            media=given.media.absolute(),
            scratch=Path(scratch),
            runs=given.runs,
            length_s=given.length,
            films=tuple(given.films),
            intervals=tuple(given.intervals),
            most_items=given.most_items,
        )
        return cast("Case", importlib.import_module(f"benchmarks.{name}")).measure(options)


def _tell(name: str, found: str, given: argparse.Namespace) -> None:
    told = f"### {name}: {CASES[name]}\n\n{found}\n"
    sys.stdout.write(told)
    sys.stdout.flush()
    if given.markdown:
        _append(given.markdown, told)
    if given.json:
        measured = Measured(
            case=name,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            runs=given.runs,
            length_s=given.length,
            rows=rows_of(found),
        )
        _append(given.json, measured.line())


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; media that was made stays, and what was measured stands above\n")
        sys.exit(_INTERRUPTED)
