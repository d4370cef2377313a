"""Counts and picks from a report what its summary says, reading few columns: a million files are no burden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_scan.cost import Cost
from batch_scan.model import Coverage, RunTotals
from batch_scan.report.runs import read_run
from batch_scan.report.schema import Table
from batch_scan.report.summary import EndpointUse, Highlight, Summary
from batch_scan.vocabulary import Medium, Verdict

if TYPE_CHECKING:
    from batch_scan.report.reader import Report

_HIGHLIGHTS = 10
_COVERAGE = tuple(Coverage.__dataclass_fields__)
_COUNTED = ("requests", "cached_requests", "tokens_estimated", "tokens_charged")
_FILE_COLUMNS = ["uri", "verdict", "status", "reason", "top_score", "duplicate_of", "findings", *_COVERAGE, *_COUNTED]
_REQUEST_COLUMNS = [
    *("endpoint", "medium", "samples", "outcome", "cached"),
    *("tokens_estimated", "tokens_charged", "cost"),
]
_FINDING_COLUMNS = ["uri", "endpoint", "medium", "start_s", "category", "score", "action"]


def summarise(report: Report) -> Summary:
    """Count what the summary of a report's run says.

    What is counted over files is counted anew from them, so it is right while the run goes on.

    Raises BatchScanError where a part cannot be read.
    """
    files = report.arrow(Table.FILES, columns=_FILE_COLUMNS)
    counts = {(row["verdict"], row["status"]): row["count"] for row in _count(files, "verdict", "status")}
    reasons = {row["reason"]: row["count"] for row in _count(files, "reason") if row["reason"] is not None}
    scanned = files.filter(pc.is_null(files["duplicate_of"]))  # a duplicate's row repeats the figures of its twin
    sums = {name: pc.sum(scanned[name], min_count=0).as_py() for name in (*_COVERAGE, *_COUNTED, "findings")}
    requests = report.arrow(Table.REQUESTS, columns=_REQUEST_COLUMNS)
    return Summary(
        run=read_run(report.place, report.run_id),
        location=report.place.uri,
        counts=counts,
        totals=_totals(counts, sums),
        coverage=Coverage(**{name: sums[name] for name in _COVERAGE}),
        findings=sums["findings"],
        duplicates=len(files) - len(scanned),
        highlights=_highlights(report, files),
        endpoints=_endpoint_use(requests),
        tokens_saved=_tokens_saved(sums["frames_deduplicated"], requests),
        reasons=dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
    )


def _count(table: pa.Table, *keys: str) -> list[dict[str, Any]]:
    counted: list[dict[str, Any]] = table.group_by(list(keys)).aggregate([([], "count_all")]).to_pylist()
    return [{**row, "count": row["count_all"]} for row in counted]


def _totals(counts: dict[tuple[str, str], int], sums: dict[str, Any]) -> RunTotals:
    words: dict[str, int] = {}
    for pair, count in counts.items():
        for word in ("items", *pair):
            words[word] = words.get(word, 0) + count
    return RunTotals(**words, **{name: sums[name] for name in _COUNTED})


def _highlights(report: Report, files: pa.Table) -> tuple[Highlight, ...]:
    """Pick the worst files, and of each its worst finding; a duplicate is told of by its twin."""
    actions = [Verdict.REMOVE.value, Verdict.FLAG.value]
    found = files.filter(pc.and_(pc.is_in(files["verdict"], pa.array(actions)), pc.is_null(files["duplicate_of"])))
    # "remove" sorts behind "flag": descending order puts it first.
    order = [("verdict", "descending"), ("top_score", "descending"), ("uri", "ascending")]
    worst = found.sort_by(order).slice(0, _HIGHLIGHTS).to_pylist()
    findings = report.arrow(Table.FINDINGS, columns=_FINDING_COLUMNS)
    of_worst = findings.filter(pc.is_in(findings["uri"], pa.array([row["uri"] for row in worst], pa.string())))
    best: dict[str, dict[str, Any]] = {}
    order = [("action", "descending"), ("score", "descending"), ("start_s", "ascending")]
    for row in of_worst.sort_by(order).to_pylist():
        best.setdefault(row["uri"], row)
    return tuple(Highlight(**best[row["uri"]], in_file=row["findings"]) for row in worst if row["uri"] in best)


def _tokens_saved(twins: int, requests: pa.Table) -> int:
    """Estimate what near-twins would have been charged: as much as the pictures that were, endpoint by endpoint."""
    charged = requests.filter(
        pc.and_(pc.equal(requests["medium"], Medium.FRAME.value), pc.greater(requests["tokens_charged"], 0))
    )
    sums = charged.group_by("endpoint").aggregate([("tokens_charged", "sum"), ("samples", "sum")]).to_pylist()
    each: float = sum(row["tokens_charged_sum"] / row["samples_sum"] for row in sums if row["samples_sum"])
    return round(twins * each)


def _endpoint_use(requests: pa.Table) -> tuple[EndpointUse, ...]:
    sums = [(name, "sum") for name in ("tokens_estimated", "tokens_charged", "cost")]
    unpriced = pc.and_(pc.is_null(requests["cost"]), pc.greater(requests["tokens_charged"], 0))
    table = requests.append_column("unpriced", unpriced)
    keys = ["endpoint", "outcome", "cached"]
    grouped = table.group_by(keys).aggregate([([], "count_all"), *sums, ("unpriced", "any")]).to_pylist()
    names = sorted({row["endpoint"] for row in grouped})
    return tuple(_use_of(name, [row for row in grouped if row["endpoint"] == name]) for name in names)


def _use_of(name: str, rows: list[dict[str, Any]]) -> EndpointUse:
    def count(outcome: str, *, cached: bool) -> int:
        return sum(row["count_all"] for row in rows if (row["outcome"], row["cached"]) == (outcome, cached))

    return EndpointUse(
        name=name,
        answered=count("answered", cached=False),
        cached=count("answered", cached=True),
        failed=count("failed", cached=False) + count("failed", cached=True),
        not_sent=count("not_sent", cached=False) + count("not_sent", cached=True),
        tokens_estimated=sum(row["tokens_estimated_sum"] or 0 for row in rows),
        tokens_charged=sum(row["tokens_charged_sum"] or 0 for row in rows),
        cost=sum((Cost(row["cost_sum"], row["unpriced_any"]) for row in rows), Cost()).total,
    )
