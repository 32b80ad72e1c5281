"""Commands of the server's own: asked for, and waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.commands import Deposit
from engine.outcomes import Accepted, Code, Rejected
from tests.batches import ALICE, OPENING_MINOR, world

NOBODY = 999


def deposit(number: int = 1, user: int = ALICE) -> Deposit:
    return Deposit(user, 5, key=f"d{number}", caller="clock")


def test_who_asks_has_the_outcome_after_the_commit(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            asking = asyncio.create_task(this.batcher.ask(deposit()))
            await this.disk.holds_one()
            await this.turns()
            assert not asking.done()
            this.disk.release()
            outcome = await asking
            assert isinstance(outcome, Accepted)
            assert [entry.amount_minor for entry in outcome.entries if entry.user_id == ALICE] == [5]

    asyncio.run(run())


def test_each_of_many_has_the_outcome_of_his_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            commands = [deposit(number) for number in range(5)]
            outcomes = await asyncio.gather(*map(this.batcher.ask, commands))
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)
            again = await asyncio.gather(*map(this.batcher.ask, reversed(commands)))
            assert [each.transaction_id for each in again] == [each.transaction_id for each in outcomes][::-1]

    asyncio.run(run())


def test_a_refusal_is_an_outcome(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.batcher.ask(deposit(user=NOBODY)) == Rejected(Code.ACCOUNT_NOT_FOUND)

    asyncio.run(run())


def test_who_has_gone_is_not_missed_and_the_money_moves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            asking = asyncio.create_task(this.batcher.ask(deposit()))
            await this.disk.holds_one()
            asking.cancel()
            await asyncio.wait([asking])
            this.disk.release()
            await this.batcher.drain()
            assert this.batcher.tally.others == {("deposit", "done"): 1}
            ((balance,),) = this.rows("SELECT balance FROM users WHERE id = ?", ALICE)
            assert balance == OPENING_MINOR + 5
        assert caplog.records == []

    asyncio.run(run())
