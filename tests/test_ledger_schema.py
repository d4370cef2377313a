from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.errors import LedgerError, UsageError
from batch_scan.ledger import Ledger
from batch_scan.ledger_schema import SCHEMA_VERSION
from batch_scan.lock import make_directory
from tests.ledger_kit import NOW, ask, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

OLD_SCHEMA = Path(__file__).with_name("ledger_schema_1.sql")


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


def old_ledger(state: Path) -> None:
    make_directory(state)
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD_SCHEMA.read_text(encoding="utf-8"))
        connection.execute(
            "INSERT INTO requests (request_id, run_id, process, endpoint, operation, state, attempts, samples,"
            " tokens_max, tokens_charged, content_keys, sent_at, answer)"
            " VALUES ('r-1', 'run-1', 'p', 'safecomms', 'image', 'answered', 1, 1, 5, 3, '', ?, ?)",
            (NOW.isoformat(), zlib.compress(b"{}")),
        )
        connection.execute("INSERT INTO answers VALUES ('k-1', 1, 0)")
        connection.commit()


async def test_an_older_ledger_is_brought_up_to_date_where_it_lies_and_keeps_its_answers(state: Path) -> None:
    old_ledger(state)
    for _ in range(2):
        async with Ledger.open(state) as ledger:
            assert ledger.answers(["k-1"])["k-1"].tokens_charged == 3
            await ledger.callbacks.keep("run-1", "toy", "a", "digest", b"body")
            assert [callback.subject for callback in ledger.callbacks.kept("run-1", "toy")] == ["a"]
    assert rows_of(state, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


async def test_an_old_and_a_new_ledger_have_the_same_tables(tmp_path: Path) -> None:
    old_ledger(tmp_path / "old")
    for name in ("old", "new"):
        async with Ledger.open(tmp_path / name):
            pass
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    assert rows_of(tmp_path / "old", sql) == rows_of(tmp_path / "new", sql)


async def test_a_ledger_that_cannot_be_brought_up_to_date_stays_as_it_was(state: Path) -> None:
    old_ledger(state)
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        connection.execute("CREATE TABLE callbacks (in_the_way TEXT)")
    before = rows_of(state, "SELECT name FROM sqlite_schema ORDER BY name")
    with pytest.raises(UsageError, match="cannot be opened: table callbacks already exists"):
        async with Ledger.open(state):
            pass
    assert rows_of(state, "PRAGMA user_version") == [(1,)]
    assert rows_of(state, "SELECT name FROM sqlite_schema ORDER BY name") == before


@pytest.mark.parametrize(
    "look",
    [
        lambda ledger: ledger.answers([f"k-{number}-7" for number in range(50)]),
        lambda ledger: list(ledger.paid("run-1")),
    ],
    ids=["answers", "paid"],
)
async def test_damage_that_is_met_later_is_an_error_that_says_so_and_never_no_answer(
    state: Path, look: Callable[[Ledger], object]
) -> None:
    async with Ledger.open(state) as ledger:
        for number in range(50):
            await ask(ledger, f"r-{number}", [f"k-{number}-{position}" for position in range(50)])
    content = bytearray((state / "ledger.sqlite3").read_bytes())
    page_bytes = 4096
    content[2 * page_bytes :] = b"\xa5" * (len(content) - 2 * page_bytes)
    (state / "ledger.sqlite3").write_bytes(content)
    with pytest.raises((UsageError, LedgerError), match=r"is damaged .*backup"):
        async with Ledger.open(state) as ledger:
            look(ledger)


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
