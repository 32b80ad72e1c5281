"""A storage that is broken ends the taking of money until a restart, wherever a batch or a step met it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.errors import BatchAborted, BatchRefused, CommitUnknown
from engine.outcomes import Accepted
from engine.store import Asked, Store
from tests.batches import IO_ERROR, Disk, sqlite_error
from tests.books_open import ALICE, NOW_US, asked, balances, look, place, play, seed, with_store
from tests.store_faults import UNTOUCHED, ends_the_taking_of_money, fails_then_works

BROKEN = [
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY_DBMOVED,
]


class Breaking(sqlite3.Connection):
    """Its next statement with `at` in it fails with `code`."""

    at: ClassVar[str | None] = None
    code: ClassVar[int] = sqlite3.SQLITE_IOERR

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.at is not None and self.at in sql:
            type(self).at = None
            raise sqlite_error(self.code, "made up by a test")
        return super().execute(sql, *parameters)


@pytest.fixture
def breaking() -> Iterator[type[Breaking]]:
    """The class to open a store with; set its `at` and `code` when the store is open."""
    yield Breaking
    Breaking.at, Breaking.code = None, sqlite3.SQLITE_IOERR


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "PRAGMA data_version", "INTO transactions", "INTO blocks"])
@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_storage_before_commit_refuses_the_batch_and_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking], code: int, at: str
) -> None:
    async def use(store: Store) -> None:
        breaking.at, breaking.code = at, code
        with pytest.raises(BatchRefused):
            await store.commit(asked(place(1)), NOW_US)
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED
    assert isinstance(play(books, [place(1)])[0][0], Accepted)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR_NOMEM, sqlite3.SQLITE_FULL]
)
def test_what_may_pass_refuses_the_batch_only(books: Path, breaking: type[Breaking], code: int) -> None:
    async def use(store: Store) -> None:
        breaking.at, breaking.code = "INTO transactions", code
        await fails_then_works(store, BatchRefused, Asked(place(1)))
        await store.commit(asked(place(1)), NOW_US)

    with_store(books, use, connection_factory=breaking)
    assert balances(books)[ALICE] == 70


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "made up"])
def test_a_broken_storage_in_a_step_between_two_batches_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking], at: str
) -> None:
    async def use(store: Store) -> None:
        breaking.at = at
        with pytest.raises(sqlite3.OperationalError):
            await store.tidy(lambda connection: connection.execute("SELECT 'made up'").close())
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED


def test_a_broken_storage_when_nothing_is_known_yet_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking]
) -> None:
    """The first batch is looked up on the writer's connection."""

    async def use(store: Store) -> None:
        breaking.at = "SELECT"
        with pytest.raises(BatchRefused):
            await store.commit(asked(place(1)), NOW_US)
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED


@pytest.mark.parametrize("broken", [False, True])
def test_a_storage_that_has_failed_leaves_its_log_to_the_next_start(
    books: Path, breaking: type[Breaking], broken: bool
) -> None:
    """To checkpoint at the end would delete the only copy of what the database may have lost."""

    async def use(store: Store) -> None:
        await store.commit(asked(place(1)), NOW_US)
        if broken:
            breaking.at = "BEGIN IMMEDIATE"
            with pytest.raises(BatchRefused):
                await store.commit(asked(place(2)), NOW_US)

    with_store(books, use, connection_factory=breaking)
    log = books.with_name(f"{books.name}-wal")
    assert (log.exists() and log.stat().st_size > 0) is broken
    assert balances(books)[ALICE] == 70


def test_a_commit_that_fails_while_the_file_is_being_closed_leaves_the_log_as_well(books: Path) -> None:
    """A stop does not wait for a COMMIT that hangs; nor may it write behind one that then fails."""
    disk = Disk()

    async def run() -> Store:
        store = await Store.open(books, connection_factory=disk.connection())
        await store.commit(asked(place(1)), NOW_US)
        disk.hold()
        disk.fail(IO_ERROR)
        betting = asyncio.create_task(store.commit(asked(place(2)), NOW_US))
        await disk.holds_one()
        betting.cancel()
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)  # the turn in which it begins
        disk.release()
        await closing
        return store

    assert asyncio.run(run()).failure is not None
    log = books.with_name(f"{books.name}-wal")
    assert log.exists()
    assert log.stat().st_size > 0
    assert balances(books)[ALICE] == 70


def test_a_rollback_that_fails_ends_the_taking_of_money(books: Path) -> None:
    class Stuck(sqlite3.Connection):
        armed: ClassVar[bool] = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if self.armed and (sql == "ROLLBACK" or "INTO blocks" in sql):
                raise sqlite3.OperationalError("stuck")
            return super().execute(sql, *parameters)

    async def use(store: Store) -> None:
        Stuck.armed = True
        with pytest.raises(BatchAborted):
            await store.commit(asked(place(1)), NOW_US)
        with pytest.raises(CommitUnknown, match="ROLLBACK failed"):
            await store.commit(asked(place(2)), NOW_US)

    with_store(books, use, connection_factory=Stuck)
    assert balances(books) == UNTOUCHED
    assert look(books, "SELECT count(*) FROM open_batch") == [(0,)]
    assert isinstance(play(books, [place(1)])[0][0], Accepted)
