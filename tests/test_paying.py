"""Payouts that are paid in the background: each item once, whatever else goes on or wrong."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

import batcher.paying
from batcher.breaker import Breaker, BreakerLimits, State
from batcher.expiry import CALLER, LOOK_SELDOM_S
from batcher.paying import PAUSE_S, Paying
from batcher.policy import BatchLimits
from engine import looks, queries
from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    AddPayoutItems,
    Command,
    Deposit,
    OpenPayout,
    PayChunk,
    PayoutItem,
    StartPayout,
)
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome
from engine.store import _SHORT
from engine.view import View
from tests.batches import ALICE, BOB, FULL, IO_ERROR, WAIT_S, Guard, S, World, bet, unreadable_at, world
from tests.pipelines import stalled

NOBODY = 999
IDLE_S = 3600.0


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for payouts but the test."""
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", IDLE_S)


def winners(count: int, unpayable: int = 0) -> tuple[PayoutItem, ...]:
    """Items of 1, the two players in turn; every so many, somebody who is not there."""
    users = [NOBODY if unpayable and not n % unpayable else (ALICE, BOB)[n % 2] for n in range(count)]
    return tuple(PayoutItem(user, 1) for user in users)


async def started(this: World, *items: PayoutItem, name: str = "p") -> int:
    """The id of a payout that waits to be paid."""
    opened = await this.submit(OpenPayout("EUR", key=f"{name}-open", caller="test"))
    assert isinstance(opened, Accepted)
    id_ = opened.transaction_id
    total = sum(item.amount_minor for item in items)
    added = this.submit(AddPayoutItems(id_, 0, items, key=f"{name}-add", caller="test"))
    assert await added.code() is None
    assert (
        await this.submit(StartPayout(id_, len(items), total, key=f"{name}-go", caller="test")).code() is None
    )
    return id_


def paying_of(this: World) -> Paying:
    return this.batcher._paying


async def look(this: World, times: int = 1) -> None:
    async with asyncio.timeout(WAIT_S):
        for _ in range(times):
            await paying_of(this).look()


def done(this: World, payout_id: int) -> tuple[str, int, int]:
    """State, and how many items were paid or put into suspense, and how many are there: from the file."""
    ((state, so_far, suspended),) = this.rows(
        "SELECT state, done, suspended FROM payouts WHERE id = ?", payout_id
    )
    return state, so_far, suspended


def credited(this: World, payout_id: int) -> dict[int, int]:
    """What each player got of it, by the ledger."""
    return dict(
        this.rows(
            """
            SELECT user_id, sum(amount) FROM transaction_ledger
            WHERE ref_type = 'PAYOUT' AND ref_id = ? AND user_id IN (?, ?) GROUP BY user_id
            """,
            str(payout_id),
            ALICE,
            BOB,
        )
    )


def chunks(this: World) -> list[str]:
    """The keys of the chunks that were paid, in order."""
    return this.keys(f"{CALLER}:payout-chunk")


def clearing(this: World, payout_id: int) -> int:
    ((minor,),) = this.rows("SELECT balance FROM users WHERE id = ?", CLEARING_ID_BASE + payout_id)
    return int(minor)


def all_paid(this: World, payout_id: int, count: int) -> bool:
    """Whether each of `winners(count)` was paid once, in chunks of the usual size."""
    keys = [f"{payout_id}:{first}" for first in range(0, count, CHUNK_ITEMS)]
    return (
        done(this, payout_id) == ("paid", count, 0)
        and credited(this, payout_id) == {ALICE: (count + 1) // 2} | ({BOB: count // 2} if count > 1 else {})
        and [key for key in chunks(this) if key.startswith(f"{payout_id}:")] == keys
        and clearing(this, payout_id) == 0
    )


# --- to its end -------------------------------------------------------------------------------------------


def test_a_payout_is_paid_to_its_end_a_chunk_at_a_look(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def run() -> None:
        async with world(tmp_path) as this:
            id_ = await started(this, *winners(250))
            seen, pauses = [], []
            for _ in range(5):
                await look(this)
                seen.append(done(this, id_))
                pauses.append(paying_of(this).pause_s)
            assert [so_far for _, so_far, _ in seen] == [100, 200, 250, 250, 250]
            assert pauses == [PAUSE_S] * 3 + [IDLE_S] * 2
            assert all_paid(this, id_, 250)
            told = [accepted.payout.done for accepted, _ in this.posted if accepted.payout is not None]
            assert told == [0, 0, 0, 100, 200, 250]
        said = [record.getMessage() for record in caplog.records]
        assert said == [f"payout {id_} is paid: 250 items, 0 in suspense"]

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, CHUNK_ITEMS, CHUNK_ITEMS + 1])
def test_a_payout_of_any_size_ends(tmp_path: Path, count: int) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            id_ = await started(this, *winners(count))
            await look(this, -(-count // CHUNK_ITEMS))
            assert all_paid(this, id_, count)

    asyncio.run(run())


def test_what_cannot_be_paid_is_in_suspense_and_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def run() -> None:
        async with world(tmp_path) as this:
            id_ = await started(this, *winners(250, unpayable=50))
            await look(this, 3)
            assert done(this, id_) == ("paid", 250, 5)
            assert sum(credited(this, id_).values()) == 245
            suspended = this.rows("SELECT number, reason, state FROM suspended_items ORDER BY number")
            assert suspended == [(n, "ACCOUNT_NOT_FOUND", "suspended") for n in range(0, 250, 50)]
            assert clearing(this, id_) == 0
        assert [record.getMessage() for record in caplog.records] == [
            f"payout {id_} is paid: 250 items, 5 in suspense"
        ]

    asyncio.run(run())


def test_payouts_are_paid_in_turn_so_that_a_small_one_does_not_wait_for_a_large_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            large = await started(this, *winners(500), name="large")
            small = await started(this, *winners(150), name="small")
            await look(this, 4)
            assert done(this, small)[0] == "paid"
            assert done(this, large)[:2] == ("paying", 200)
            await look(this, 3)
            assert all_paid(this, large, 500)
            assert all_paid(this, small, 150)

    asyncio.run(run())


def test_more_payouts_than_are_looked_up_at_once_all_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.paying, "AT_ONCE", 2)

    async def run() -> None:
        async with world(tmp_path) as this:
            ids = [await started(this, *winners(101), name=f"p{n}") for n in range(5)]
            await look(this, 5)
            assert [done(this, id_)[1] for id_ in ids] == [100] * 5
            await look(this, 5)
            assert all(all_paid(this, id_, 101) for id_ in ids)

    asyncio.run(run())


def test_the_batcher_pays_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", 0.001)

    async def run() -> None:
        async with world(tmp_path) as this:
            for name in ("one", "two"):  # and goes on looking
                id_ = await started(this, *winners(250), name=name)
                async with asyncio.timeout(WAIT_S):
                    while not all_paid(this, id_, 250):
                        await this.turns()

    asyncio.run(run())


def test_to_look_when_nothing_is_under_way_is_a_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            for n in range(20):
                await this.submit(OpenPayout("EUR", key=f"idle-{n}", caller="test"))
            id_ = await started(this, *winners(250))
            await look(this, 3)
            assert all_paid(this, id_, 250)
            steps: list[None] = []
            monkeypatch.setattr(looks, "STEPS", 1)
            monkeypatch.setattr(looks._Deadline, "__call__", lambda deadline: steps.append(None))
            await look(this)
            monkeypatch.undo()
            assert this.batcher._unanswered == 0
            assert 0 < len(steps) < 60

    asyncio.run(run())


# --- after a restart ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_a_payout_goes_on_after_a_restart_where_it_stood(tmp_path: Path, looks: int) -> None:
    ids: list[int] = []

    async def run() -> None:
        async with world(tmp_path) as this:
            ids.append(await started(this, *winners(250)))
            await look(this, looks)
        async with world(tmp_path) as this:
            assert done(this, ids[0])[1] == min(100 * looks, 250)
            await look(this, 4)
            assert all_paid(this, ids[0], 250)

    asyncio.run(run())


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("first", [0, 100, 200])
def test_a_chunk_whose_commit_ended_unknown_is_paid_once_after_the_restart(
    tmp_path: Path, first: int, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[int] = []

    async def run() -> None:
        async with world(tmp_path) as this:
            ids.append(await started(this, *winners(250)))
            await look(this, first // 100)
            this.disk.fail(IO_ERROR, after=on_disk)
            await look(this)
            assert this.batcher.failure is not None
            with monkeypatch.context() as patched:
                patched.setattr(queries, "payouts_under_way", None)
                await look(this, 3)  # no money is taken any more: nothing to look for
            assert this.batcher._unanswered == 0
            assert done(this, ids[0])[1] == (min(first + 100, 250) if on_disk else first)
        async with world(tmp_path) as this:
            await look(this, 4)
            assert all_paid(this, ids[0], 250)

    asyncio.run(run())


# --- turned away, and tried again ---------------------------------------------------------------------------


def test_a_full_disk_costs_a_pause_and_the_open_breaker_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", 1.0)

    async def run() -> None:
        limits = BreakerLimits(commit_faults=1, stable_us=3 * S)
        async with world(tmp_path, breaker=Breaker(limits)) as this:
            id_ = await started(this, *winners(450))
            await look(this)
            this.disk.fail(FULL)
            await look(this)
            assert this.batcher.breaker_status().state is State.OPEN
            with monkeypatch.context() as patched:
                patched.setattr(queries, "payouts_under_way", None)
                await look(this)
            assert paying_of(this).pause_s == 1.0
            assert done(this, id_)[1] == 100
            this.clock.now_us += S
            for so_far in (200, 300):
                assert this.batcher.breaker_status().state is State.HALF_OPEN
                await look(this)
                assert done(this, id_)[1] == so_far
                assert paying_of(this).pause_s == 1.0  # bets are turned away: one chunk as a probe, no more
            this.clock.now_us += 3 * S
            await look(this)
            assert paying_of(this).pause_s == PAUSE_S
            await look(this)
            assert all_paid(this, id_, 450)
        waits = [r.getMessage() for r in caplog.records if r.getMessage().startswith("payout ")]
        assert waits == [f"payout {id_} waits at item 100: OVERLOADED"]

    asyncio.run(run())


def test_a_payout_that_is_refused_waits_ever_longer_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each try takes its batch apart and leaves a traceback in the log."""
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", 1.0)
    culprits: set[int] = set()
    tries: list[int] = []

    def fails(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if isinstance(command, PayChunk) and command.payout_id in culprits:
            raise ZeroDivisionError
        return decide(view, command, now_us, objection)

    async def run() -> None:
        async with world(tmp_path, decide=fails) as this:
            sick = await started(this, *winners(250), name="sick")
            sound = await started(this, *winners(250), name="sound")
            culprits.add(sick)
            await look(this, 3)
            assert all_paid(this, sound, 250)

            async def noted(command: Command) -> Outcome:
                tries.append(this.clock.now_us)
                return await this.batcher.ask(command)

            monkeypatch.setattr(paying_of(this), "_ask", noted)
            began_us = this.clock.now_us
            for _ in range(250):
                this.clock.now_us += S
                await look(this)
            after_s = [(at_us - began_us) // S for at_us in tries]
            assert [after_s[0], *(b - a for a, b in itertools.pairwise(after_s))] == [
                1, 2, 4, 8, 16, 32, int(LOOK_SELDOM_S), int(LOOK_SELDOM_S), int(LOOK_SELDOM_S),
            ]  # fmt: skip
            culprits.clear()
            this.clock.now_us += int(LOOK_SELDOM_S) * S
            await look(this, 3)
            assert all_paid(this, sick, 250)
            assert paying_of(this)._refused == {}
        waits = [r.getMessage() for r in caplog.records if r.getMessage().startswith("payout ")]
        assert waits == [f"payout {sick} waits at item 0: INTERNAL"]

    asyncio.run(run())


def test_a_chunk_that_finds_the_queue_full_is_paid_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", 1.0)

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(queue_max=1, reserve=1)) as this:
            id_ = await started(this, *winners(150))
            deposit = Deposit(BOB, 5, key="d", caller="op")
            waiting = this.submit_all([bet(0), deposit])  # not gathered yet: the queue is full
            await paying_of(this)._pay(id_, 0)
            assert done(this, id_)[1] == 0
            assert [await each.code() for each in waiting] == [None, None]
            await look(this)
            assert done(this, id_)[1] == 0  # left alone for a second
            this.clock.now_us += S
            await look(this, 2)
            assert all_paid(this, id_, 150)

    asyncio.run(run())


def test_a_file_that_cannot_be_read_for_a_while_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.paying, "LOOK_EVERY_S", 1.0)
    monkeypatch.setattr(queries, "payouts_under_way", unreadable_at(2, 3, 5, then=queries.payouts_under_way))

    async def run() -> None:
        async with world(tmp_path) as this:
            id_ = await started(this, *winners(450))
            lines, pauses, so_far = [], [], []
            for _ in range(7):
                await look(this)
                lines.append(len(caplog.records))
                pauses.append(paying_of(this).pause_s)
                so_far.append(done(this, id_)[1])
            assert so_far == [100, 100, 100, 200, 200, 300, 400]
            assert lines == [0, 1, 1, 1, 2, 2, 2]
            assert pauses == [PAUSE_S, 1.0, 2.0, PAUSE_S, 1.0, PAUSE_S, PAUSE_S]
        assert {record.getMessage() for record in caplog.records} == {
            "payouts under way could not be looked up"
        }

    asyncio.run(run())


# --- the end ------------------------------------------------------------------------------------------------


def test_a_stop_in_the_middle_waits_for_the_chunk_under_way_and_begins_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[int] = []

    async def run() -> None:
        async with world(tmp_path) as this:
            ids.append(await started(this, *winners(250)))
            ids.append(await started(this, *winners(250), name="other"))
            this.disk.hold()
            looking = asyncio.create_task(paying_of(this).look())
            await this.disk.holds_one()
            draining = asyncio.create_task(this.batcher.drain())
            await this.turns()
            assert not draining.done()
            this.disk.release()
            await draining
            await looking
            await look(this, 3)
            assert [done(this, id_)[1] for id_ in ids] == [100, 0]
            assert asyncio.all_tasks() == {asyncio.current_task()}
        async with world(tmp_path) as this:
            await look(this, 6)
            assert all(all_paid(this, id_, 250) for id_ in ids)
        assert caplog.records == []

    asyncio.run(run())


def test_a_stop_is_not_held_up_by_payouts_that_were_being_looked_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            id_ = await started(this, *winners(250))
            async with stalled(this.store._readers[_SHORT]):
                looking = asyncio.create_task(paying_of(this).look())
                await asyncio.sleep(0)
                await asyncio.wait_for(this.batcher.drain(), WAIT_S)
            await looking
            assert done(this, id_)[1] == 0
        assert caplog.records == []

    asyncio.run(run())
