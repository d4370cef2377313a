from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, cast

import pytest

from batch_scan.errors import FetchError
from batch_scan.model import Stat
from batch_scan.source.lookups import Lookups
from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from batch_scan.source.bucket_fetch import BucketFiles

AT_ONCE = 16


class Store:
    """Knows the size of what is named by a number; `lost` is not there, `slow` takes for ever."""

    def __init__(self) -> None:
        self.asking = self.most = self.given_up = 0
        self.is_full = threading.Event()

    async def look_at(self, locator: str) -> Stat:
        self.asking += 1
        self.most = max(self.most, self.asking)
        if self.asking == AT_ONCE:
            self.is_full.set()
        try:
            if locator == "lost":
                raise FetchError(Reason.MISSING, "there is no such object")
            await (asyncio.Event().wait() if locator == "slow" else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.asking -= 1
        return Stat(int(locator), 0)


def lookups_at(store: Store) -> Lookups:
    return Lookups(cast("BucketFiles", store))


def test_each_answer_comes_to_who_asked() -> None:
    with lookups_at(Store()) as lookups:
        answers = [lookups.submit(str(number)) for number in range(100)]
        lost = lookups.submit("lost")
        assert [answer.result().size_bytes for answer in answers] == list(range(100))
        with pytest.raises(FetchError, match="no such object"):
            lost.result()


def test_leaving_gives_up_what_is_under_way_and_what_waits_and_ends_the_thread() -> None:
    store = Store()
    with lookups_at(store) as lookups:
        answers = [lookups.submit("slow") for _ in range(2 * AT_ONCE)]
        assert store.is_full.wait(30)
    assert all(answer.cancelled() for answer in answers)
    assert (store.most, store.given_up, store.asking) == (AT_ONCE, AT_ONCE, 0)
    assert not [thread for thread in threading.enumerate() if thread.name == "buckets"]


def test_where_nothing_is_asked_no_thread_is_started() -> None:
    with lookups_at(Store()):
        assert not [thread for thread in threading.enumerate() if thread.name == "buckets"]


ABANDONED = """
import asyncio
from batch_scan.source.lookups import Lookups

class Store:
    async def look_at(self, locator):
        await asyncio.Event().wait()

def asking():
    with Lookups(Store()) as lookups:
        lookups.submit("slow")
        yield

left = asking()
next(left)
"""


def test_what_nobody_went_on_with_does_not_hold_the_end_of_the_process_up() -> None:
    ended = subprocess.run([sys.executable, "-c", ABANDONED], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
