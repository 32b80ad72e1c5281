"""The sizes that are told: without a look at all rows, and without waiting for a disk that hangs."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.files import open_read_only
from engine.sizes import rows_of_tables, sizes
from engine.store import Store
from engine.writer import ROOM_BYTES
from tests.books_open import look
from tests.command import seed
from ws.watching.sizes import Disk, Gauge


@pytest.fixture
def books(tmp_path: Path) -> Path:
    db = tmp_path / "books.db"
    seed(db, players=3)
    return db


def test_the_newest_numbers_are_how_many_there_are(books: Path) -> None:
    connection = open_read_only(books)
    told = sizes(connection)
    connection.close()
    for table, count in {
        "transactions": told.transactions,
        "transaction_ledger": told.entries,
        "blocks": told.blocks,
    }.items():
        assert look(books, f"SELECT count(*) FROM {table}") == [(count,)]
        assert count > 0
    assert told.archives == {"copying": 0, "moving": 0, "moved": 0}


def test_to_tell_the_sizes_no_table_is_read(books: Path) -> None:
    """SQLite's plan has a search for the last row of each, whatever the length; archives are ten at most."""
    connection = open_read_only(books)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    sizes(connection)
    connection.set_trace_callback(None)
    steps = [
        detail
        for statement in statements
        for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    ]
    connection.close()
    assert len(statements) == 2
    assert {step for step in steps if step.startswith("SCAN")} <= {"SCAN archives", "SCAN CONSTANT ROW"}
    assert sum(step.startswith("SEARCH") for step in steps) == 3


def test_every_table_is_counted(books: Path) -> None:
    rows = rows_of_tables(books)
    tables = {name for (name,) in look(books, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert set(rows) == {name for name in tables if not name.startswith("sqlite_")}
    assert rows["transactions"] > 0 == rows["bets"]
    assert look(books, "SELECT count(*) FROM users") == [(rows["users"],)]


@pytest.mark.parametrize(
    ("free", "status"),
    [(ROOM_BYTES - 1, "full"), (ROOM_BYTES, "low"), (10 * ROOM_BYTES - 1, "low"), (10 * ROOM_BYTES, "ok")],
)
def test_what_is_left_of_a_disk(free: int, status: str) -> None:
    assert Disk(100 * ROOM_BYTES, free).status == status


def test_a_file_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    store: Any = SimpleNamespace(path=tmp_path / "none.db")
    gauge = Gauge(store)
    assert (gauge.file_bytes(), gauge.log_bytes(), gauge.disk()) == (0, 0, None)
    (tmp_path / "none.db").write_bytes(b"x" * 7)
    disk = gauge.disk()
    assert gauge.file_bytes() == 7
    assert disk is not None
    assert disk.total == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize


def test_a_reader_that_hangs_is_not_waited_for_nor_asked_twice(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ws.watching.sizes.READ_WITHIN_S", 0.01)
    asked: list[Any] = []

    async def run() -> None:
        store = await Store.open(books)
        try:
            gauge, released = Gauge(store), threading.Event()
            hanging = asyncio.create_task(store.read(lambda connection: released.wait(10)))
            await asyncio.sleep(0)
            read = store.read
            monkeypatch.setattr(store, "read", lambda look: asked.append(look) or read(look))
            await gauge.read()
            await gauge.read()
            assert gauge.newest is None
            assert len(asked) == 1
            released.set()
            await hanging
            monkeypatch.setattr("ws.watching.sizes.READ_WITHIN_S", 10.0)
            await gauge.read()
            assert gauge.newest is not None
        finally:
            await store.close()

    asyncio.run(run())
