from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import BatchScanError, LockedError, UsageError
from batch_scan.report.bucket import RemoteStore
from batch_scan.report.directory import DirectoryStore
from batch_scan.report.lease import KEY, Lease, Terms
from batch_scan.report.lease_holding import hold_lease, owner_of
from batch_scan.report.store import TOP, publish_bytes
from batch_scan.store import StoreOptions, open_store, parse_bucket_url
from tests.report import buckets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.report.buckets import Bucket, Line

LONG = Terms(holds_s=300.0, renews_s=60.0)
OVER = Terms(holds_s=0.001, renews_s=60.0)
OFTEN = Terms(holds_s=300.0, renews_s=0.02)
PUTS_OF_TAKING = 4
"""The lease itself, once more, and twice under a condition that does not hold."""


def words(bucket: Bucket) -> dict[str, object]:
    found = bucket.place().read_version(KEY)
    assert found is not None
    said: dict[str, object] = json.loads(found.data)
    return said


def taken(bucket: Bucket, owner: str, terms: Terms = LONG) -> Lease:
    lease = Lease(bucket.place(), owner, f"run of {owner}", terms)
    lease.take()
    return lease


def unexpected(why: str) -> None:
    raise AssertionError(why)


# ------------------------------------------------------------------------------------------------------------ the lease


def test_a_second_run_is_refused_and_told_who_holds_it_and_until_when(bucket: Bucket) -> None:
    taken(bucket, "one")
    said = words(bucket)
    assert (said["owner"], said["pid"], said["run_id"], said["holds_s"]) == ("one", os.getpid(), "run of one", 300.0)
    expected = (
        rf"another run is using {bucket.uri} \(process {os.getpid()} on .*, run run of one, since .* UTC\), until "
    )
    with pytest.raises(LockedError, match=expected + r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC where it does not renew"):
        taken(bucket, "two")
    assert words(bucket) == said


def test_it_is_free_once_it_is_released(bucket: Bucket) -> None:
    taken(bucket, "one").release()
    assert words(bucket)["owner"] == ""
    taken(bucket, "two")
    assert words(bucket)["owner"] == "two"


def test_one_that_ran_out_is_taken_over_and_its_holder_learns_it(bucket: Bucket) -> None:
    first = taken(bucket, "one", OVER)
    taken(bucket, "two")
    with pytest.raises(BatchScanError, match=rf"the lease of {bucket.uri} was lost to process {os.getpid()} on "):
        first.renew()
    first.release()
    assert words(bucket)["owner"] == "two", "what is not ours is not released"


def test_the_same_state_directory_takes_over_what_its_killed_run_left(bucket: Bucket) -> None:
    taken(bucket, "one")
    taken(bucket, "one").renew()


def test_renewing_holds_it(bucket: Bucket) -> None:
    lease = taken(bucket, "one")
    before = words(bucket)
    lease.renew()
    lease.renew()
    assert words(bucket)["nonce"] != before["nonce"]
    with pytest.raises(LockedError):
        taken(bucket, "two")


def test_of_two_that_begin_at_once_one_is_refused(bucket: Bucket, line: Line) -> None:
    line.hold = lambda asked: asked.method == "PUT"

    async def both() -> None:
        slow = Lease(bucket.place(endpoint=line.url), "slow", "slow", LONG)
        taking = asyncio.ensure_future(asyncio.to_thread(slow.take))
        await asyncio.to_thread(line.holding.wait)
        await asyncio.to_thread(taken, bucket, "fast")
        line.released.set()
        with pytest.raises(LockedError, match="run of fast"):
            await taking

    asyncio.run(both())
    assert words(bucket)["owner"] == "fast"


def test_words_that_nobody_of_us_wrote_hold_it_for_its_time(bucket: Bucket) -> None:
    publish_bytes(bucket.place(), KEY, b"\xff not json")
    with pytest.raises(LockedError, match="another process"):
        taken(bucket, "one")
    long_words = json.dumps({"owner": "x" * 10_000, "holds_s": 1e300})
    publish_bytes(bucket.place(), KEY, long_words.encode())
    with pytest.raises(LockedError, match="another process"):
        taken(bucket, "one")
    with pytest.raises(LockedError):
        Lease(bucket.place(), "one", "run", Terms(holds_s=timedelta(hours=1).total_seconds())).take()
    Lease(bucket.place(), "one", "run", OVER).take()


def test_an_answer_that_is_lost_is_no_loss(bucket: Bucket, line: Line) -> None:
    """The store has written it, and says so to nobody; asked again it says that somebody else was faster."""
    line.lose = lambda asked: asked.method == "PUT" and asked.number in {1, PUTS_OF_TAKING + 4}
    lease = Lease(bucket.place(endpoint=line.url), "one", "run", LONG)
    lease.take()
    while line.count("PUT") < PUTS_OF_TAKING + 6:
        lease.renew()
    lease.release()
    assert words(bucket)["owner"] == ""


@pytest.fixture
def heedless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteStore]:
    """A report in a store that takes every write, whatever its condition."""
    for name, value in buckets.KEYS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data" / "archive").mkdir(parents=True)
    with buckets.nanio(tmp_path / "data") as url:
        store, _ = open_store("s3://archive/reports", StoreOptions(endpoint=url))
        yield RemoteStore(store, parse_bucket_url("s3://archive/reports"))


def test_a_store_that_does_not_heed_conditions_is_refused(heedless: RemoteStore) -> None:
    with pytest.raises(UsageError, match=r"^s3://archive/reports: this store does not heed .* lease = false"):
        Lease(heedless, "one", "run", LONG).take()


def test_a_bucket_that_cannot_be_written_to_is_named(bucket: Bucket, line: Line) -> None:
    line.deny = lambda asked: asked.method == "PUT"
    lease = Lease(bucket.place(endpoint=line.url), "one", "run", LONG)
    with pytest.raises(UsageError, match=rf"^s3://{bucket.name} cannot be written: .*AccessDenied"):
        lease.take()


# ----------------------------------------------------------------------------------------------------- while a run goes


async def test_it_is_held_while_the_context_lasts_and_free_after_it(bucket: Bucket) -> None:
    async with hold_lease(bucket.place(), "one", "run", unexpected):
        with pytest.raises(LockedError):
            taken(bucket, "two")
    assert words(bucket)["owner"] == ""


async def test_it_is_released_where_the_run_fails_or_is_cancelled(bucket: Bucket) -> None:
    with pytest.raises(ZeroDivisionError):
        async with hold_lease(bucket.place(), "one", "run", unexpected):
            raise ZeroDivisionError
    assert words(bucket)["owner"] == ""
    holding = asyncio.Event()

    async def hold() -> None:
        async with hold_lease(bucket.place(), "one", "run", unexpected):
            holding.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await holding.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert words(bucket)["owner"] == ""


async def test_it_is_renewed_again_and_again_also_while_the_event_loop_is_held_up(bucket: Bucket, line: Line) -> None:
    async with hold_lease(bucket.place(endpoint=line.url), "one", "run", unexpected, terms=OFTEN):
        before = line.count("PUT")
        while line.count("PUT") < before + 3:
            pass  # no `await`: nothing else in this loop gets its turn


async def test_one_that_is_lost_is_said_once(bucket: Bucket) -> None:
    lost: asyncio.Queue[str] = asyncio.Queue()
    async with hold_lease(bucket.place(), "one", "run", lost.put_nowait, terms=OFTEN):
        publish_bytes(bucket.place(), KEY, b"{}")
        assert "was lost to another process" in await asyncio.wait_for(lost.get(), 30)
    assert lost.empty()


async def test_one_that_may_not_be_renewed_any_more_is_lost(bucket: Bucket, line: Line) -> None:
    lost: asyncio.Queue[str] = asyncio.Queue()
    async with hold_lease(bucket.place(endpoint=line.url), "one", "run", lost.put_nowait, terms=OFTEN):
        line.deny = lambda asked: asked.method == "PUT"
        assert "could not be renewed: the store refuses" in await asyncio.wait_for(lost.get(), 30)


async def test_one_that_cannot_be_renewed_in_time_is_lost(bucket: Bucket, line: Line) -> None:
    lost: asyncio.Queue[str] = asyncio.Queue()
    terms = Terms(holds_s=0.1, renews_s=0.05)
    async with hold_lease(bucket.place(endpoint=line.url), "one", "run", lost.put_nowait, terms=terms):
        line.refuse = lambda asked: asked.method == "PUT"
        assert "could not be renewed: the store is busy" in await asyncio.wait_for(lost.get(), 60)


async def test_a_run_may_wait_for_another(bucket: Bucket, line: Line) -> None:
    first = taken(bucket, "one")

    async def second() -> None:
        async with hold_lease(bucket.place(endpoint=line.url), "two", "run", unexpected, wait_s=60.0):
            assert words(bucket)["owner"] == "two"

    line.hold = lambda asked: asked.method == "GET"
    waiting = asyncio.create_task(second())
    await asyncio.to_thread(line.holding.wait)
    line.released.set()
    first.release()
    await waiting


async def test_a_directory_needs_none(tmp_path: Path) -> None:
    place = DirectoryStore(tmp_path)
    async with hold_lease(place, "one", "run", unexpected):
        assert place.names(TOP) == set()


def test_a_state_directory_has_one_name_that_no_other_has(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert owner_of(tmp_path / "one") == owner_of(tmp_path / "one") != owner_of(tmp_path / "two")
    assert stat.S_IMODE((tmp_path / "one" / "lease-owner").stat().st_mode) == 0o600
    (tmp_path / "two" / "lease-owner").write_text("")
    assert owner_of(tmp_path / "two") == owner_of(tmp_path / "two") != ""
    with pytest.raises(UsageError, match="cannot be used: No such file or directory"):
        owner_of(tmp_path / "three")
