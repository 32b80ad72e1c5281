"""While nobody knows what time it is: what expires waits, what a player allows himself stays as strict as it
was, and all else goes on by the time of the books."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import batcher.expiry
from engine import queries
from engine.commands import (
    CaptureHold,
    Command,
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    ExpireHold,
    OpenWallet,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    SetLimit,
)
from engine.limits import COOLING_OFF_US
from engine.now import Now
from engine.outcomes import Accepted, Code, LimitTold, Outcome, Rejected
from engine.store import Store
from engine.verify import verify
from tests.batches import world
from tests.books_open import ALICE, BOB, NOW_US, asked, deposit, grant, grant_free_bet, hold, place, seed

S = 1_000_000
HOUR_US, YEAR_US = 3600 * S, 365 * 86_400 * S
DUE_US = NOW_US + HOUR_US
LATER_US = NOW_US + COOLING_OFF_US + HOUR_US
"""What the books show when all that ends at `DUE_US`, or a day after it was asked for, is over."""

UNSURE = Now(NOW_US - YEAR_US, LATER_US, unsure_since_us=NOW_US)
SURE = Now(LATER_US, LATER_US)
ID, FURTHER = 3, 9
"""The first transaction after the deposits, that of a hold or a free bet; and the first further wallet."""

OWN = {"key": "k", "caller": "test"}


def limit(key: str, amount: int | None, kind: str = "stake", period: str = "day") -> SetLimit:
    return SetLimit(ALICE, kind, period, amount, key=key, caller="test")


def exclude(until_us: int) -> Exclude:
    return Exclude(ALICE, until_us, key="exclude", caller="test")


def why(outcomes: Sequence[Outcome]) -> list[Code | None]:
    """Why each was refused; None: it was not."""
    return [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]


async def commit(store: Store, now: Now | int, *commands: Command) -> list[Outcome]:
    """Their outcomes, in one batch; bets are sent at that time."""
    wall_us = now if isinstance(now, int) else now.wall_us
    sent = [
        msgspec.structs.replace(each, sent_at_us=wall_us) if isinstance(each, PlaceBet) else each
        for each in commands
    ]
    return await store.commit(asked(*sent), now)


# What has been at `NOW_US`; what is asked for later; why it is refused while the clock is unsure, and when
# the same is asked for in books whose clock is sure.
CASES: dict[str, tuple[list[Command], Command, Code | None, Code | None]] = {
    "a hold does not expire": (
        [hold("h", 100, expires_at_us=DUE_US)],
        ExpireHold(ID, **OWN), Code.INVALID_REQUEST, None,
    ),
    "nor a bonus": (
        [grant("g", 100, expires_at_us=DUE_US)],
        ExpireBonus(FURTHER, **OWN), Code.INVALID_REQUEST, None,
    ),
    "nor a free bet": (
        [grant_free_bet("f", 100, expires_at_us=DUE_US)],
        ExpireFreeBet(ID, **OWN), Code.INVALID_REQUEST, None,
    ),
    "a hold that is over by the books is not captured": (
        [hold("h", 100, expires_at_us=DUE_US)],
        CaptureHold(ID, **OWN), Code.HOLD_CLOSED, Code.HOLD_CLOSED,
    ),
    "but given back to who asks for it": (
        [hold("h", 100, expires_at_us=DUE_US)],
        ReleaseHold(ID, **OWN), None, None,
    ),
    "nor is such a free bet used": (
        [grant_free_bet("f", 30, expires_at_us=DUE_US)],
        place(1, 30, free_bet_id=ID), Code.INSUFFICIENT_FUNDS, Code.INSUFFICIENT_FUNDS,
    ),
    "one that is not over is captured": (
        [hold("h", 100, expires_at_us=LATER_US + 1)],
        CaptureHold(ID, **OWN), None, None,
    ),
    "a limit is not raised": (
        [limit("a", 100), limit("b", 500)],
        place(1, 101), Code.LIMIT_EXCEEDED, None,
    ),
    "nor taken away": (
        [limit("a", 100, "loss", "month"), limit("b", None, "loss", "month")],
        place(1, 101), Code.LIMIT_EXCEEDED, None,
    ),
    "nor one of deposits": (
        [limit("a", 100, "deposit", "week"), limit("b", 500, "deposit", "week")],
        deposit("d", 101), Code.LIMIT_EXCEEDED, None,
    ),
    "its window goes on": (
        [limit("a", 100), place(1, 60)],
        place(2, 100), None, None,
    ),
    "an exclusion does not end": ([exclude(DUE_US)], place(1), Code.LIMIT_EXCEEDED, None),
    "nor on a further wallet": (
        [OpenWallet("EUR", ALICE, **OWN), deposit("d", 100, FURTHER), exclude(DUE_US)],
        place(1, 30, FURTHER), Code.LIMIT_EXCEEDED, None,
    ),
    "nor for deposits": ([exclude(DUE_US)], deposit("d"), Code.LIMIT_EXCEEDED, None),
    "nor for bonuses": ([exclude(DUE_US)], grant("g", 1), Code.LIMIT_EXCEEDED, None),
    "nor for free bets": ([exclude(DUE_US)], grant_free_bet("f", 1), Code.LIMIT_EXCEEDED, None),
    "others play": ([exclude(DUE_US)], place(1, 30, BOB), None, None),
    "what is over by the books is not begun": (
        [],
        PlaceHold(ALICE, 1, LATER_US, **OWN), Code.INVALID_REQUEST, Code.INVALID_REQUEST,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_waits_while_the_clock_is_unsure_and_what_does_not(tmp_path: Path, name: str) -> None:
    before, command, while_unsure, once_sure = CASES[name]
    path, sure = seed(tmp_path / "books.db", 1000, 1000), tmp_path / "sure.db"

    async def begin() -> None:
        store = await Store.open(path)
        try:
            assert why(await commit(store, NOW_US, *before)) == [None] * len(before)
        finally:
            await store.close()

    async def ask(path: Path, now: Now) -> list[Code | None]:
        store = await Store.open(path)
        try:
            return why(await commit(store, now, command))
        finally:
            await store.close()

    asyncio.run(begin())
    shutil.copyfile(path, sure)
    assert asyncio.run(ask(path, UNSURE)) == [while_unsure]
    assert asyncio.run(ask(sure, SURE)) == [once_sure]
    assert verify(path).findings == []


def test_what_waited_takes_place_once_the_clock_is_sure(tmp_path: Path) -> None:
    """In the books in which it was refused before, with the very same key."""
    path = seed(tmp_path / "books.db", 1000, 1000)

    async def run() -> None:
        store = await Store.open(path)
        expiry, late = ExpireHold(ID, **OWN), place(2, 101)
        try:
            await commit(
                store, NOW_US, hold("h", 100, expires_at_us=DUE_US), limit("a", 100), limit("b", 500)
            )
            refused = await commit(store, UNSURE, expiry, place(1, 101))
            assert why(refused) == [Code.INVALID_REQUEST, Code.LIMIT_EXCEEDED]
            assert why(await commit(store, SURE, expiry, late)) == [None, None]
        finally:
            await store.close()

    asyncio.run(run())
    assert verify(path).findings == []


def test_a_limit_is_changed_from_what_is_in_force(tmp_path: Path) -> None:
    """To 200 would be stricter than the 500 that would be in force, and is looser than the 100 that is."""
    path = seed(tmp_path / "books.db", 1000, 1000)

    async def run() -> None:
        store = await Store.open(path)
        try:
            await commit(store, NOW_US, limit("a", 100), limit("b", 500))
            shown = await store.read(
                lambda connection: queries.limits(connection, ALICE, UNSURE.at_us, UNSURE.matured_us)
            )
            pending = LimitTold(ALICE, "stake", "day", 100, 500, NOW_US + COOLING_OFF_US)
            assert [each.told for each in shown] == [pending]
            looser, stricter = await commit(store, UNSURE, limit("c", 200), limit("d", 50))
            assert isinstance(looser, Accepted)
            assert isinstance(stricter, Accepted)
            assert looser.limit == LimitTold(ALICE, "stake", "day", 100, 200, LATER_US + COOLING_OFF_US)
            assert stricter.limit == LimitTold(ALICE, "stake", "day", 50, -1, 0)
            assert why(await commit(store, UNSURE, place(1, 51), place(2, 50))) == [Code.LIMIT_EXCEEDED, None]
        finally:
            await store.close()

    asyncio.run(run())
    assert verify(path).findings == []


def test_nobody_looks_for_what_has_to_expire_until_the_clock_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 3600.0)  # nobody but the test

    async def run() -> None:
        async with world(tmp_path) as this:
            expiry = this.batcher._expiry
            made = await this.submit(PlaceHold(ALICE, 100, DUE_US, **OWN)).code()
            assert made is None
            this.wall.now_us += YEAR_US
            for _ in range(2):
                with monkeypatch.context() as patched:
                    patched.setattr(queries, "expiries_due", None)
                    await expiry.expire_due()
                this.clock.now_us += 2 * HOUR_US  # it is due by the books as well, in the second turn
            assert this.rows("SELECT state FROM holds") == [("open",)]
            this.batcher.books_clock.confirm("operator", 1)
            await expiry.expire_due()
            while expiry._under_way:
                await asyncio.sleep(0)
            assert this.rows("SELECT state FROM holds") == [("expired",)]

    asyncio.run(run())
