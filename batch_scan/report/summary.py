"""The summary of a run as plain text, at most 100 columns wide. Pure: counting is done in `figures`.

File names and vendors' words are untrusted: they are shown without control characters, and what a spreadsheet would
take for a formula gets an apostrophe in front.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_scan.cost import cost_of
from batch_scan.duration import format_duration
from batch_scan.model import Coverage, RunTotals
from batch_scan.plaintext import WIDTH, aligned, cell, clock, head, number, share, tail
from batch_scan.report.reasons import MEANINGS, UNKNOWN_REASON
from batch_scan.vocabulary import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.model import RunRow
    from batch_scan.report.reasons import Meaning

_EXIT_WORDS = {
    0: "complete, nothing found",
    1: "complete, something found",
    2: "wrong usage or configuration",
    3: "incomplete: not every file was wholly examined",
    4: "stopped by the budget",
    5: "stopped by the time limit",
    6: "an endpoint refused for good",
    7: "internal error",
    130: "interrupted",
    143: "terminated",
}


@dataclass(frozen=True, slots=True)
class Highlight:
    """The worst finding of one of the worst files."""

    uri: str
    endpoint: str
    medium: str
    start_s: float | None
    category: str
    score: float | None
    action: str
    in_file: int
    """Findings in the file, this one included."""


@dataclass(frozen=True, slots=True)
class EndpointUse:
    """What one endpoint or transcriber was asked, and what it charged."""

    name: str
    answered: int
    cached: int
    failed: int
    not_sent: int
    tokens_estimated: int
    tokens_charged: int
    cost: float | None
    """None where a charged request has no price."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the summary says."""

    run: RunRow
    location: str
    """Directory of the report, or its URL."""
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Files by verdict and status."""
    totals: RunTotals = field(default_factory=RunTotals)
    coverage: Coverage = field(default_factory=Coverage)
    """Over contents: what several files hold counts once, as in `findings`."""
    findings: int = 0
    duplicates: int = 0
    """Files that carry the verdict of another with the same content."""
    highlights: tuple[Highlight, ...] = ()
    endpoints: tuple[EndpointUse, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Files by reason of what was not examined, most first."""
    tokens_saved: int = 0
    """About what pictures would have been charged that share the answer of a near-identical one."""


def summary_text(summary: Summary) -> str:
    """Return the summary, lines ended by newlines, none longer than `plaintext.WIDTH` columns."""
    sections = (
        _run(summary),
        _files(summary),
        _examined(summary),
        _findings(summary),
        _requests(summary),
        _not_examined(summary),
        _next(summary),
    )
    lines = [line for section in sections if section for line in (*section, "")]
    return "".join(f"{head(line, WIDTH).rstrip()}\n" for line in lines[:-1])


def _run(summary: Summary) -> list[str]:
    run = summary.run
    time = f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if run.finished_at is None:
        state = "has not ended"
    else:
        state = f"ended with exit code {run.exit_code}: {_EXIT_WORDS.get(run.exit_code or 0, 'see the README')}"
        time += f", took {format_duration((run.finished_at - run.started_at).total_seconds())}"
    tools = f"batch-scan {cell(run.tool_version)}, ffmpeg {cell(run.ffmpeg_version)}"
    return [
        f"Run {run.run_id} {state}",
        f"  job        {cell(run.job)}",
        f"  source     {tail(cell(run.source), WIDTH - 13)}",
        f"  endpoints  {', '.join(map(cell, run.endpoints)) or 'none'}",
        f"  started    {time}",
        f"  with       {tools}, engine {cell(run.engine)}",
    ]


def _files(summary: Summary) -> list[str]:
    totals = summary.totals
    by_status = (totals.complete, totals.partial, totals.failed, totals.skipped)
    rows = [["", *Status, "total"]]
    for verdict in Verdict:
        row = [summary.counts.get((verdict.value, status.value), 0) for status in Status]
        rows.append([verdict, *map(number, row), number(sum(row))])
    rows.append(["total", *map(number, by_status), number(totals.items)])
    return ["Files by verdict and status", *aligned(rows, "lrrrrr")]


def _examined(summary: Summary) -> list[str]:
    coverage = summary.coverage
    lines = []
    if coverage.audio_s_planned:
        answered, planned = coverage.audio_s_answered, coverage.audio_s_planned
        lines.append(
            f"  sound      {format_duration(answered)} of {format_duration(planned)}, {share(answered, planned)}"
        )
    if coverage.frames_planned:
        frames, wanted = coverage.frames_answered, coverage.frames_planned
        lines.append(f"  pictures   {number(frames)} of {number(wanted)}, {share(frames, wanted)}")
    if coverage.frames_deduplicated:
        lines[-1] += f"; {number(coverage.frames_deduplicated)} share the answer of a near-identical one"
    if coverage.frames_deduplicated and summary.tokens_saved:
        lines.append(f"             which saved about {number(summary.tokens_saved)} tokens")
    if summary.duplicates:
        lines.append(f"  copies     {number(summary.duplicates)} with the content of another file, which counts once")
    return ["Examined", *lines] if lines else []


def _findings(summary: Summary) -> list[str]:
    if not summary.highlights:
        return [f"Findings: {number(summary.findings)}"]
    rows = [["score", "action", "category", "at", "endpoint", "more", "file"]]
    rows += [_highlight_cells(found) for found in summary.highlights]
    return [f"Findings: {number(summary.findings)}; the worst of each of the worst files", *aligned(rows, "rllrlrt")]


def _highlight_cells(found: Highlight) -> list[str]:
    return [
        "?" if found.score is None else f"{found.score:.2f}",
        cell(found.action),
        cell(found.category),
        clock(found.start_s),
        cell(found.endpoint),
        f"+{number(found.in_file - 1)}" if found.in_file > 1 else "",
        cell(found.uri),
    ]


def _requests(summary: Summary) -> list[str]:
    uses = [*summary.endpoints, _sum_of(summary.endpoints)] if len(summary.endpoints) > 1 else summary.endpoints
    if not uses:
        return []
    rows = [["endpoint", "answered", "cached", "failed", "not sent", "tokens", "estimated", "cost"]]
    rows += [_use_cells(use) for use in uses]
    return ["Requests and what they cost", *aligned(rows, "lrrrrrrr")]


def _use_cells(use: EndpointUse) -> list[str]:
    counts = (use.answered, use.cached, use.failed, use.not_sent, use.tokens_charged, use.tokens_estimated)
    return [cell(use.name), *map(number, counts), "no price" if use.cost is None else f"{use.cost:,.2f}"]


def _sum_of(uses: Sequence[EndpointUse]) -> EndpointUse:
    return EndpointUse(
        name="total",
        answered=sum(use.answered for use in uses),
        cached=sum(use.cached for use in uses),
        failed=sum(use.failed for use in uses),
        not_sent=sum(use.not_sent for use in uses),
        tokens_estimated=sum(use.tokens_estimated for use in uses),
        tokens_charged=sum(use.tokens_charged for use in uses),
        cost=cost_of(uses).total,
    )


def _not_examined(summary: Summary) -> list[str]:
    if not summary.reasons:
        return []
    rows = [["files", "reason", "which means"]]
    rows += [[number(count), cell(reason), _meaning(reason).what] for reason, count in summary.reasons.items()]
    return ["Not examined, wholly or in part", *aligned(rows, "rll")]


def _next(summary: Summary) -> list[str]:
    advice = []
    if summary.run.finished_at is None:
        advice.append("still going, or cut off: the same command continues it; what was answered is not paid again")
    mended_by: dict[str, list[str]] = {}
    for reason in summary.reasons:
        mended_by.setdefault(_meaning(reason).mend, []).append(cell(reason))
    advice += [f"{', '.join(reasons)}: {mend}" for mend, reasons in mended_by.items() if mend]
    if summary.findings:
        advice.append("every finding: batch_scan.open_report(…).findings() in Python")
    lines = [f"Report: {tail(cell(summary.location), WIDTH - 8)}"]
    for sentence in advice:
        lines += textwrap.wrap(sentence, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return lines


def _meaning(reason: str) -> Meaning:
    return MEANINGS.get(reason, UNKNOWN_REASON)
