from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from batch_scan.model import Item, Refused
from batch_scan.source.ahead import read_ahead
from batch_scan.source.options import SourceOptions
from tests.source.opening import opened

if TYPE_CHECKING:
    import pytest

    from batch_scan.source.interface import Source


def archive(directory: Path, count: int) -> Source:
    for number in range(count):
        (directory / f"{number:04}.mp4").write_bytes(b"x")
    (directory / "link.mp4").symlink_to("0000.mp4")
    return opened(str(directory), SourceOptions())


async def test_every_entry_comes_once_in_order_with_what_its_source_says_of_it(tmp_path: Path) -> None:
    source = archive(tmp_path, 600)
    found = [one async for one in read_ahead(source)]
    assert [entry for entry, _ in found] == list(source.entries())
    for entry, stat in found:
        assert stat == (source.stat(entry) if isinstance(entry, Item) else None)
    assert sum(isinstance(entry, Refused) for entry, _ in found) == 1


async def test_an_entry_that_waited_long_is_looked_at_again(tmp_path: Path) -> None:
    source = archive(tmp_path, 2)
    entries = read_ahead(source, fresh_s=0.0)
    await anext(entries)
    (tmp_path / "0001.mp4").write_bytes(b"other")
    _, stat = await anext(entries)
    assert stat is not None
    assert stat.size_bytes == len("other")
    await entries.aclose()


async def test_files_are_looked_at_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive(tmp_path, 3)
    threads = []
    look = source.stat

    def watched(item: Item) -> object:
        threads.append(threading.current_thread())
        return look(item)

    monkeypatch.setattr(source, "stat", watched)
    for fresh_s in (0.0, 60.0):
        async for _ in read_ahead(source, fresh_s):
            pass
    assert threads
    assert threading.current_thread() not in threads
