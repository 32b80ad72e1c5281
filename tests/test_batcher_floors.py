"""Through the batcher: a book of the house at its floor refuses what it cannot pay, and the log says so."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from batcher.alarms import QUIET_US
from engine.commands import Command, Keyed, PlaceHold, Result, SetFloor, Transfer, Withdraw
from engine.commands import Leg as LegOf
from engine.outcomes import Code
from tests.batches import BOB, World, bet, bet_id, world
from tests.keyed_commands import cash_out, deposit, roll_back, settle, unsettle

HOUSE = 1


async def floor_of(this: World, book: str, floor_minor: int) -> None:
    ((book_id,),) = this.rows("SELECT id FROM users WHERE kind = ?", book)
    await this.submit(SetFloor(book_id, floor_minor, key="floor", caller="op"))


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (settle(1, 25), "settle"),
        (cash_out(1, 4, 25), "cashout"),
        (settle(1, None, Result.VOID), "settle"),
        (roll_back(1), "rollback"),
    ],
    ids=["won", "cashed out", "void", "rolled back"],
)
def test_what_the_house_cannot_pay_is_refused_and_alarmed_and_its_neighbours_stand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refused: Keyed, kind: str
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "house", 0)
            await this.codes([bet(1, stake=20), bet(2, stake=2)])
            if kind != "cashout" and refused != settle(1, 25):
                await this.submit(settle(2, 22))  # the house has nothing left
            asked: list[Command] = [deposit("before"), refused, bet(3, stake=1, user=BOB), deposit("behind")]
            assert await this.codes(asked) == [None, Code.INSUFFICIENT_FUNDS, None, None]
            (line,) = alarms(caplog)
            assert f"the {kind} of bet {bet_id(1)} was refused" in line
            assert "the house book is at its floor" in line
            assert "send the command again with the same key" in line
            top_up = Transfer((LegOf(BOB, -500), LegOf(HOUSE, 500)), key="t", caller="op")
            assert await this.codes([top_up, refused]) == [None, None]
            assert len(alarms(caplog)) == 1

    asyncio.run(run())


def test_a_debt_that_the_receivable_book_cannot_lend_is_alarmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "receivable", 0)
            spent = bet(2, stake=1490)
            assert await this.codes([bet(1), settle(1, 500), spent, unsettle(1)]) == [
                *[None] * 3,
                Code.INSUFFICIENT_FUNDS,
            ]
            (line,) = alarms(caplog)
            assert f"the unsettle of bet {bet_id(1)} was refused" in line
            assert "the receivable book is at its floor" in line

    asyncio.run(run())


def test_an_alarm_is_a_line_a_minute_for_each_book_with_the_number_of_those_between(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await floor_of(this, "house", 0)
            await this.codes([bet(1), bet(2)])
            for waited_us, lines in [(0, 1), (QUIET_US - 1, 1), (1, 2), (QUIET_US - 1, 2)]:
                this.clock.now_us += waited_us
                assert (
                    await this.codes([settle(1, 99), settle(2, 99, key="k")]) == [Code.INSUFFICIENT_FUNDS] * 2
                )
                assert len(alarms(caplog)) == lines
            counts = [line.partition("like ")[2].partition(" others")[0] for line in alarms(caplog)]
            assert counts == ["0", "3"]

    asyncio.run(run())


def test_a_player_without_money_is_no_alarm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            short = Code.INSUFFICIENT_FUNDS
            poor = [Withdraw(BOB, 9999, key="w", caller="op"), PlaceHold(BOB, 9999, key="h", caller="op")]
            assert await this.codes([bet(1, stake=9999), *poor]) == [short] * 3
            assert alarms(caplog) == []

    asyncio.run(run())
