"""The store beside others: accounts that change under a batch, callers that vanish, a stuck writer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine import queries
from engine.commands import Command
from engine.decide import decide
from engine.errors import BatchRefused
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import GUARD_ATTEMPTS, Asked, Store
from engine.view import View
from tests.books_open import (
    ALICE,
    BOB,
    CASH,
    HOUSE,
    NOW_US,
    asked,
    balances,
    bet_id,
    look,
    place,
    play,
    seed,
    with_store,
)


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
    """The other connection takes all of ALICE's money away, as another engine would, or a shell."""
    decided = []

    def meddling(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if not decided:
            look(books, "UPDATE users SET version = version + ?, balance = 0 WHERE id = ?", step, ALICE)
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

    with_store(books, use, decide=meddling)

    versions = list(range(decided[0], decided[0] + GUARD_ATTEMPTS))
    assert decided == versions, "each attempt reads anew"
    assert balances(books)[ALICE] == 100
    assert isinstance(play(books, [place(2)])[0][0], Accepted)


class Gated(sqlite3.Connection):
    """Waits before each COMMIT while the gate is shut."""

    gate: ClassVar[threading.Event] = threading.Event()
    waits: ClassVar[threading.Event] = threading.Event()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and not self.gate.is_set():
            self.waits.set()
            assert self.gate.wait(10), "the gate was never opened"
        return super().execute(sql, *parameters)


@pytest.fixture
def gated() -> Iterator[type[Gated]]:
    """The class to open a store with: its gate is open until a test shuts it."""
    Gated.gate.set()
    Gated.waits.clear()
    yield Gated
    Gated.gate.set()


async def at_the_gate(writing: asyncio.Task[list[Outcome]]) -> None:
    """Return when `writing` stands at COMMIT."""
    assert await asyncio.to_thread(Gated.waits.wait, 10), writing


def test_a_caller_that_vanishes_during_the_commit_does_not_stop_it(books: Path, gated: type[Gated]) -> None:
    async def use(store: Store) -> None:
        gated.gate.clear()
        caller = asyncio.create_task(store.commit(asked(place(1)), NOW_US))
        await at_the_gate(caller)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gated.gate.set()

        again, another = await store.commit(asked(place(1), place(2)), NOW_US)
        assert isinstance(again, Accepted)
        assert again.replayed
        assert isinstance(another, Accepted)
        assert store.failure is None

    with_store(books, use, connection_factory=gated)
    assert balances(books)[ALICE] == 40


def test_an_answer_is_given_while_the_writer_is_stuck(books: Path, gated: type[Gated]) -> None:
    async def use(store: Store) -> None:
        gated.gate.clear()
        writing = asyncio.create_task(store.commit(asked(place(1)), NOW_US))
        await at_the_gate(writing)
        async with asyncio.timeout(5):
            told = await store.answer([Asked(place(2), Code.TIMED_OUT)], NOW_US)
        gated.gate.set()
        (written,) = await writing
        assert told == [Rejected(Code.TIMED_OUT)]
        assert isinstance(written, Accepted)

    with_store(books, use, connection_factory=gated)
