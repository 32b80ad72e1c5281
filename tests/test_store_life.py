"""What becomes of bets and holds, across batches: under way, void, changed by a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.commands import CaptureHold, Command, ReleaseHold
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.writer import Prepared
from tests.books_open import (
    ALICE,
    BOB,
    NOW_US,
    asked,
    bet_id,
    cash_out,
    hold,
    look,
    place,
    play,
    roll_back,
    seed,
    settle,
    unsettle,
)
from tests.pipelines import Books, new_books, opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_books(tmp_path)
    return tmp_path


def use(folder: Path, scenario: Callable[[Books], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(folder) as books:
            await scenario(books)

    asyncio.run(run())


def bets(folder: Path) -> list[tuple[Any, ...]]:
    """State, payout, settled and cashed stake of each bet, in the order of placing."""
    rows = look(
        folder / "books.db", "SELECT state, payout, settled, cashed_stake FROM bets ORDER BY transaction_id"
    )
    return [tuple(row) for row in rows]


def accepted(outcomes: list[Outcome]) -> list[Accepted]:
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Accepted)]


LIFE: tuple[Command, ...] = (
    place(1),
    settle("s1", 1, "won", 70),
    unsettle("u1", 1),
    cash_out("c1", 1, 10, 12),
    settle("s2", 1, "void"),
)
"""A bet of 30 that is won, taken back, cashed out by a third, and void."""


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_bet_lives_through_batches_that_are_under_way(folder: Path, at_once: int) -> None:
    """Each batch rests on the one before, decided and not written: two ahead, as in the batcher."""
    batches = [LIFE[start : start + at_once] for start in range(0, len(LIFE), at_once)]

    async def scenario(books: Books) -> None:
        ahead: list[Prepared] = []
        for batch in batches:
            ahead.append(await books.prepare(*batch))
            if len(ahead) > 1:
                assert await books.store.write(ahead.pop(0))
        for prepared in ahead:
            assert await books.store.write(prepared)
        accepted([outcome for prepared in ahead for outcome in prepared.outcomes])

    use(folder, scenario)

    assert bets(folder) == [("void", 32, 20, 10)]
    assert look(folder / "books.db", "SELECT balance FROM users WHERE id = ?", ALICE) == [(100 - 30 + 32,)]


def test_what_a_void_batch_made_of_a_bet_is_forgotten(folder: Path) -> None:
    async def scenario(books: Books) -> None:
        await books.commit(place(1))
        first, second = (
            await books.prepare(settle("s1", 1, "lost")),
            await books.prepare(unsettle("u1", 1), settle("s2", 1, "won", 50)),
        )
        accepted(first.outcomes + second.outcomes)
        assert not await books.store.write(first, may_begin=lambda: False)
        assert not await books.store.write(second)
        (outcome,) = await books.commit(unsettle("u1", 1))
        assert isinstance(outcome, Rejected)
        assert outcome.code is Code.BET_CLOSED, "it was never settled"

    use(folder, scenario)

    assert bets(folder) == [("confirmed", 0, 0, 0)]


def test_a_bet_that_somebody_else_has_changed_is_read_again(folder: Path) -> None:
    """Another program with the same rules wrote between the look-up and the write."""
    path = folder / "books.db"

    async def scenario(books: Books) -> None:
        await books.commit(place(1))
        stale = await books.prepare(settle("s1", 1, "won", 50))
        await books.store.set_up(
            lambda connection: connection.execute("UPDATE users SET status = 'open' WHERE id = ?", (BOB,))
        )
        assert not await books.store.write(stale)
        accepted(await books.commit(settle("s1", 1, "won", 50)))

    use(folder, scenario)

    assert bets(folder) == [("won", 50, 50, 0)]
    assert look(path, "SELECT count(*) FROM transactions WHERE kind = 'WIN'") == [(1,)]


def test_whose_bet_it_is_need_not_be_named(tmp_path: Path) -> None:
    """A fresh process knows no account: the look-up follows the bet and the hold to their wallets."""
    path = seed(tmp_path / "books.db", 100, 1000)
    play(path, [place(1), place(2, 40, BOB), hold("h1", 20)])
    ((hold_id,),) = look(path, "SELECT id FROM holds")

    ((won, taken),) = play(
        path, [settle("s1", 2, "won", 90), CaptureHold(hold_id, 5, key="c1", caller="test")]
    )

    assert [each.wallet.balance_minor for each in accepted([won, taken]) if each.wallet] == [1050, 65]


def test_a_rollback_buries_a_bet_that_is_prepared_behind_it(folder: Path) -> None:
    async def scenario(books: Books) -> None:
        burial, late = await books.prepare(roll_back("r1", 1)), await books.prepare(place(1))
        (outcome,) = late.outcomes
        assert isinstance(outcome, Rejected)
        assert outcome.code is Code.BET_ROLLED_BACK
        assert await books.store.write(burial)
        assert await books.store.write(late)
        (again,) = await books.commit(place(1))
        assert isinstance(again, Rejected)
        assert (again.code, again.replayed) == (Code.BET_ROLLED_BACK, True)

    use(folder, scenario)

    assert look(folder / "books.db", "SELECT kind, key FROM transactions WHERE id > 2 ORDER BY id") == [
        ("ROLLBACK", "r1"),
        ("TOMBSTONE", bet_id(1)),
    ]


def test_a_second_rollback_is_told_the_first_ones_answer_wherever_that_is(folder: Path) -> None:
    async def scenario(books: Books) -> None:
        await books.commit(place(1))
        first, second = await books.prepare(roll_back("r1", 1)), await books.prepare(roll_back("r2", 1))
        (gone,), (again,) = accepted(first.outcomes), accepted(second.outcomes)
        assert again == Accepted(gone.transaction_id, gone.block_id, gone.wallet, replayed=True, bet=gone.bet)
        assert await books.store.write(first)
        assert await books.store.write(second)
        assert accepted(await books.commit(roll_back("r3", 1))) == [again]

    use(folder, scenario)


def test_a_hold_is_captured_in_the_batch_behind_its_own(folder: Path) -> None:
    async def scenario(books: Books) -> None:
        first = await books.prepare(hold("h1", 60))
        (made,) = accepted(first.outcomes)
        second = await books.prepare(
            CaptureHold(made.transaction_id, 25, key="c1", caller="test"),
            place(1, 41),
            ReleaseHold(made.transaction_id, key="r1", caller="test"),
        )
        _, refused, _ = second.outcomes
        assert isinstance(refused, Rejected)
        assert refused.code is Code.INSUFFICIENT_FUNDS, "100 - 25 - 35 that are still held"
        assert await books.store.write(first)
        assert await books.store.write(second)

    use(folder, scenario)

    assert look(folder / "books.db", "SELECT balance, held FROM users WHERE id = ?", ALICE) == [(75, 0)]
    assert look(folder / "books.db", "SELECT state, remaining FROM holds") == [("released", 0)]


def test_a_lost_bet_is_written_although_no_money_moves(folder: Path) -> None:
    async def scenario(books: Books) -> None:
        await books.commit(place(1))
        accepted(await books.commit(settle("s1", 1, "lost")))
        (again,) = accepted(await books.commit(settle("s1", 1, "lost")))
        assert again.replayed
        assert await books.store.answer(asked(*LIFE[:0]), NOW_US) == []

    use(folder, scenario)

    assert bets(folder) == [("lost", 0, 0, 0)]
