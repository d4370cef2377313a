from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.ledger import Ledger, RunStart
from batch_scan.model import RunId
from tests.ledger_kit import NOW, rows_of

if TYPE_CHECKING:
    from pathlib import Path


async def begin(ledger: Ledger, run_id: str) -> None:
    await ledger.begin_run(RunStart(RunId(run_id), "f", "s", "", "r", NOW))


async def test_a_path_is_made_once_per_run_and_cannot_be_guessed(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        await begin(ledger, "run-1")
        paths = [await ledger.callbacks.path(run_id) for run_id in ("run-1", "run-1", "run-2")]
    assert paths[0] == paths[1] != paths[2]
    assert all(len(path) == 48 and set(path) <= set("0123456789abcdef") for path in paths)
    async with Ledger.open(tmp_path) as ledger:
        assert await ledger.callbacks.path("run-1") == paths[0]


async def test_callbacks_are_kept_in_order_and_once(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        rows = ledger.callbacks
        numbers = [await rows.keep("run-1", "toy", f"s-{n % 2}", f"d-{n}", b"body %d" % n) for n in range(4)]
        assert await rows.keep("run-1", "toy", "s-0", "d-0", b"body 0") is None
        assert await rows.keep("run-2", "toy", "s-0", "d-0", b"body 0") is not None
        await rows.keep("run-1", "other", "s-0", "d-9", b"body 0")
        assert [callback.number for callback in rows.kept("run-1", "toy")] == numbers
        assert [(callback.subject, callback.size_bytes) for callback in rows.kept("run-1", "toy")] == [
            ("s-0", 6),
            ("s-1", 6),
            ("s-0", 6),
            ("s-1", 6),
        ]
        assert [rows.has("run-1", digest) for digest in ("d-0", "d-8")] == [True, False]
        assert numbers[2] is not None
        assert rows.body(numbers[2]) == b"body 2"
        rows.forget("run-1", "toy", "s-0")
        await ledger.flush()
        assert [callback.subject for callback in rows.kept("run-1", "toy")] == ["s-1", "s-1"]
        with pytest.raises(LookupError):
            rows.body(numbers[2])


async def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        for run_id in ("run-1", "run-2"):
            await begin(ledger, run_id)
            await ledger.callbacks.path(run_id)
            await ledger.callbacks.keep(run_id, "toy", "s", "d", b"body")
        await ledger.finish_run("run-1", 0, NOW)
    assert rows_of(tmp_path, "SELECT run_id FROM callbacks UNION ALL SELECT run_id FROM callback_paths") == [
        ("run-2",),
        ("run-2",),
    ]


async def test_a_run_that_never_began_leaves_nothing_for_ever(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path) as ledger:
        await begin(ledger, "unfinished")
        for run_id in ("unfinished", "never begun"):
            await ledger.callbacks.path(run_id)
            await ledger.callbacks.keep(run_id, "toy", "s", "d", b"body")
        await ledger.callbacks.path("new")
    assert rows_of(tmp_path, "SELECT run_id FROM callback_paths ORDER BY run_id") == [("new",), ("unfinished",)]
    assert rows_of(tmp_path, "SELECT run_id FROM callbacks") == [("unfinished",)]
