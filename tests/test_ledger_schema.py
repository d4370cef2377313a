from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batch_scan.errors import LedgerError, UsageError
from batch_scan.ledger import Ledger
from batch_scan.lock import make_directory
from tests.ledger_kit import ask


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_the_ledger_and_its_directory_are_their_owners_alone(state: Path) -> None:
    def open_to_others() -> dict[str, int]:
        return {path.name: path.stat().st_mode & 0o077 for path in (state, *state.iterdir())}

    async with Ledger.open(state):
        assert open_to_others() == dict.fromkeys(
            ("state", "lock", "ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"), 0
        )


async def test_a_file_that_is_no_database_is_refused_and_left_alone(state: Path) -> None:
    make_directory(state)
    (state / "ledger.sqlite3").write_bytes(b"a letter, not a ledger" * 100)
    with pytest.raises(UsageError, match=r"ledger.sqlite3 is damaged .*restore it from a backup"):
        async with Ledger.open(state):
            pass
    assert (state / "ledger.sqlite3").read_bytes() == b"a letter, not a ledger" * 100


async def test_another_programs_database_is_refused_and_left_alone(state: Path) -> None:
    make_directory(state)
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    before = (state / "ledger.sqlite3").read_bytes()
    with pytest.raises(UsageError, match="is not a ledger of batch-scan"):
        async with Ledger.open(state):
            pass
    assert (state / "ledger.sqlite3").read_bytes() == before


async def test_a_newer_ledger_is_refused(state: Path) -> None:
    async with Ledger.open(state):
        pass
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(UsageError, match="schema 999"):
        async with Ledger.open(state):
            pass


async def test_damage_that_is_met_later_is_an_error_that_says_so_and_never_no_answer(state: Path) -> None:
    async with Ledger.open(state) as ledger:
        for number in range(50):
            await ask(ledger, f"r-{number}", [f"k-{number}-{position}" for position in range(50)])
    content = bytearray((state / "ledger.sqlite3").read_bytes())
    page_bytes = 4096
    content[2 * page_bytes :] = b"\xa5" * (len(content) - 2 * page_bytes)
    (state / "ledger.sqlite3").write_bytes(content)
    with pytest.raises((UsageError, LedgerError), match=r"is damaged .*backup"):
        async with Ledger.open(state) as ledger:
            ledger.answers([f"k-{number}-7" for number in range(50)])


async def test_a_directory_that_cannot_be_used_is_an_error_that_names_the_place_and_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match="file/state cannot be used: Not a directory; name a directory on a local disk"
    ):
        async with Ledger.open(tmp_path / "file" / "state"):
            pass
    (tmp_path / "state" / "ledger.sqlite3").mkdir(parents=True)
    with pytest.raises(UsageError, match="state cannot be used: Is a directory"):
        async with Ledger.open(tmp_path / "state"):
            pass
