"""How a run ended: its exit code, and what an operator should know beyond the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batch_scan.cost import Cost, cost_of
from batch_scan.totals import Exit, add_row, exit_of_rows, worst
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.ask import Asker
    from batch_scan.endpoint.interface import Quota
    from batch_scan.engine.services import Services
    from batch_scan.job import Job
    from batch_scan.model import FileResult, RunRow
    from batch_scan.report.published import Published
    from batch_scan.scan import Scan

_CODES = {
    Reason.BUDGET: Exit.BUDGET,
    Reason.TIME_LIMIT: Exit.TIME_LIMIT,
    Reason.ENDPOINT_STOPPED: Exit.ENDPOINT_REFUSED,
}


@dataclass(slots=True)
class RunOutcome:
    """How a run ended."""

    run: RunRow
    exit: Exit
    remarks: list[str] = field(default_factory=list)
    """What an operator should know beyond the numbers, one sentence each."""
    is_reported: bool = True
    """False where it ended before anything was scanned, and wrote no report."""


@dataclass(slots=True)
class RunProgress:
    """The run's row as it grows, and why files are not complete."""

    run: RunRow
    reasons: set[Reason] = field(default_factory=set)
    cost: Cost = field(default_factory=Cost)
    """What `run.cost` is the total of."""

    @classmethod
    def resumed(cls, run: RunRow, published: Published) -> RunProgress:
        """Return the progress of a run of which some rows are published already."""
        reasons = {Reason(word) for word in published.reasons if word in set(Reason)}
        return cls(replace(run, totals=published.totals, cost=published.cost.total), reasons, published.cost)

    def add(self, result: FileResult) -> None:
        """Count one more row."""
        self.cost += cost_of([result.row])
        self.run = replace(self.run, totals=add_row(self.run.totals, result.row), cost=self.cost.total)
        if result.row.reason is not None:
            self.reasons |= {result.row.reason, *result.further_reasons}


def outcome_of(job: Job, progress: RunProgress, scan: Scan, askers: Mapping[str, Asker]) -> RunOutcome:
    """Return how a run ended that has come to its end, or to a stop."""
    codes = [exit_of_rows(progress.run.totals, job.run.fail_on)]
    codes += [code for reason, code in _CODES.items() if reason in progress.reasons]
    remarks = []
    for asker in askers.values():
        if asker.delivery.stopped is not None:
            codes.append(Exit.ENDPOINT_REFUSED)
            remarks.append(f"{asker.name} was stopped: {asker.delivery.stopped.detail}")
        if asker.delivery.broke is not None:
            codes.append(Exit.BUDGET)
            remarks.append(
                f"{asker.delivery.broke.detail}; the same command goes on, raise the budget to scan more at once"
            )
    if Reason.TIME_LIMIT in progress.reasons:
        remarks.append("the time limit was reached; run the same command again for the rest")
    elif 0 < progress.run.totals.items == progress.run.totals.skipped:
        remarks.append("nothing was examined: include, exclude, modified_after or limit left out every entry")
    if scan.internal_errors:
        codes.append(Exit.INTERNAL)
    return RunOutcome(progress.run, worst(codes), remarks)


def doubts_of(in_doubt: int, lost: int, doubtful_tokens: int) -> list[str]:
    """Return what may have been charged though no answer was kept.

    Args:
        in_doubt: requests that were in flight when the run was killed before.
        lost: requests that were in flight when it was stopped now.
        doubtful_tokens: what all of the run's cut off and failed requests may have cost.
    """
    remarks = []
    if in_doubt:
        remarks.append(f"{in_doubt} requests were in flight when this run was killed before; they may be asked twice")
    if lost:
        remarks.append(f"{lost} requests were in flight at the stop; they will be asked again")
    if doubtful_tokens:
        remarks.append(
            "requests that failed or were cut off may have been charged although no answer was kept: "
            f"{doubtful_tokens} tokens at most, not counted in tokens_charged"
        )
    return remarks


async def reconcile(services: Services, quotas: Mapping[str, Quota], askers: Mapping[str, Asker]) -> list[str]:
    """Close every service, and compare what was counted with what it says was used since the start."""
    remarks = []
    for name, service in services.by_name.items():
        before, after = quotas.get(name), await service.close()
        if before is None or after is None or before.tokens_used is None or after.tokens_used is None:
            continue
        used, counted = after.tokens_used - before.tokens_used, askers[name].delivery.charged_tokens
        if used == counted == 0:
            continue
        if used == counted:
            remarks.append(f"{name} confirms the {counted} tokens that were counted")
        else:
            remarks.append(
                f"{name} says that {used} tokens were used since the start, {counted} were counted here: "
                "another user of the same key, or requests that failed and were charged all the same"
            )
    return remarks
