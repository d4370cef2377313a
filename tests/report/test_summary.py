from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from batch_scan.model import Coverage, FileResult, RunTotals
from batch_scan.plaintext import WIDTH, display_width
from batch_scan.report.figures import summarise
from batch_scan.report.reader import open_report
from batch_scan.report.summary import EndpointUse, Highlight, Summary, summary_text
from batch_scan.report.writer import ReportWriter
from batch_scan.vocabulary import Action, Medium, Reason, Status, Verdict
from tests.report import made

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = """\
Run 20261121T231648Z-7f3a9c ended with exit code 1: complete, something found
  job        nightly
  source     /archive/manifest.csv
  endpoints  local, safecomms
  started    2026-11-21 23:16:48 UTC, took 1 h 05 min
  with       batch-scan 0.1.0, ffmpeg 7.1, engine local

Files by verdict and status
           complete  partial  failed  skipped  total
  keep            1        0       0        0      1
  flag            0        0       0        0      0
  remove          0        2       0        0      2
  unknown         0        0       2        1      3
  total           1        2       2        1      6

Examined
  sound      1 min 32 s of 2 min 12 s, 69 %
  pictures   10 of 14, 71 %; 4 share the answer of a near-identical one
             which saved about 28 tokens

Findings: 4; the worst of each of the worst files
  score  action  category       at  endpoint   more  file
   0.95  remove  weapon    0:00:10  safecomms    +1  /archive/1.mp4
   0.85  remove  weapon    0:00:10  safecomms    +1  /archive/0.mp4

Requests and what they cost
  endpoint   answered  cached  failed  not sent  tokens  estimated      cost
  local             0       2       0         0       0          2  no price
  safecomms         2       0       2         0      14         16      0.14
  total             2       2       2         0      14         18      0.14

Not examined, wholly or in part
  files  reason    which means
      2  damaged   less could be decoded than the file declares
      2  missing   named by the source, not there
      1  excluded  left out by include or exclude patterns

Report: REPORT
  - damaged: look at the file; a copy from the original may help
  - missing: mend the manifest or bring the file back
  - every finding: batch_scan.open_report(…).findings() in Python
"""


def write(root: Path, *results: FileResult, ended: bool = True) -> Summary:
    writer = ReportWriter(root, made.run())
    for result in results:
        writer.add(result)
    if ended:
        writer.finish(made.run(ended=True))
    else:
        writer.flush()
    return summarise(open_report(root))


def test_the_summary_of_a_run_says_all_that_came_of_it(tmp_path: Path) -> None:
    summary = write(
        tmp_path,
        made.full(0, score=0.85),
        made.full(1, score=0.95),
        made.plain(2),
        made.lost(3, Reason.MISSING),
        made.lost(4, Reason.MISSING),
        made.lost(5, Reason.EXCLUDED, Status.SKIPPED),
    )
    assert summary_text(replace(summary, location="REPORT")) == EXPECTED


def test_a_run_that_goes_on_is_counted_from_its_files(tmp_path: Path) -> None:
    summary = write(tmp_path, made.plain(0), made.plain(1), ended=False)
    assert summary.totals == RunTotals(items=2, keep=2, complete=2, requests=2)
    text = summary_text(summary)
    assert "has not ended" in text
    assert "the same command continues it" in text


def test_a_run_without_any_row_has_a_summary_too(tmp_path: Path) -> None:
    summary = write(tmp_path, ended=False)
    assert summary.totals == RunTotals()
    assert "Findings: 0" in summary_text(summary)


def test_what_near_twins_save_is_counted_once_per_content_and_only_by_those_who_charge(tmp_path: Path) -> None:
    twin = made.full(0)
    copied = FileResult(replace(twin.row, item=made.item(1), duplicate_of=twin.row.item.uri))
    asked = next(record for record in twin.requests if record.medium is Medium.FRAME)
    free = replace(asked, endpoint="local", tokens_charged=0, cost=None)
    summary = write(tmp_path, replace(twin, requests=(asked, free)), copied)
    assert summary.tokens_saved == twin.row.coverage.frames_deduplicated * asked.tokens_charged // asked.samples
    assert write(tmp_path / "free", replace(twin, requests=(free,))).tokens_saved == 0


def test_a_duplicate_is_told_of_by_its_twin(tmp_path: Path) -> None:
    twin = made.full(0)
    row = replace(twin.row, item=made.item(1), duplicate_of=twin.row.item.uri)
    summary = write(tmp_path, twin, FileResult(row))
    assert [found.uri for found in summary.highlights] == ["/archive/0.mp4"]
    assert summary.totals.remove == 2


def test_what_several_files_hold_counts_once_in_what_was_examined_and_found(tmp_path: Path) -> None:
    twin = made.full(0)
    copies = [FileResult(replace(twin.row, item=made.item(index), duplicate_of=twin.row.item.uri)) for index in (1, 2)]
    alone, summary = write(tmp_path / "alone", twin), write(tmp_path / "copied", twin, *copies)
    assert (summary.coverage, summary.findings, summary.duplicates) == (alone.coverage, alone.findings, 2)
    assert summary.findings == len(open_report(tmp_path / "copied").findings())
    text = summary_text(summary)
    assert "Findings: 2;" in text
    assert "  copies     2 with the content of another file, which counts once" in text
    assert "copies" not in summary_text(alone)


def test_the_worst_files_come_first_and_there_are_ten_of_them(tmp_path: Path) -> None:
    flagged = made.full(99, score=0.99)
    flagged = replace(
        flagged,
        row=replace(flagged.row, verdict=Verdict.FLAG),
        findings=(replace(flagged.findings[0], action=Action.FLAG),),
    )
    summary = write(tmp_path, flagged, *(made.full(index, score=0.8 + index / 100) for index in range(12)))
    assert [found.uri for found in summary.highlights] == [f"/archive/{index}.mp4" for index in range(11, 1, -1)]


def test_a_charge_without_a_price_makes_the_cost_unknown(tmp_path: Path) -> None:
    result = made.full(0)
    unpriced = replace(result.requests[0], cost=None)
    summary = write(tmp_path, replace(result, requests=(*result.requests, unpriced)))
    assert [(use.name, use.tokens_charged, use.cost) for use in summary.endpoints] == [
        ("local", 0, None),
        ("safecomms", 14, None),
    ]
    assert "no price" in summary_text(summary)


def test_words_from_outside_are_harmless(tmp_path: Path) -> None:
    result = made.full(0)
    item = made.item(0, "=HYPERLINK(1)\x1b[31m\nFindings: 0.mp4")
    text = summary_text(write(tmp_path, replace(result, row=replace(result.row, item=item))))
    assert re.search(r"  '=HYPERLINK\(1\)\N{REPLACEMENT CHARACTER}\[31m Findings: 0\.mp4$", text, re.MULTILINE)


def test_a_reason_of_a_newer_version_is_shown_as_it_is() -> None:
    text = summary_text(Summary(made.run(ended=True), "reports", reasons={"gone_fishing": 3}))
    assert "3  gone_fishing  a reason that this version does not know" in text


texts = st.text(st.characters() | st.sampled_from("\ud800\udcff\x00\x1b\u202e\u3042"), max_size=200)
highlights = st.builds(
    Highlight, texts, texts, texts, st.none() | st.floats(0, 1e6), texts, st.none() | st.floats(0, 1), texts,
    st.integers(0, 10**7),
)  # fmt: skip
uses = st.builds(EndpointUse, texts, *[st.integers(0, 10**12)] * 6, st.none() | st.floats(0, 1e9))


@settings(deadline=None)
@given(
    st.builds(
        Summary,
        run=st.builds(replace, st.sampled_from([made.run(), made.run(ended=True)]), job=texts, source=texts),
        location=texts,
        coverage=st.builds(Coverage, *[st.floats(0, 1e9)] * 2, *[st.integers(0, 10**9)] * 4),
        highlights=st.lists(highlights, max_size=3).map(tuple),
        endpoints=st.lists(uses, max_size=3).map(tuple),
        reasons=st.dictionaries(st.sampled_from([*Reason, "other"]), st.integers(1, 10**9)),
    )
)
def test_whatever_a_summary_says_its_lines_fit_and_are_plain(summary: Summary) -> None:
    lines = summary_text(summary).split("\n")
    assert all(display_width(line) <= WIDTH for line in lines)
    assert not {unicodedata.category(char) for line in lines for char in line} & {"Cc", "Cf", "Cs"}
