"""Bonus money and free bets that expire by the server's clock: each time once, and no later than anybody
could spend them. How the clock goes about it is in tests/test_expiry.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import batcher.expiry
from batcher.expiry import AT_ONCE
from engine.commands import (
    Command,
    Exclude,
    GrantBonus,
    GrantFreeBet,
    PlaceBet,
    PlaceHold,
    Result,
    RevokeFreeBet,
    SettleBet,
    Spend,
)
from engine.outcomes import Accepted, Code
from tests.batches import ALICE, BOB, IO_ERROR, NOW_US, OPENING_MINOR, WAIT_S, S, World, bet, bet_id, world

DUE_US = NOW_US + 60 * S


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for what is due but the test."""
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 3600.0)


def bonus(
    number: int, amount_minor: int = 100, user: int = ALICE, expires_at_us: int | None = DUE_US
) -> GrantBonus:
    key = f"bonus-{number}"
    return GrantBonus(user, amount_minor, Spend.FIRST, expires_at_us, key=key, caller="test")


def free_bet(
    number: int, amount_minor: int = 10, user: int = ALICE, expires_at_us: int | None = DUE_US
) -> GrantFreeBet:
    return GrantFreeBet(user, amount_minor, expires_at_us, key=f"free-{number}", caller="test")


def free(number: int, free_bet_id: int, stake: int = 10) -> PlaceBet:
    """A bet that the free bet is to pay."""
    return msgspec.structs.replace(bet(number, stake=stake), free_bet_id=free_bet_id)


def settle(number: int, result: Result, payout_minor: int | None = None) -> SettleBet:
    return SettleBet(bet_id(number), result, payout_minor, key=f"settle-{number}", caller="test")


async def granted(this: World, *grants: Command) -> list[int]:
    """The bonus wallets and free bets, by number."""
    outcomes = await asyncio.gather(*this.submit_all(grants))
    found = []
    for outcome in outcomes:
        assert isinstance(outcome, Accepted), outcome
        told = outcome.bonus.user_id if outcome.bonus is not None else outcome.transaction_id
        found.append(told)
    return found


async def look(this: World, now_us: int | None = None) -> None:
    """Have the batcher look, at a time, and wait until all that it found has its answer."""
    passed_us = 0 if now_us is None else now_us - this.wall.now_us
    this.wall.now_us += passed_us
    this.clock.now_us += passed_us  # by both clocks, or it would be a jump
    await this.batcher._expiry.look()
    async with asyncio.timeout(WAIT_S):
        while this.batcher._expiry._under_way:
            await asyncio.sleep(0)


def expiries(this: World) -> int:
    return int(this.rows("SELECT count(*) FROM transactions WHERE kind = 'EXPIRY'")[0][0])


def state(this: World, free_bet_id: int) -> str:
    return str(this.rows("SELECT state FROM free_bets WHERE id = ?", free_bet_id)[0][0])


def balances(this: World, user_ids: Sequence[int]) -> list[int]:
    return [this.rows("SELECT balance FROM users WHERE id = ?", user_id)[0][0] for user_id in user_ids]


def test_a_bonus_and_a_free_bet_are_taken_back_at_their_time_and_only_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            mine, his, free_bet_id, later = await granted(
                this, bonus(1), bonus(2, 50, BOB, None), free_bet(1), free_bet(2, expires_at_us=DUE_US + 1)
            )
            await look(this, DUE_US - 1)
            assert (expiries(this), balances(this, [mine])) == (0, [100])
            for _ in range(2):
                await look(this, DUE_US)
                assert (expiries(this), balances(this, [mine, his])) == (2, [0, 50])
                assert [state(this, each) for each in (free_bet_id, later)] == ["expired", "open"]
            await look(this, DUE_US + 1)
            assert state(this, later) == "expired"

    asyncio.run(run())


def test_what_is_due_pays_nothing_though_nobody_has_looked_yet(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            beside, free_bet_id = await granted(this, bonus(1), free_bet(1))
            this.wall.now_us = DUE_US
            late = msgspec.structs.replace(bet(1, stake=30), sent_at_us=DUE_US)
            free_late = msgspec.structs.replace(free(2, free_bet_id), sent_at_us=DUE_US)
            assert await this.codes([late, free_late]) == [None, Code.INSUFFICIENT_FUNDS]
            assert balances(this, [ALICE, beside]) == [OPENING_MINOR - 30, 100]
            revoked = RevokeFreeBet(free_bet_id, key="r", caller="test")
            assert await this.submit(revoked).code() is None  # it is over either way
            await look(this)
            assert (state(this, free_bet_id), expiries(this)) == ("revoked", 1)

    asyncio.run(run())


def test_a_bonus_that_is_granted_anew_expires_anew(tmp_path: Path) -> None:
    """The key of an expiry names its time, or the second one would be the replay of the first."""

    async def run() -> None:
        async with world(tmp_path) as this:
            (beside,) = await granted(this, bonus(1))
            for number in range(2, 5):
                at_us = DUE_US + number * S
                await look(this, at_us - S)
                assert (expiries(this), balances(this, [beside])) == (number - 1, [0])
                assert await granted(this, bonus(number, 70, expires_at_us=at_us)) == [beside]
                assert balances(this, [beside]) == [70]

    asyncio.run(run())


@pytest.mark.parametrize("longer", [True, False])
def test_a_grant_behind_the_look_decides_whether_its_bonus_expires(tmp_path: Path, longer: bool) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (beside,) = await granted(this, bonus(1))
            this.disk.hold()
            again = this.submit(bonus(2, 1, expires_at_us=DUE_US + S if longer else None))
            await this.disk.holds_one()
            this.wall.now_us = DUE_US
            await this.batcher._expiry.look()
            await this.turns()
            this.disk.release()
            assert await again.code() is None
            await look(this)
            assert (expiries(this), balances(this, [beside])) == (0, [101])
            assert this.batcher._expiry.pause_s == batcher.expiry.LOOK_EVERY_S  # to be wrong is no trouble
            await look(this, DUE_US + S)
            assert (expiries(this), balances(this, [beside])) == ((1, [0]) if longer else (0, [101]))

    asyncio.run(run())


def test_an_empty_bonus_expires_without_an_entry_and_takes_what_is_won_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (beside,) = await granted(this, bonus(1))
            assert await this.submit(bet(1, stake=100)).code() is None
            before = this.rows("SELECT count(*) FROM transaction_ledger")
            await look(this, DUE_US)
            assert expiries(this) == 1
            assert this.rows("SELECT count(*) FROM transaction_ledger") == before
            assert await this.submit(settle(1, Result.WON, 300)).code() is None
            assert balances(this, [ALICE, beside]) == [OPENING_MINOR, 0]
            entries = this.rows("SELECT ref_type, amount FROM transaction_ledger WHERE user_id = ?", beside)
            assert entries[-2:] == [("WIN", 300), ("EXPIRY", -300)]
            await look(this)
            assert expiries(this) == 1

    asyncio.run(run())


def test_a_free_bet_that_was_used_expires_only_once_it_is_given_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (free_bet_id,) = await granted(this, free_bet(1))
            assert await this.submit(free(1, free_bet_id)).code() is None
            await look(this, DUE_US)
            assert (state(this, free_bet_id), expiries(this)) == ("used", 0)
            assert await this.submit(settle(1, Result.VOID)).code() is None
            assert state(this, free_bet_id) == "open"
            again = msgspec.structs.replace(free(2, free_bet_id), sent_at_us=DUE_US)
            assert await this.submit(again).code() is Code.INSUFFICIENT_FUNDS
            await look(this)
            assert (state(this, free_bet_id), expiries(this)) == ("expired", 1)

    asyncio.run(run())


def test_what_is_due_expires_for_who_is_excluded_as_well(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            beside, free_bet_id = await granted(this, bonus(1), free_bet(1))
            await granted(this, Exclude(ALICE, DUE_US + S, key="x", caller="test"))
            await look(this, DUE_US)
            assert (balances(this, [beside]), state(this, free_bet_id)) == ([0], "expired")

    asyncio.run(run())


def test_the_kinds_share_one_go_those_first_that_came_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            holds = [
                PlaceHold(ALICE, 1, DUE_US - 2 * n, key=f"h{n}", caller="test") for n in range(1, AT_ONCE + 1)
            ]
            (beside,) = await granted(this, bonus(1))
            free_bets = await granted(
                this, *(free_bet(n, expires_at_us=DUE_US - 2 * n + 1) for n in range(1, AT_ONCE + 1))
            )
            await granted(this, *holds)
            await look(this, DUE_US)
            assert expiries(this) == AT_ONCE
            left = [state(this, each) for each in free_bets]
            assert left == ["open"] * (AT_ONCE // 2) + ["expired"] * (AT_ONCE // 2)
            assert balances(this, [beside]) == [100]
            for _ in range(2):
                await look(this)
            assert (expiries(this), balances(this, [beside])) == (2 * AT_ONCE + 1, [0])

    asyncio.run(run())


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_expiry_whose_commit_ended_unknown_comes_once_after_the_restart(
    tmp_path: Path, on_disk: bool
) -> None:
    beside, free_bet_id = 0, 0

    async def run() -> None:
        nonlocal beside, free_bet_id
        async with world(tmp_path) as this:
            beside, free_bet_id = await granted(this, bonus(1), free_bet(1))
            this.disk.fail(IO_ERROR, after=on_disk)
            await look(this, DUE_US)
            assert this.batcher.failure is not None
        async with world(tmp_path) as this:
            await look(this, DUE_US)
            assert (expiries(this), balances(this, [beside])) == (2, [0])
            assert state(this, free_bet_id) == "expired"
            assert await granted(this, bonus(2, 5, expires_at_us=None)) == [beside]

    asyncio.run(run())
