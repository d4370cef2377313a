from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.delivery import Meters
from batch_scan.engine.premises import callbacks_of, open_elsewhere, settle_in
from batch_scan.engine.services import Services
from batch_scan.job import Job
from batch_scan.model import RunId
from batch_scan.pace.budget import LocalBudget
from batch_scan.pace.limiter import LocalLimiter
from tests.asking_kit import SkippingClock, ToyEndpoint, ledger_in

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.ledger import Ledger


def meters_of(ledger: Ledger, services: Services) -> Meters:
    clock = SkippingClock()
    limiter = LocalLimiter({name: config.limit for name, config in services.configs.items()}, clock)
    return Meters(RunId("run-1"), ledger, limiter, LocalBudget(Job().budget, {}), clock)


async def test_what_a_service_opens_stands_in_the_ledger_under_its_name(tmp_path: Path) -> None:
    toy = ToyEndpoint()
    async with ledger_in(tmp_path) as ledger:
        settle_in(Services((toy,), None), meters_of(ledger, Services((toy,), None)), None)
        await toy.premises.handles.opened("stream", "s-1")
        assert toy.premises.handles.left_open("stream") == ["s-1"]
        assert toy.premises.handles.left_open("task") == []
    async with ledger_in(tmp_path) as again:
        assert [(one.service, one.kind, one.handle) for one in again.left_open()] == [("toy", "stream", "s-1")]


async def test_two_services_have_each_their_own_handles_and_pace(tmp_path: Path) -> None:
    toys = ToyEndpoint(name="one"), ToyEndpoint(name="two")
    services = Services(toys, None)
    async with ledger_in(tmp_path) as ledger:
        settle_in(services, meters_of(ledger, services), None)
        await toys[0].premises.handles.opened("stream", "s-1")
        assert toys[1].premises.handles.left_open("stream") == []
        for toy in toys:
            await toy.premises.pace(0)


async def test_what_is_open_at_a_vendor_that_is_not_asked_is_told(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        await ledger.opened("visionular", "stream", "s-1")
        await ledger.opened("toy", "stream", "s-2")
        (remark,) = open_elsewhere(Services((ToyEndpoint(),), None), ledger)
    assert remark.startswith("visionular: what an earlier run opened")
    assert "[endpoints.visionular]" in remark


async def test_without_its_table_there_is_no_receiver(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger, callbacks_of(Job(), ledger, RunId("run-1")) as callbacks:
        assert callbacks is None
