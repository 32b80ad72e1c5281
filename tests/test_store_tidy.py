"""Steps of an archive between two batches: the batches stay true, and what fails has not happened."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine.errors import BatchRefused, CommitUnknown
from engine.outcomes import Accepted
from tests.archived import archived
from tests.archived import opened as begun
from tests.batches import FULL, IO_ERROR
from tests.books_open import bet_id, look, place, settle
from tests.books_to_archive import KNOWN, LATER_US, new_books, use, why
from tests.pipelines import Books


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_books(tmp_path)


def note(connection: sqlite3.Connection) -> int:
    """One key more; how many there are."""
    connection.execute("INSERT INTO archived_keys VALUES (randomblob(16))")
    (count,) = connection.execute("SELECT count(*) FROM archived_keys").fetchone()
    return int(count)


def keys(path: Path) -> int:
    ((count,),) = look(path, "SELECT count(*) FROM archived_keys")
    return int(count)


def test_batches_that_are_decided_ahead_stay_true(path: Path) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        first, second = await books.prepare(place(11)), await books.prepare(place(12))
        assert await books.store.tidy(note) == 1
        assert await books.store.write(first)
        third = await books.prepare(place(13))
        assert await books.store.tidy(note) == 2
        assert [await books.store.write(each) for each in (second, third)] == [True, True]
        assert books.decided.numbers == [11, 12, 13]  # none was decided again

    use(path, scenario)
    assert keys(path) == 2


def test_a_batch_stays_true_while_what_it_looked_at_is_moved(path: Path) -> None:
    """It replays what was there when it was looked up."""
    archived(path, LATER_US, steps=0, now_us=LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(1), settle("s1", 1, "lost"), place(14), now_us=LATER_US)
        await books.store.tidy(everything)
        assert await books.store.write(prepared)
        again, settled, new = prepared.outcomes
        assert isinstance(again, Accepted)
        assert isinstance(settled, Accepted)
        assert isinstance(new, Accepted)
        assert (again.replayed, settled.replayed, new.replayed) == (True, True, False)
        (late,) = await books.commit(place(1))
        assert why(late) == KNOWN

    use(path, scenario)


def everything(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM bets WHERE state <> 'confirmed'")
    connection.execute("DELETE FROM transactions WHERE kind = 'DEPOSIT' AND block_id <= 2")
    connection.execute("DELETE FROM transactions WHERE key = ?", (bet_id(1),))
    connection.execute("DELETE FROM transactions WHERE kind = 'LOSS'")


def test_what_fails_between_batches_has_not_happened(path: Path) -> None:
    begun(path, LATER_US)

    def fails(connection: sqlite3.Connection) -> None:
        note(connection)
        raise ZeroDivisionError

    def is_refused(connection: sqlite3.Connection) -> None:
        note(connection)
        connection.execute("DELETE FROM transactions")

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        with pytest.raises(ZeroDivisionError):
            await books.store.tidy(fails)
        with pytest.raises(sqlite3.IntegrityError, match="transactions is append-only"):
            await books.store.tidy(is_refused)
        assert await books.store.write(prepared)
        assert await books.store.tidy(note) == 1

    use(path, scenario)
    assert keys(path) == 1


def test_a_commit_between_batches_that_is_refused_has_failed(path: Path) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(FULL)
        with pytest.raises(BatchRefused):
            await books.store.tidy(note)
        assert books.store.failure is None
        assert await books.store.write(prepared)
        assert await books.store.tidy(note) == 1

    use(path, scenario)
    assert keys(path) == 1


@pytest.mark.parametrize("after", [False, True], ids=["it was not done", "it was done"])
def test_a_commit_between_batches_of_which_nobody_knows_ends_the_store(path: Path, after: bool) -> None:
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(IO_ERROR, after=after)
        with pytest.raises(CommitUnknown):
            await books.store.tidy(note)
        assert books.store.failure is not None
        for again in (books.store.write(prepared), books.store.tidy(note)):
            with pytest.raises(CommitUnknown):
                await again

    use(path, scenario)
    assert keys(path) == after
    assert look(path, "SELECT count(*) FROM bets WHERE stake = 30") == [(2,)]


def test_nothing_is_done_between_batches_behind_a_commit_of_which_nobody_knows(path: Path) -> None:
    """Also what waited for the writer: a later COMMIT may succeed without the pages that were lost."""
    begun(path, LATER_US)

    async def scenario(books: Books) -> None:
        prepared = await books.prepare(place(11))
        books.disk.fail(IO_ERROR)
        written, noted = await asyncio.gather(
            books.store.write(prepared), books.store.tidy(note), return_exceptions=True
        )
        assert isinstance(written, CommitUnknown)
        assert isinstance(noted, CommitUnknown)

    use(path, scenario)
    assert keys(path) == 0
