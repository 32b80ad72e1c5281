"""The store beside others: accounts that change under a batch, callers that vanish, a stuck writer."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from books_open import ALICE, BOB, CASH, HOUSE, NOW_US, asked, balances, bet_id, look, place, seed, with_store

from engine import queries
from engine.commands import Command
from engine.decide import decide
from engine.errors import BatchRefused
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import GUARD_ATTEMPTS, Asked, Store
from engine.view import View


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


def test_an_account_changed_in_between_is_read_and_decided_anew(books: Path) -> None:
    asked_for = []

    def meddling(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if not asked_for:
            look(books, "UPDATE users SET version = version + 1, status = 'blocked' WHERE id = ?", BOB)
        asked_for.append(command.key)
        return decide(view, command, now_us, objection)

    async def use(store: Store) -> list[Outcome]:
        return await store.commit(asked(place(1), place(2, user_id=BOB)), NOW_US)

    hers, his = with_store(books, use, decide=meddling)

    assert asked_for == [bet_id(1), bet_id(2)] * 2
    assert isinstance(hers, Accepted)
    assert isinstance(his, Rejected)
    assert his.code is Code.ACCOUNT_BLOCKED
    assert balances(books) == {ALICE: 70, BOB: 1000, HOUSE: 30, CASH: -1100}


@pytest.mark.parametrize("step", [1, 0], ids=["with its version", "behind its version"])
def test_money_that_left_in_between_is_not_spent_twice(books: Path, step: int) -> None:
    """The other connection sets all of ALICE's money aside, as another engine would, or a shell."""
    decided = []

    def meddling(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if not decided:
            look(books, "UPDATE users SET version = version + ?, held = balance WHERE id = ?", step, ALICE)
        decided.append(command)
        return decide(view, command, now_us, objection)

    (answer,) = with_store(books, lambda store: store.commit(asked(place(1)), NOW_US), decide=meddling)

    assert isinstance(answer, Rejected)
    assert (answer.code, len(decided)) == (Code.INSUFFICIENT_FUNDS, 2)


def test_an_account_that_never_stands_still_is_given_up(books: Path) -> None:
    decided = []

    def meddling(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        look(books, "UPDATE users SET version = version + 1 WHERE id = ?", ALICE)
        decided.append(view.accounts[command.user_id].version)
        return decide(view, command, now_us, objection)

    async def use(store: Store) -> None:
        with pytest.raises(BatchRefused, match=f"{GUARD_ATTEMPTS} times"):
            await store.commit(asked(place(1)), NOW_US)
        assert await store.read(lambda connection: queries.bet(connection, bet_id(1))) is None
        await store.commit(asked(place(2, user_id=BOB)), NOW_US)

    with_store(books, use, decide=meddling)

    versions = list(range(decided[0], decided[0] + GUARD_ATTEMPTS))
    assert decided[:GUARD_ATTEMPTS] == versions, "each attempt reads anew"
    assert balances(books)[ALICE] == 100


def test_a_caller_that_vanishes_during_the_commit_does_not_stop_it(books: Path) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        deciding, go_on = asyncio.Event(), threading.Event()

        def slow(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
            loop.call_soon_threadsafe(deciding.set)
            assert go_on.wait(10)
            return decide(view, command, now_us, objection)

        store = await Store.open(books, decide=slow)
        try:
            caller = asyncio.create_task(store.commit(asked(place(1)), NOW_US))
            await deciding.wait()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            go_on.set()

            (again,) = await store.commit(asked(place(1)), NOW_US)
            assert isinstance(again, Accepted)
            assert again.replayed
            assert store.failure is None
        finally:
            go_on.set()
            await store.close()

    asyncio.run(run())
    assert balances(books)[ALICE] == 70


def test_an_answer_is_given_while_the_writer_is_stuck(books: Path) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        deciding, go_on = asyncio.Event(), threading.Event()

        def stuck(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
            if objection is None:
                loop.call_soon_threadsafe(deciding.set)
                assert go_on.wait(10)
            return decide(view, command, now_us, objection)

        store = await Store.open(books, decide=stuck)
        try:
            writing = asyncio.create_task(store.commit(asked(place(1)), NOW_US))
            await deciding.wait()
            async with asyncio.timeout(5):
                told = await store.answer([Asked(place(2), Code.TIMED_OUT)], NOW_US)
            go_on.set()
            (written,) = await writing
        finally:
            go_on.set()
            await store.close()
        assert told == [Rejected(Code.TIMED_OUT)]
        assert isinstance(written, Accepted)

    asyncio.run(run())
