"""What every source promises, as tests that each source's test class inherits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import FetchError
from batch_scan.model import Item, Refused
from batch_scan.report.published import identify_by_row, identify_by_uri
from batch_scan.vocabulary import Reason, Status

if TYPE_CHECKING:
    from batch_scan.source.interface import Source


@dataclass(frozen=True, slots=True)
class Case:
    """A source, and what must come out of it."""

    source: Source
    contents: list[bytes]
    """What the openable entries hold, in order."""
    refused: list[Reason]
    """Why the others are not opened, in order."""
    scratch: Path


class SourceContract:
    """Inherit, and provide a fixture `case`."""

    @pytest.fixture
    def case(self) -> Case:
        pytest.fail("a contract's heir provides its case")

    def test_every_entry_comes_exactly_once_with_a_running_index(self, case: Case) -> None:
        items = [_item(entry) for entry in case.source.entries()]
        assert [item.index for item in items] == list(range(len(case.contents) + len(case.refused)))

    def test_two_walks_give_the_same_entries_in_the_same_order(self, case: Case) -> None:
        assert list(case.source.entries()) == list(case.source.entries())

    def test_entries_can_be_walked_in_another_thread(self, case: Case) -> None:
        assert asyncio.run(asyncio.to_thread(lambda: list(case.source.entries()))) == list(case.source.entries())

    def test_identities_are_unique(self, case: Case) -> None:
        identities = [_item(entry).identity for entry in case.source.entries()]
        assert len(set(identities)) == len(identities)

    def test_a_run_that_goes_on_recognises_every_entry_by_its_published_row(self, case: Case) -> None:
        identify = identify_by_row if case.source.sha256 else identify_by_uri
        for item in map(_item, case.source.entries()):
            assert identify(item.index, item.uri) == item.identity

    def test_what_is_shown_can_be_written_as_utf8(self, case: Case) -> None:
        for entry in case.source.entries():
            item = _item(entry)
            for text in (item.uri, item.identity, *item.manifest, *item.manifest.values()):
                text.encode("utf-8")

    def test_refused_entries_say_why(self, case: Case) -> None:
        refused = [entry for entry in case.source.entries() if isinstance(entry, Refused)]
        assert [entry.shortfall.reason for entry in refused] == case.refused
        for entry in refused:
            assert entry.shortfall.detail
            assert entry.shortfall.detail.isprintable()
            assert (entry.status is Status.SKIPPED) == (entry.shortfall.reason is Reason.EXCLUDED)

    def test_total_is_the_number_of_entries_where_it_is_known(self, case: Case) -> None:
        assert case.source.total() in {None, len(case.contents) + len(case.refused)}

    async def test_fetch_gives_the_bytes_and_leaves_nothing_behind(self, case: Case) -> None:
        contents = []
        for item in _items(case):
            async with case.source.fetch(item) as path:
                contents.append(path.read_bytes())
            assert list(case.scratch.iterdir()) == []
            assert str(path) not in _open_files()
        assert contents == case.contents

    async def test_fetch_leaves_nothing_behind_when_its_user_fails(self, case: Case) -> None:
        item = _items(case)[0]
        with pytest.raises(ZeroDivisionError):
            async with case.source.fetch(item) as path:
                raise ZeroDivisionError
        assert list(case.scratch.iterdir()) == []
        assert str(path) not in _open_files()

    async def test_one_item_can_be_fetched_twice_at_once(self, case: Case) -> None:
        item = _items(case)[0]
        async with case.source.fetch(item) as one, case.source.fetch(item) as other:
            assert one.read_bytes() == other.read_bytes() == case.contents[0]

    def test_stat_tells_the_size_where_it_tells_anything(self, case: Case) -> None:
        for item, content in zip(_items(case), case.contents, strict=True):
            stat = case.source.stat(item)
            assert stat is None or stat.size_bytes == len(content)


def _item(entry: Item | Refused) -> Item:
    return entry.item if isinstance(entry, Refused) else entry


def _items(case: Case) -> list[Item]:
    return [entry for entry in case.source.entries() if isinstance(entry, Item)]


def _open_files() -> set[str]:
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # the one that lists the directory
    return links


def reasons(source: Source) -> list[Reason | None]:
    """Return why each entry is refused; None for those that are not."""
    return [entry.shortfall.reason if isinstance(entry, Refused) else None for entry in source.entries()]


def only_item(source: Source) -> Item:
    """Return the one entry of a source, which must be openable."""
    (entry,) = source.entries()
    assert isinstance(entry, Item)
    return entry


def only_refused(source: Source) -> Refused:
    """Return the one entry of a source, which must be refused."""
    (entry,) = source.entries()
    assert isinstance(entry, Refused)
    return entry


async def fetch_failure(source: Source, item: Item) -> FetchError:
    """Return the error that fetching ends with."""
    with pytest.raises(FetchError) as caught:
        async with source.fetch(item):
            pytest.fail("was fetched")
    return caught.value
