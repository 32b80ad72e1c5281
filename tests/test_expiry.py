"""Holds that expire: each once, by a transaction of its own, whatever else goes on or wrong. Bonus money and
free bets: tests/test_expiry_bonus.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import batcher.expiry
from batcher.breaker import Breaker, BreakerLimits, State
from batcher.expiry import AT_ONCE, CALLER, LOOK_SELDOM_S, Expiry
from batcher.policy import BatchLimits
from engine import looks, queries
from engine.commands import CaptureHold, Command, ExpireHold, PlaceHold
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import _SHORT
from engine.view import View
from tests.batches import (
    ALICE,
    BOB,
    FULL,
    IO_ERROR,
    NOW_US,
    WAIT_S,
    Guard,
    S,
    World,
    bet,
    unreadable_at,
    world,
)
from tests.pipelines import stalled

DUE_US = NOW_US + 60 * S


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for holds but the test."""
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 3600.0)


def hold(
    number: int, amount_minor: int = 100, user: int = ALICE, expires_at_us: int | None = DUE_US
) -> PlaceHold:
    return PlaceHold(user, amount_minor, expires_at_us, key=f"hold-{number}", caller="test")


def capture(hold_id: int, amount_minor: int | None = None) -> CaptureHold:
    return CaptureHold(hold_id, amount_minor, key=f"capture-{hold_id}", caller="test")


def expire(hold_id: int) -> ExpireHold:
    return ExpireHold(hold_id, key=str(hold_id), caller=CALLER)


async def held(this: World, *holds: PlaceHold) -> list[int]:
    """The ids of these holds, once they are made."""
    outcomes = await asyncio.gather(*this.submit_all(holds))
    return [outcome.transaction_id for outcome in outcomes if isinstance(outcome, Accepted)]


def expiry_of(this: World) -> Expiry:
    return this.batcher._expiry


async def look(this: World) -> None:
    """Have the batcher look, and wait until all that it found has its answer."""
    await expiry_of(this).look()
    await answered(this)


async def answered(this: World) -> None:
    async with asyncio.timeout(WAIT_S):
        while expiry_of(this)._under_way:
            await asyncio.sleep(0)


def expired(this: World) -> list[int]:
    """The holds that have expired, in the order in which they did: from the file alone."""
    rows = this.rows(
        """
        SELECT holds.id, holds.state FROM transactions JOIN holds ON holds.id = CAST(key AS INTEGER)
        WHERE kind = 'EXPIRY' ORDER BY transactions.id
        """
    )
    assert {state for _, state in rows} <= {"expired"}
    return [id_ for id_, _ in rows]


def held_minor(this: World, user: int = ALICE) -> int:
    ((minor,),) = this.rows("SELECT held FROM users WHERE id = ?", user)
    return int(minor)


# --- when, and how often ---------------------------------------------------------------------------------


def test_a_hold_is_given_back_when_its_time_has_come_and_only_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            due, _, _ = await held(
                this, hold(1), hold(2, 50, expires_at_us=DUE_US + 1), hold(3, 7, BOB, None)
            )
            this.wall.now_us = DUE_US - 1
            await look(this)
            assert expired(this) == []
            this.wall.now_us = DUE_US
            for _ in range(2):
                await look(this)
                assert expired(this) == [due]
            assert (held_minor(this), held_minor(this, BOB)) == (50, 7)
            again = await this.submit(expire(due))
            assert isinstance(again, Accepted)
            assert again.replayed
            assert expired(this) == [due]

    asyncio.run(run())


def test_what_is_given_back_can_be_spent(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await held(this, hold(1, 950))
            assert await this.submit(bet(1, stake=51)).code() is Code.INSUFFICIENT_FUNDS
            this.wall.now_us = DUE_US
            await look(this)
            assert await this.submit(bet(2, stake=1000)).code() is None

    asyncio.run(run())


def test_many_that_are_due_expire_a_part_at_a_time_those_first_that_came_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            count = 2 * AT_ONCE + 1
            due = await held(this, *(hold(n, 1, expires_at_us=DUE_US - n) for n in range(count)))
            this.wall.now_us = DUE_US
            for so_far in (AT_ONCE, 2 * AT_ONCE, count, count):
                await look(this)
                assert expired(this) == due[::-1][:so_far]
            assert held_minor(this) == 0

    asyncio.run(run())


def test_the_batcher_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 0.001)

    async def run() -> None:
        async with world(tmp_path) as this:
            for number, due_us in enumerate((DUE_US, DUE_US + S)):  # and goes on looking
                (due,) = await held(this, hold(number, expires_at_us=due_us))
                this.wall.now_us = due_us
                async with asyncio.timeout(WAIT_S):
                    while due not in expired(this):
                        await this.turns()

    asyncio.run(run())


def test_nobody_looks_again_while_expiries_are_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (due,) = await held(this, hold(1))
            this.wall.now_us = DUE_US
            this.disk.hold()
            for _ in range(3):
                await expiry_of(this).look()
            await this.disk.holds_one()
            assert this.batcher._unanswered == 1
            this.disk.release()
            await answered(this)
            assert expired(this) == [due]

    asyncio.run(run())


def test_to_look_when_nothing_is_due_is_one_read_of_a_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await held(this, *(hold(n, 1, expires_at_us=(None, DUE_US)[n % 2]) for n in range(500)))
            steps: list[None] = []
            monkeypatch.setattr(looks, "STEPS", 1)
            monkeypatch.setattr(looks._Deadline, "__call__", lambda deadline: steps.append(None))
            await expiry_of(this).look()
            assert this.batcher._unanswered == 0
            monkeypatch.undo()
            assert 0 < len(steps) < 200  # some 40 for each of three kinds, however many there are

    asyncio.run(run())


# --- beside other commands for the same hold ----------------------------------------------------------------


@pytest.mark.parametrize(("captured", "comes"), [(30, True), (None, False)], ids=["a part", "all of it"])
def test_an_expiry_behind_a_capture_gives_back_what_is_left(
    tmp_path: Path, captured: int | None, comes: bool
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (due,) = await held(this, hold(1))
            this.disk.hold()
            taken = this.submit(capture(due, captured))
            await this.disk.holds_one()
            this.wall.now_us = DUE_US
            await expiry_of(this).look()
            await this.turns()
            assert not taken.outcomes
            this.disk.release()
            assert await taken.code() is None
            await answered(this)
            assert expired(this) == ([due] if comes else [])
            assert held_minor(this) == 0
            await look(this)
            assert expiry_of(this).pause_s == batcher.expiry.LOOK_EVERY_S  # to come too late is no trouble

    asyncio.run(run())


@pytest.mark.parametrize(
    ("at_us", "codes"),
    [
        (DUE_US - 1, [None, Code.INVALID_REQUEST, Code.HOLD_CLOSED]),
        (DUE_US, [Code.HOLD_CLOSED, None, None]),
    ],
    ids=["in time", "too late"],
)
def test_a_capture_and_the_expiry_in_one_batch_go_by_the_time_of_its_block(
    tmp_path: Path, at_us: int, codes: list[Code | None]
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            (due,) = await held(this, hold(1))
            this.wall.now_us = at_us
            early, rest = capture(due), CaptureHold(due, key="late", caller="test")
            assert await this.codes([early, expire(due), expire(due) if codes[1] is None else rest]) == codes
            assert held_minor(this) == 0

    asyncio.run(run())


# --- after a restart ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_expiry_whose_commit_ended_unknown_comes_once_after_the_restart(
    tmp_path: Path, on_disk: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[int] = []

    async def run() -> None:
        async with world(tmp_path) as this:
            due.extend(await held(this, hold(1), hold(2)))
            this.wall.now_us = DUE_US
            this.disk.fail(IO_ERROR, after=on_disk)
            await look(this)
            assert this.batcher.failure is not None
            caplog.clear()
            with monkeypatch.context() as patched:
                patched.setattr(queries, "expiries_due", None)
                await expiry_of(this).look()  # no money is taken any more: nothing to look for
            assert this.batcher._unanswered == 0
            assert caplog.records == []
            assert expired(this) == (due if on_disk else [])
        async with world(tmp_path) as this:
            this.wall.now_us = DUE_US
            await look(this)
            assert expired(this) == due
            assert held_minor(this) == 0

    asyncio.run(run())


# --- turned away, and tried again ---------------------------------------------------------------------------


def test_an_open_breaker_is_left_alone_and_a_half_open_one_gets_one_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        limits = BreakerLimits(commit_faults=1, stable_us=3 * S)
        async with world(tmp_path, breaker=Breaker(limits)) as this:
            due = await held(this, *(hold(number) for number in range(5)))
            this.wall.now_us = DUE_US
            this.disk.fail(FULL)
            assert await this.submit(bet(1)).code() is Code.OVERLOADED
            assert this.batcher.breaker_status().state is State.OPEN
            caplog.clear()
            await expiry_of(this).look()
            assert this.batcher._unanswered == 0
            assert expired(this) == []
            this.clock.now_us += S
            for so_far in (1, 2):
                assert this.batcher.breaker_status().state is State.HALF_OPEN
                await look(this)
                assert len(expired(this)) == so_far
            this.clock.now_us += 3 * S
            await look(this)  # the third confirms that all is well
            assert this.batcher.breaker_status().state is State.CLOSED
            await look(this)
            assert sorted(expired(this)) == due
        # The news of the circuit are told by another clock: whether there are any depends on the machine.
        said = [record.getMessage() for record in caplog.records]
        assert [line for line in said if not line.startswith("the circuit is ")] == []

    asyncio.run(run())


def test_those_that_find_the_queue_full_are_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 20.0)

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(queue_max=2, reserve=1)) as this:
            due = await held(this, *(hold(number) for number in range(3)))
            due += await held(this, hold(3), hold(4))
            this.wall.now_us = DUE_US
            pauses, so_far = [], []
            for _ in range(4):
                await look(this)
                pauses.append(expiry_of(this).pause_s)
                so_far.append(len(expired(this)))
            assert so_far == [3, 5, 5, 5]
            assert pauses == [20.0, 40.0, 20.0, 20.0]
            assert sorted(expired(this)) == due
        assert caplog.records == []

    asyncio.run(run())


def test_a_hold_whose_expiry_fails_is_tried_again_but_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try takes its batch apart and leaves a traceback in the log."""
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 1.0)
    culprits: set[int] = set()

    def fails(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if isinstance(command, ExpireHold) and command.hold_id in culprits:
            raise ZeroDivisionError
        return decide(view, command, now_us, objection)

    async def run() -> None:
        async with world(tmp_path, decide=fails) as this:
            due = await held(this, hold(1), hold(2), hold(3))
            culprits.add(due[1])
            this.wall.now_us = DUE_US
            pauses = []
            for _ in range(8):
                await look(this)
                assert expired(this) == [due[0], due[2]]
                pauses.append(expiry_of(this).pause_s)
            assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LOOK_SELDOM_S, LOOK_SELDOM_S]
            culprits.clear()
            await look(this)
            await look(this)
            assert sorted(expired(this)) == due
            assert expiry_of(this).pause_s == 1.0

    asyncio.run(run())


def test_a_file_that_cannot_be_read_for_a_while_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 1.0)
    monkeypatch.setattr(queries, "expiries_due", unreadable_at(1, 2, 4, then=queries.expiries_due))

    async def run() -> None:
        async with world(tmp_path) as this:
            (due,) = await held(this, hold(1))
            this.wall.now_us = DUE_US
            lines, pauses, found = [], [], []
            for _ in range(6):
                await look(this)
                lines.append(len(caplog.records))
                pauses.append(expiry_of(this).pause_s)
                found.append(expired(this))
            assert found == [[], [], *[[due]] * 4]
            assert lines == [1, 1, 1, 2, 2, 2]
            assert pauses == [1.0, 2.0, 4.0, 1.0, 2.0, 1.0]
        assert {record.getMessage() for record in caplog.records} == {
            "what has to expire could not be looked up"
        }

    asyncio.run(run())


# --- the end ------------------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_expiries_under_way_and_begins_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            first, second = await held(this, hold(1), hold(2, expires_at_us=DUE_US + 1))
            this.wall.now_us = DUE_US
            this.disk.hold()
            await expiry_of(this).look()
            await this.disk.holds_one()
            draining = asyncio.create_task(this.batcher.drain())
            await this.turns()
            assert not draining.done()
            this.disk.release()
            await draining
            assert expired(this) == [first]
            this.wall.now_us += 1
            await expiry_of(this).look()
            assert this.batcher._unanswered == 0
            assert expired(this) == [first]
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert second not in expired(this)
        assert caplog.records == []

    asyncio.run(run())


def test_a_stop_is_not_held_up_by_holds_that_were_being_looked_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await held(this, hold(1))
            this.wall.now_us = DUE_US
            async with stalled(this.store._readers[_SHORT]):
                looking = asyncio.create_task(expiry_of(this).look())
                await asyncio.sleep(0)
                await asyncio.wait_for(this.batcher.drain(), WAIT_S)
            await looking
            assert this.batcher._unanswered == 0
            assert expired(this) == []
        assert caplog.records == []

    asyncio.run(run())


def test_one_that_comes_to_a_stopping_server_is_answered(tmp_path: Path) -> None:
    """By whatever way: its asker must not believe for ever that it is under way."""

    async def run() -> None:
        async with world(tmp_path) as this:
            (due,) = await held(this, hold(1))
            this.wall.now_us = DUE_US
            this.disk.hold()
            this.submit(hold(2, expires_at_us=None))
            await this.disk.holds_one()
            draining = asyncio.create_task(this.batcher.drain())
            await this.turns()
            assert await this.submit(expire(due)) == Rejected(Code.OVERLOADED)
            this.disk.release()
            await draining
            assert expired(this) == []

    asyncio.run(run())
