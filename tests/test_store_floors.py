"""Floors through the store: one holds for the next command of its batch, for the next batch, and for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.commands import Command, Leg, Transfer
from engine.outcomes import Accepted, Code, FloorTold, Outcome
from engine.store import Store
from tests.books_open import (
    ALICE,
    BONUS_BOOK,
    HOUSE,
    NOW_US,
    asked,
    balances,
    look,
    place,
    play,
    seed,
    set_floor,
    settle,
    with_store,
)

TO_THE_HOUSE = Transfer((Leg(ALICE, -40), Leg(HOUSE, 40)), key="t", caller="test")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100; two bets of 30 are placed, and the house may go to -20."""
    path = seed(tmp_path / "books.db", 100)
    play(path, [place(1), place(2), set_floor("first", -20)])
    return path


def code_of(outcome: Outcome) -> Code | None:
    return None if isinstance(outcome, Accepted) else outcome.code


def floor_of(path: Path, user_id: int) -> int:
    ((floor,),) = look(path, "SELECT floor FROM users WHERE id = ?", user_id)
    return int(floor)


@pytest.mark.parametrize(
    ("batch", "codes", "floor"),
    [
        ([settle("w", 1, "won", 81)], [Code.INSUFFICIENT_FUNDS], -20),
        ([settle("w", 1, "won", 80)], [None], -20),
        ([set_floor("l", -21), settle("w", 1, "won", 81)], [None, None], -21),
        ([settle("w", 1, "won", 80), set_floor("h", -19)], [None, Code.INSUFFICIENT_FUNDS], -20),
        ([settle("w", 1, "won", 80), TO_THE_HOUSE, set_floor("h", 0)], [None, None, None], 0),
        ([set_floor("l", -90), set_floor("h", -30), settle("w", 1, "won", 91)],
         [None, None, Code.INSUFFICIENT_FUNDS], -30),
        ([set_floor("f", -20)], [None], -20),
    ],
)  # fmt: skip
def test_a_floor_holds_from_the_next_command_on(
    books: Path, batch: list[Command], codes: list[Code | None], floor: int
) -> None:
    (outcomes,) = play(books, batch)

    assert [code_of(outcome) for outcome in outcomes] == codes
    assert floor_of(books, HOUSE) == floor
    balances(books)  # they reconcile


def test_a_floor_holds_for_the_batch_that_is_decided_ahead_and_after_a_restart(books: Path) -> None:
    async def use(store: Store) -> list[Outcome]:
        first = await store.prepare(asked(set_floor("l", -70)), NOW_US)
        second = await store.prepare(asked(settle("w", 1, "won", 130)), NOW_US)
        assert await store.write(first)
        assert await store.write(second)
        return [*first.outcomes, *second.outcomes]

    assert [code_of(outcome) for outcome in with_store(books, use)] == [None, None]
    ((poor,), (set_again, paid)) = play(
        books, [settle("v", 2, "won", 1)], [set_floor("m", -71), settle("v", 2, "won", 1)]
    )
    assert code_of(poor) is Code.INSUFFICIENT_FUNDS
    assert [code_of(set_again), code_of(paid)] == [None, None]


def test_a_floor_is_a_transaction_without_entries_that_is_replayed(books: Path) -> None:
    ((first,), (again, other)) = play(
        books, [set_floor("k", -50, BONUS_BOOK)], [set_floor("k", -50, BONUS_BOOK), set_floor("k", -51)]
    )

    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert (first.floor, first.wallet, first.entries) == (FloorTold(BONUS_BOOK, -50), None, ())
    assert (again.floor, again.transaction_id, again.replayed) == (first.floor, first.transaction_id, True)
    assert code_of(other) is Code.IDEMPOTENCY_CONFLICT
    assert look(books, "SELECT kind, scope FROM transactions WHERE id = ?", first.transaction_id) == [
        ("FLOOR", "test:floor")
    ]
    assert floor_of(books, BONUS_BOOK) == -50
