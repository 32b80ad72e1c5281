"""Short memory. The driver says so by a `MemoryError` without a code, not by an `sqlite3.Error`: it passes by
itself, and only at COMMIT it leaves open what is on disk (docs/adr/0018)."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine import writer
from engine.errors import BatchRefused, CommitUnknown
from engine.outcomes import Accepted
from engine.store import Store
from tests.books_open import ALICE, NOW_US, asked, balances, place, seed, with_store


class Short(sqlite3.Connection):
    """Its next statement with `at` in it finds no memory; what has happened by then is undone, as by SQLite
    where COMMIT fails."""

    at: ClassVar[str | None] = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.at is not None and self.at in sql:
            type(self).at = None
            if sql == "COMMIT":
                super().execute("ROLLBACK")
            raise MemoryError
        return super().execute(sql, *parameters)


@pytest.fixture
def short() -> Iterator[type[Short]]:
    """The class to open a store with; set its `at` when the store is open."""
    yield Short
    Short.at = None


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


def test_the_driver_says_so_without_a_code() -> None:
    """In a process of its own: the limit cannot be lifted again (sqlite.org/pragma.html)."""
    program = """
import sqlite3
books = sqlite3.connect(":memory:", isolation_level=None)
books.execute("CREATE TABLE t (x)")
books.execute("PRAGMA hard_heap_limit = 200000")
try:
    while True:
        books.execute("INSERT INTO t VALUES (randomblob(1000))")
except Exception as error:
    print(type(error).__name__, getattr(error, "sqlite_errorcode", None))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "MemoryError None\n"


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "PRAGMA data_version", "INTO transactions", "INTO blocks"])
def test_before_commit_it_refuses_the_batch_and_passes(books: Path, short: type[Short], at: str) -> None:
    async def use(store: Store) -> None:
        short.at = at
        with pytest.raises(BatchRefused):
            await store.commit(asked(place(1)), NOW_US)
        assert store.failure is None
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        assert isinstance(answer, Accepted)
        assert not answer.replayed

    with_store(books, use, connection_factory=short)
    assert balances(books)[ALICE] == 70


def test_at_commit_nobody_knows_until_a_restart(books: Path, short: type[Short]) -> None:
    async def use(store: Store) -> None:
        short.at = "COMMIT"
        with pytest.raises(CommitUnknown) as unknown:
            await store.commit(asked(place(1)), NOW_US)
        assert unknown.value.has_begun
        assert store.failure is not None

    with_store(books, use, connection_factory=short)
    assert balances(books)[ALICE] == 100


def test_at_the_commit_of_a_step_between_two_batches_too(books: Path, short: type[Short]) -> None:
    async def use(store: Store) -> None:
        short.at = "COMMIT"
        with pytest.raises(CommitUnknown):
            await store.tidy(lambda connection: connection.execute("CREATE TABLE never (x)").close())
        with pytest.raises(CommitUnknown) as refused:
            await store.commit(asked(place(1)), NOW_US)
        assert not refused.value.has_begun, "nothing is written behind it"

    with_store(books, use, connection_factory=short)
    assert balances(books)[ALICE] == 100


def test_in_a_checkpoint_behind_a_commit_the_batch_is_committed_all_the_same(
    books: Path, short: type[Short], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def use(store: Store) -> None:
        short.at = "wal_checkpoint"
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        assert isinstance(answer, Accepted)
        async with asyncio.timeout(5):
            while short.at is not None:
                await asyncio.sleep(0)
        assert store.failure is None
        short.at = "wal_checkpoint"
        with pytest.raises(BatchRefused):
            await store.checkpoint()

    with_store(books, use, connection_factory=short)
    assert balances(books)[ALICE] == 70
