"""What waits behind a COMMIT that ends unknown, and what follows set-up whose COMMIT fails."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.errors import CommitUnknown
from tests.batches import FULL, IO_ERROR
from tests.books_open import bet_id, place
from tests.pipelines import Books, new_books, run

LATE = "UPDATE users SET status = 'blocked'"


async def a_step(books: Books) -> object:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute(LATE)

    return await books.store.tidy(change)


async def a_checkpoint(books: Books) -> object:
    return await books.store.checkpoint()


async def a_cutting_checkpoint(books: Books) -> object:
    return await books.store.checkpoint(100)


@pytest.mark.parametrize("then", [a_step, a_checkpoint, a_cutting_checkpoint], ids=lambda then: then.__name__)
def test_nothing_behind_an_unknown_commit_is_begun(
    tmp_path: Path, then: Callable[[Books], Awaitable[object]]
) -> None:
    new_books(tmp_path)

    async def use(books: Books) -> None:
        books.disk.fail(IO_ERROR, after=True)  # it is done, and nobody can know
        books.disk.hold()
        doubtful = asyncio.create_task(books.commit(place(1)))
        await books.disk.holds_one()
        behind = asyncio.create_task(asyncio.wait_for(then(books), 10))  # asked while all was well
        await books.store.read(lambda connection: None)
        assert books.store.failure is None
        log = books.store.path.with_name(f"{books.store.path.name}-wal")
        books.disk.release()
        with pytest.raises(CommitUnknown) as first:
            await doubtful
        with pytest.raises(CommitUnknown) as second:
            await behind
        assert (first.value.has_begun, second.value.has_begun) == (True, False)
        assert log.stat().st_size > 0, "the log is left to the next start"
        assert books.ledger() == [bet_id(1)]
        statuses = await books.store.read(
            lambda connection: connection.execute("SELECT DISTINCT status FROM users").fetchall()
        )
        assert statuses == [("open",)]

    run(tmp_path, use)


@pytest.mark.parametrize(("fault", "is_broken"), [(IO_ERROR, True), (FULL, False)], ids=["broken", "full"])
def test_set_up_on_a_broken_storage_ends_the_taking_of_money(
    tmp_path: Path, fault: tuple[int, str], is_broken: bool
) -> None:
    new_books(tmp_path)

    async def use(books: Books) -> None:
        books.disk.fail(fault)
        with pytest.raises(sqlite3.OperationalError, match=fault[1]):
            await books.store.set_up(lambda connection: connection.execute(LATE).rowcount)
        if is_broken:
            assert books.store.failure == f"set up failed: {fault[1]}"
            with pytest.raises(CommitUnknown):
                await books.commit(place(1))
        else:
            assert books.store.failure is None

    run(tmp_path, use)
    with contextlib.closing(sqlite3.connect(tmp_path / "books.db")) as file:
        assert file.execute("SELECT DISTINCT status FROM users").fetchall() == [("open",)]
