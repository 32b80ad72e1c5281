"""Deeds on their way through the batcher: one for each that was decided, whatever becomes of its batch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.actors import Actor
from engine.commands import Command, Deposit, ReleaseHold
from engine.outcomes import Code
from engine.view import View
from tests.batches import ALICE, BOB, CONSTRAINT, FULL, IO_ERROR, Bend, World, bet, raises, spoilt_by, world

OPERATOR = Actor(42, "operator", "192.0.2.1", "ws")


def deposit(number: int, user_id: int = ALICE) -> Deposit:
    return Deposit(user_id, 1, key=f"d{number}", caller="42")


def release(number: int) -> ReleaseHold:
    """Of a hold that is not there."""
    return ReleaseHold(99, key=f"r{number}", caller="42")


def deeds(this: World) -> list[tuple[str, str]]:
    return this.rows("SELECT key, outcome FROM audit_log ORDER BY id")


def makes_a_deed_that_cannot_be(view: View, command: Command) -> None:
    """As if a bug were there: the file refuses what tells of it, and then must not have what it did."""
    view.new_transactions[-1] = view.new_transactions[-1]._replace(key="another")


@pytest.mark.parametrize("bend", [raises, makes_a_deed_that_cannot_be])
def test_a_batch_that_is_bisected_tells_of_each_but_the_culprit(tmp_path: Path, bend: Bend) -> None:
    async def run() -> None:
        async with world(tmp_path, decide=spoilt_by(bend, 3)) as this:
            commands = [deposit(0), release(1), bet(2), bet(3), deposit(4), release(5), deposit(4)]
            answers = [this.submit(command, actor=OPERATOR) for command in commands]
            codes = [await answer.code() for answer in answers]
            assert codes == [None, Code.NOT_FOUND, None, Code.INTERNAL, None, Code.NOT_FOUND, None]
            assert deeds(this) == [
                ("d0", "accepted"),
                ("r1", "NOT_FOUND"),
                (bet(2).bet_id, "accepted"),
                ("d4", "accepted"),
                ("r5", "NOT_FOUND"),
            ]

    asyncio.run(run())


def test_a_batch_behind_one_that_fails_tells_once(tmp_path: Path) -> None:
    """It was decided on what the first would have left behind, and is decided again."""

    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            this.disk.fail(CONSTRAINT)
            first = this.submit(deposit(0), actor=OPERATOR)
            await this.disk.holds_one()
            behind = [this.submit(each, actor=OPERATOR) for each in (deposit(1, BOB), release(2))]
            await asyncio.sleep(0)
            this.disk.release()
            assert [await answer.code() for answer in behind] == [None, Code.NOT_FOUND]
            assert await first.code() is Code.INTERNAL
            assert deeds(this) == [("d1", "accepted"), ("r2", "NOT_FOUND")]

    asyncio.run(run())


def test_what_a_full_disk_refuses_is_told_only_when_it_is_tried_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(FULL)
            assert await this.submit(release(1), actor=OPERATOR).code() is Code.OVERLOADED
            assert deeds(this) == []
            assert await this.submit(release(1), actor=OPERATOR).code() is Code.NOT_FOUND
            assert deeds(this) == [("r1", "NOT_FOUND")]

    asyncio.run(run())


@pytest.mark.parametrize("is_done", [True, False])
def test_where_nobody_knows_whether_it_was_committed_a_start_finds_both_or_neither(
    tmp_path: Path, is_done: bool
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(IO_ERROR, after=is_done)
            assert await this.submit(deposit(0), actor=OPERATOR).code() is Code.OUTCOME_UNKNOWN
        async with world(tmp_path) as this:
            assert deeds(this) == [("d0", "accepted")] * is_done
            assert await this.submit(deposit(0), actor=OPERATOR).code() is None
            assert deeds(this) == [("d0", "accepted")]

    asyncio.run(run())


def test_what_is_turned_away_is_no_deed(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            turned_away = this.submit(deposit(0), Code.RATE_LIMITED, OPERATOR)
            assert await turned_away.code() is Code.RATE_LIMITED
            assert deeds(this) == []

    asyncio.run(run())


def test_what_is_asked_for_and_waited_for_is_told_as_well(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await this.batcher.ask(deposit(0), OPERATOR)
            await this.batcher.ask(deposit(1))
            assert deeds(this) == [("d0", "accepted")]

    asyncio.run(run())
