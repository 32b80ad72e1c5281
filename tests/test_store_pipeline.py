"""Batches decided ahead of the file, on real files: what becomes of the second when the first one fails."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.commands import Command
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import Accepted, Code, Outcome, Rejected
from tests.batches import CONSTRAINT, FULL, IO_ERROR
from tests.books_open import BOB, balances, bet_id, deposit, look, place
from tests.pipelines import Books, new_books, opened, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_books(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, list[Any]]:
    path = folder / "books.db"
    tables = [name for (name,) in look(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: look(path, f"SELECT * FROM {table} ORDER BY 1") for table in tables}


# --- in order --------------------------------------------------------------------------------------------

FIRST: list[Command] = [
    place(1),
    place(2, 5000),
    place(3, 7, BOB, game="g", odds_milli=1500),
    deposit("d", 9),
]
SECOND: list[Command] = [
    place(4),
    place(1),
    place(2, 5000),
    place(3, 8, BOB),
    place(5, 50),
    deposit("e", 5, BOB),
]


@pytest.mark.parametrize("queued", [False, True], ids=["one after the other", "queued at once"])
def test_prepared_ahead_and_written_in_order_is_what_two_commits_are(tmp_path: Path, queued: bool) -> None:
    (tmp_path / "plain").mkdir()
    new_books(tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", tmp_path / "ahead")
    told: dict[str, list[list[Outcome]]] = {}

    async def plain() -> None:
        async with opened(tmp_path / "plain") as books:
            told["plain"] = [await books.commit(*batch) for batch in (FIRST, SECOND)]

    async def ahead() -> None:
        async with opened(tmp_path / "ahead") as books:
            both = [await books.prepare(*batch) for batch in (FIRST, SECOND)]
            for some in [both] if queued else [both[:1], both[1:]]:
                assert all(await asyncio.gather(*map(books.store.write, some)))
            told["ahead"] = [each.outcomes for each in both]

    asyncio.run(plain())
    asyncio.run(ahead())

    assert told["ahead"] == told["plain"]
    assert content(tmp_path / "ahead") == content(tmp_path / "plain")
    assert [outcome.replayed for outcome in told["ahead"][1]] == [False, True, True, False, False, False]
    balances(tmp_path / "ahead" / "books.db")


def test_a_retry_in_the_second_batch_has_the_first_ones_answer_once_that_is_true(folder: Path) -> None:
    async def use(books: Books) -> None:
        first, second = await books.prepare(place(1)), await books.prepare(place(1))
        (paid,), (again,) = first.outcomes, second.outcomes
        assert isinstance(paid, Accepted)
        assert again == Accepted(paid.transaction_id, paid.block_id, paid.wallet, replayed=True)
        assert not second.view.changed
        assert await books.store.write(first)
        assert await books.store.write(second)
        assert books.ledger() == [bet_id(1)]

    run(folder, use)


def test_a_batch_of_replays_waits_for_the_batch_that_it_repeats(folder: Path) -> None:
    """Deciding it anew at once, again and again, ends in a fault that nobody has caused."""

    async def use(books: Books) -> None:
        books.disk.hold()
        first = asyncio.create_task(books.commit(place(1)))
        await books.disk.holds_one()
        again = asyncio.create_task(books.commit(place(1)))
        for _ in range(20):
            await books.store.read(lambda connection: None)
        assert not again.done(), "told before the money has moved, or given up"
        books.disk.release()
        ((paid,), (replay,)) = await asyncio.gather(first, again)
        assert isinstance(paid, Accepted)
        assert replay == Accepted(paid.transaction_id, paid.block_id, paid.wallet, replayed=True)

    run(folder, use)


def test_two_writes_wait_for_the_writer_and_the_second_is_told_after_the_first(folder: Path) -> None:
    async def use(books: Books) -> None:
        books.disk.hold()
        both = [*map(books.writing, await books.prepare_two())]
        await books.disk.holds_one()
        await books.store.read(lambda connection: None)  # the loop has turned
        assert [task.done() for task in both] == [False, False]
        assert books.ledger() == []
        books.disk.release()
        assert await asyncio.gather(*both) == [True, True]
        assert books.ledger() == [bet_id(1), bet_id(2)]

    run(folder, use)


# --- void ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def a_strangers_lock(books: Books) -> AsyncIterator[None]:
    await books.store.set_up(lambda connection: connection.execute("PRAGMA busy_timeout = 0").close())
    with contextlib.closing(sqlite3.connect(books.store.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield


FAILS: dict[str, tuple[type[StoreFault], tuple[int, str] | None]] = {
    "full at COMMIT": (BatchRefused, FULL),
    "a constraint at COMMIT": (BatchAborted, CONSTRAINT),
    "half written": (BatchAborted, None),
    "locked out": (BatchRefused, None),
}


@pytest.mark.parametrize("queued", [False, True], ids=["asked later", "queued behind"])
@pytest.mark.parametrize("how", FAILS)
def test_the_second_is_void_when_the_first_fails(folder: Path, how: str, queued: bool) -> None:
    async def use(books: Books) -> None:
        fault, at_commit = FAILS[how]
        async with a_strangers_lock(books) if how == "locked out" else contextlib.nullcontext():
            first, second = await books.prepare_two()
            if how == "half written":
                first.view.new_entries[-1] = first.view.new_entries[-1]._replace(amount_minor=11)
            if at_commit:
                books.disk.fail(at_commit)
            failing, *behind = map(books.writing, (first, second) if queued else (first,))
            with pytest.raises(fault):
                await failing
            assert await (behind[0] if queued else books.store.write(second)) is False
        assert books.ledger() == []
        (anew,) = await books.commit(place(2))
        assert isinstance(anew, Accepted)
        assert anew.wallet.balance_minor == 70  # as if the first had never been
        assert books.decided.numbers == [1, 2, 2] + [2] * (how == "locked out")  # which was a set-up

    run(folder, use)


def test_the_second_is_void_when_the_first_was_never_written(folder: Path) -> None:
    async def use(books: Books) -> None:
        _, second = await books.prepare_two()
        assert not await books.store.write(second)
        assert books.ledger() == []

    run(folder, use)


def test_out_of_order_the_second_is_void_and_the_first_true_if_it_is_written(folder: Path) -> None:
    async def use(books: Books) -> None:
        first, second = await books.prepare_two()
        assert await asyncio.gather(*map(books.writing, (second, first))) == [False, True]
        first, second = await books.prepare(place(3)), await books.prepare(place(4))
        assert [await books.store.write(each) for each in (second, first)] == [False, False]
        assert books.ledger() == [bet_id(1)]

    run(folder, use)


def test_a_batch_is_written_once_however_often_it_is_handed_in(folder: Path) -> None:
    async def use(books: Books) -> None:
        first, second = await books.prepare_two()
        assert await asyncio.gather(*map(books.writing, (first, first, second))) == [True, False, True]
        assert books.ledger() == [bet_id(1), bet_id(2)]

    run(folder, use)


def test_what_may_not_begin_is_void_and_so_is_what_follows(folder: Path) -> None:
    async def use(books: Books) -> None:
        first, second = await books.prepare_two()
        begun: list[int] = []

        def may_begin(number: int) -> bool:
            begun.append(number)
            return False

        both = [
            books.store.write(first, partial(may_begin, 1)),
            books.store.write(second, partial(may_begin, 2)),
        ]
        assert await asyncio.gather(*both) == [False, False]
        assert begun == [1], "the second was asked although its turn had not come"
        assert books.ledger() == []

    run(folder, use)


# --- somebody else ---------------------------------------------------------------------------------------

CHANGES = {
    "the balance at hand": "UPDATE users SET balance = 0 WHERE id = 7",
    "somebody else's": "UPDATE users SET status = 'blocked' WHERE id = 8",
    "nothing that a batch reads": "CREATE TABLE somebody_elses (x)",
}
AS_BEFORE = """
    UPDATE users SET status = 'open',
        balance = (SELECT coalesce(sum(amount), 0) FROM transaction_ledger WHERE user_id = users.id)
"""


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("between", [0, 1], ids=["before the first", "between them"])
def test_a_change_by_another_connection_makes_void_what_is_not_written(
    folder: Path, sql: str, between: int
) -> None:
    async def use(books: Books) -> None:
        both = await books.prepare_two()
        assert [await books.store.write(each) for each in both[:between]] == [True] * between
        look(books.store.path, sql)
        assert [await books.store.write(each) for each in both[between:]] == [False] * (2 - between)
        (answer,) = await books.commit(place(3, 1))
        short = sql == CHANGES["the balance at hand"]
        assert (isinstance(answer, Rejected) and answer.code is Code.INSUFFICIENT_FUNDS) is short
        look(books.store.path, AS_BEFORE)
        assert books.ledger() == [bet_id(1)][:between] + [bet_id(3)] * (not short)

    run(folder, use)


def test_setting_up_makes_void_what_is_not_written(folder: Path) -> None:
    async def use(books: Books) -> None:
        both = await books.prepare_two()
        await books.store.set_up(
            lambda connection: connection.execute("UPDATE users SET status = 'closed' WHERE id = 7").close()
        )
        assert [await books.store.write(each) for each in both] == [False, False]
        (answer,) = await books.commit(place(1))
        assert isinstance(answer, Rejected)
        assert answer.code is Code.ACCOUNT_BLOCKED

    run(folder, use)


# --- COMMIT unknown --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("queued", [False, True], ids=["asked later", "queued behind"])
def test_behind_an_unknown_commit_nothing_happens_and_nothing_begins(
    folder: Path, queued: bool, on_disk: bool
) -> None:
    async def use(books: Books) -> None:
        first, second = await books.prepare_two()
        replay = await books.prepare(place(1))  # of a bet of which nobody knows
        books.disk.fail(IO_ERROR, after=on_disk)
        doubtful, *behind = map(books.writing, (first, second) if queued else (first,))
        with pytest.raises(CommitUnknown) as unknown:
            await doubtful
        assert unknown.value.has_begun
        assert [await each for each in behind] == [False] * queued
        for later in (second, replay):
            with pytest.raises(CommitUnknown) as refused:
                await books.store.write(later)
            assert not refused.value.has_begun
        with pytest.raises(CommitUnknown) as refused:
            await books.commit(place(3))
        assert not refused.value.has_begun

    run(folder, use)
    assert look(folder / "books.db", "SELECT key FROM transactions WHERE kind = 'BET'") == (
        [(bet_id(1),)] if on_disk else []
    )


def test_a_set_up_that_fails_at_commit_leaves_the_writer_outside_of_a_transaction(folder: Path) -> None:
    async def use(books: Books) -> None:
        books.disk.fail(FULL)
        with pytest.raises(sqlite3.OperationalError):
            await books.store.set_up(lambda connection: connection.execute("DELETE FROM refusals").close())

    run(folder, use)
