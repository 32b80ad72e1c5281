"""Changes beside the money: grouped, each its own, and none told before it is on disk."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batcher import asides as asides_module
from batcher.asides import Asides
from engine.errors import BatchRefused, CommitUnknown, StoreFault
from tests.batches import FULL, IO_ERROR, sqlite_error
from tests.books_open import look, place
from tests.pipelines import Books, new_books, run

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"


def add(number: int) -> Callable[[sqlite3.Connection], int]:
    """One player more may log in."""

    def change(connection: sqlite3.Connection) -> int:
        connection.execute(
            "INSERT INTO credentials VALUES (?, ?, 'player', ?, 1, 1, NULL)", (number, f"name {number}", HASH)
        )
        return number

    return change


def fails(connection: sqlite3.Connection) -> None:
    """Writes, and then finds that it may not."""
    add(999)(connection)
    raise ZeroDivisionError


def known(path: Path) -> list[int]:
    return [user_id for (user_id,) in look(path, "SELECT user_id FROM credentials ORDER BY user_id")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_books(tmp_path)


def test_a_thousand_changes_at_once_are_a_few_commits(path: Path) -> None:
    async def use(books: Books) -> None:
        asides, before = Asides(books.store), books.store.commits
        numbers = await asyncio.gather(*(asides.change(add(number)) for number in range(1, 1001)))
        assert numbers == [*range(1, 1001)]
        groups = 1000 / asides_module.GROUP_MAX
        assert groups <= books.store.commits - before <= groups + 1, "and none of them is long"
        assert known(path) == numbers

    run(path.parent, use)


def test_what_comes_while_a_commit_runs_waits_for_the_next(path: Path) -> None:
    async def use(books: Books) -> None:
        asides, before = Asides(books.store), books.store.commits
        books.disk.hold()
        first = asyncio.create_task(asides.change(add(1)))
        await books.disk.holds_one()
        rest = [asyncio.create_task(asides.change(add(number))) for number in range(2, 50)]
        await asyncio.sleep(0)
        assert not first.done(), "told before it is on disk"
        books.disk.release()
        await asyncio.gather(first, *rest)
        assert books.store.commits - before == 2

    run(path.parent, use)


def test_beside_bets_what_comes_soon_after_a_commit_shares_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asides_module, "REST_S", 0.3)

    async def use(books: Books) -> None:
        asides, before = Asides(books.store, itertools.count(1).__next__), books.store.commits
        await asides.change(add(1))
        ended_s = time.monotonic()
        second = asyncio.create_task(asides.change(add(2)))
        await asyncio.sleep(0.05)
        await asyncio.gather(second, asides.change(add(3)))
        assert books.store.commits - before == 2
        assert time.monotonic() - ended_s > 0.29

    run(path.parent, use)


def test_a_rest_ends_where_enough_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides_module, "REST_S", 60.0)

    async def use(books: Books) -> None:
        asides, before = Asides(books.store, itertools.count(1).__next__), books.store.commits
        await asides.change(add(1))
        numbers = range(2, 2 + asides_module.ENOUGH)
        almost = [asyncio.create_task(asides.change(add(number))) for number in numbers[:-1]]
        await asyncio.sleep(0.05)
        assert known(path) == [1]
        async with asyncio.timeout(10):
            await asyncio.gather(*almost, asides.change(add(numbers[-1])))
        assert books.store.commits - before == 2

    run(path.parent, use)


def test_what_is_urgent_takes_along_what_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides_module, "REST_S", 60.0)

    async def use(books: Books) -> None:
        asides, before = Asides(books.store, itertools.count(1).__next__), books.store.commits
        async with asyncio.timeout(10):
            await asides.change(add(1))
            waits = asyncio.create_task(asides.change(add(2)))
            await asyncio.sleep(0.05)
            assert known(path) == [1]
            await asyncio.gather(waits, asides.change(add(3), is_urgent=True))
            assert books.store.commits - before == 2
        last = asyncio.create_task(asides.change(add(4)))
        await asyncio.sleep(0.05)
        assert known(path) == [1, 2, 3], "the next one rests again"
        last.cancel()

    run(path.parent, use)


def test_with_nobody_betting_nothing_rests(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides_module, "REST_S", 60.0)

    async def use(books: Books) -> None:
        asides = Asides(books.store, lambda: 7)
        async with asyncio.timeout(10):
            for number in range(1, 4):
                await asides.change(add(number))

    run(path.parent, use)


def test_one_that_fails_is_undone_and_the_others_stand(path: Path) -> None:
    async def use(books: Books) -> None:
        asides, before = Asides(books.store), books.store.commits
        changes = [add(1), fails, add(1), add(2)]
        told = await asyncio.gather(*map(asides.change, changes), return_exceptions=True)
        assert [type(each) for each in told] == [int, ZeroDivisionError, sqlite3.IntegrityError, int]
        assert known(path) == [1, 2]
        assert books.store.commits - before == 1

    run(path.parent, use)


def test_bets_go_on_between_two_groups(path: Path) -> None:
    async def use(books: Books) -> None:
        asides = Asides(books.store)
        prepared = await books.prepare(place(1))
        await asides.change(add(1))
        assert await books.store.write(prepared), "what is beside the money makes no batch void"

    run(path.parent, use)


def test_a_commit_that_the_disk_refuses_has_failed_for_all_of_its_group(path: Path) -> None:
    async def use(books: Books) -> None:
        asides = Asides(books.store)
        books.disk.fail(FULL)
        told = await asyncio.gather(
            *(asides.change(add(number)) for number in (1, 2)), return_exceptions=True
        )
        assert [type(each) for each in told] == [BatchRefused, BatchRefused]
        assert known(path) == []
        assert await asides.change(add(3)) == 3

    run(path.parent, use)


@pytest.mark.parametrize("error", [sqlite_error(*FULL), MemoryError("no memory")])
def test_an_error_of_the_storage_is_no_fault_of_one_change(path: Path, error: Exception) -> None:
    """SQLite may have rolled all of it back by then: whoever came before must not hear that it is done."""

    def meets_it(connection: sqlite3.Connection) -> None:
        raise error

    async def use(books: Books) -> None:
        asides = Asides(books.store)
        told = await asyncio.gather(asides.change(add(1)), asides.change(meets_it), return_exceptions=True)
        assert [type(each) for each in told] == [BatchRefused, BatchRefused]
        assert known(path) == []

    run(path.parent, use)


def test_a_commit_of_which_nobody_knows_is_said_so_and_then_nothing_is_taken(path: Path) -> None:
    async def use(books: Books) -> None:
        asides = Asides(books.store)
        books.disk.fail(IO_ERROR)
        faults: list[StoreFault] = []
        for number in (1, 2):
            with pytest.raises(CommitUnknown) as raised:
                await asides.change(add(number))
            faults.append(raised.value)
        assert [isinstance(fault, CommitUnknown) and fault.has_begun for fault in faults] == [True, False]

    run(path.parent, use)


def test_whoever_goes_away_does_not_take_the_others_with_him(path: Path) -> None:
    async def use(books: Books) -> None:
        asides = Asides(books.store)
        books.disk.hold()
        gone = asyncio.create_task(asides.change(add(1)))
        await books.disk.holds_one()
        also_gone, stays = (asyncio.create_task(asides.change(add(number))) for number in (2, 3))
        await asyncio.sleep(0)
        gone.cancel()
        also_gone.cancel()
        books.disk.release()
        assert await stays == 3
        assert known(path) == [1, 2, 3]

    run(path.parent, use)


def test_too_many_are_told_to_come_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides_module, "WAITING_MAX", 3)

    async def use(books: Books) -> None:
        asides = Asides(books.store)
        told = await asyncio.gather(
            *(asides.change(add(number)) for number in range(1, 6)), return_exceptions=True
        )
        assert [type(each) for each in told] == [int, int, int, BatchRefused, BatchRefused]
        assert await asides.change(add(6)) == 6

    run(path.parent, use)
