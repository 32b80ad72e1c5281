"""What a batch writes when the wallet that plays is new, or pays nothing itself; and what a restart finds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from engine.commands import Command, OpenWallet, SetLimit
from engine.outcomes import Code, Outcome, Rejected
from engine.reconcile import reconcile
from tests.books_open import ALICE, NOW_US, bet_id, grant, grant_free_bet, look, place, seed
from tests.pipelines import new_books, opened
from tests.stories import FIRST, NEXT_WALLET, go_on

SECOND_US: Final = 1_000_000
A_MINUTE_LATER_US: Final = NOW_US + 60 * SECOND_US
TIME: Final = SetLimit(ALICE, "time", "day", 61, key="t", caller="test")
"""A sitting begins with one second: a second bet a minute after the first is the last."""


def codes(outcomes: list[Outcome]) -> list[Code | None]:
    return [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]


def refused(path: Path) -> list[tuple[str, int, str]]:
    return look(path, "SELECT bet_id, user_id, code FROM refusals")


def played(path: Path) -> list[tuple[int, int]]:
    """Seconds of the time limit that are used, and when the last bet was."""
    return look(path, "SELECT used, last_bet FROM limits WHERE kind = 'time'")


@pytest.mark.parametrize("whose", [ALICE, None])
def test_a_wallet_is_opened_and_a_bet_of_it_refused_in_one_batch(tmp_path: Path, whose: int | None) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    bet = place(1, 30, NEXT_WALLET)

    outcomes = go_on(path, [OpenWallet("EUR", whose, key="o", caller="test"), bet], NOW_US)
    (again,) = go_on(path, [bet], NOW_US)

    assert codes(outcomes) == [None, Code.INSUFFICIENT_FUNDS]
    assert refused(path) == [(bet_id(1), NEXT_WALLET, "INSUFFICIENT_FUNDS")]
    assert isinstance(again, Rejected)
    assert (again.code, again.replayed) == (Code.INSUFFICIENT_FUNDS, True)
    assert reconcile(path).findings == []


def test_a_bet_is_refused_behind_the_batch_that_opens_its_wallet(tmp_path: Path) -> None:
    path = new_books(tmp_path)

    async def run() -> None:
        async with opened(tmp_path) as books:
            first = await books.prepare(OpenWallet("EUR", ALICE, key="o", caller="test"))
            second = await books.prepare(place(1, 30, NEXT_WALLET))
            assert codes(second.outcomes) == [Code.INSUFFICIENT_FUNDS]
            assert await books.store.write(first)
            assert await books.store.write(second)

    asyncio.run(run())

    assert refused(path) == [(bet_id(1), NEXT_WALLET, "INSUFFICIENT_FUNDS")]


@pytest.mark.parametrize(
    ("given", "terms"),
    [(grant("g", 60), {}), (grant_free_bet("g", 30), {"free_bet_id": FIRST})],
    ids=["a bonus", "a free bet"],
)
def test_time_that_is_played_with_gifts_is_written_in_the_batch_of_the_bet(
    tmp_path: Path, given: Command, terms: dict[str, int]
) -> None:
    """Nothing else of the wallet has changed. Each `go_on` is a restart."""
    path = seed(tmp_path / "books.db", 100, 50)
    minute_later = {"sent_at_us": A_MINUTE_LATER_US}
    last = place(3, 30, free_bet_id=FIRST + 1, **minute_later)

    placed = go_on(path, [given, grant_free_bet("h", 30), TIME], NOW_US)
    placed += go_on(path, [place(1, 30, **terms)], NOW_US)
    at_once = played(path)
    refusal = go_on(path, [place(2, 500, **minute_later)], A_MINUTE_LATER_US)
    after_the_refusal = played(path)
    placed += go_on(path, [last], A_MINUTE_LATER_US)
    stopped = go_on(path, [place(4, 1, **minute_later)], A_MINUTE_LATER_US + SECOND_US)

    assert codes(placed) == [None] * 5
    assert at_once == after_the_refusal == [(1, NOW_US)]
    assert codes(refusal) == [Code.INSUFFICIENT_FUNDS]
    assert played(path) == [(61, A_MINUTE_LATER_US)]
    assert codes(stopped) == [Code.LIMIT_EXCEEDED]
    assert reconcile(path).findings == []


def test_time_of_a_free_bet_is_not_lost_with_a_batch_that_only_refuses(tmp_path: Path) -> None:
    """Two batches of one store: what was counted in memory is what the file says after a restart."""
    path = new_books(tmp_path)

    async def run() -> None:
        async with opened(tmp_path) as books:
            await books.commit(grant_free_bet("g", 30), TIME)
            assert codes(await books.commit(place(1, 30, free_bet_id=FIRST))) == [None]
            assert played(path) == [(1, NOW_US)]
            assert codes(await books.commit(place(2, 500))) == [Code.INSUFFICIENT_FUNDS]

    asyncio.run(run())

    late = [place(number, 1, sent_at_us=A_MINUTE_LATER_US) for number in (3, 4)]
    outcomes = go_on(path, late[:1], A_MINUTE_LATER_US) + go_on(path, late[1:], A_MINUTE_LATER_US + SECOND_US)
    assert codes(outcomes) == [None, Code.LIMIT_EXCEEDED]
    assert played(path) == [(61, A_MINUTE_LATER_US)]
    assert reconcile(path).findings == []
