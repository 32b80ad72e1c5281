"""Two batches under way: when the second one closes, and what its bets hear when the first one fails."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from batcher.batcher import Batcher
from batcher.memory_nonces import MemoryGuard
from batcher.policy import BatchLimits
from engine.outcomes import Accepted, Code, Rejected
from engine.store import Store
from tests.batches import (
    BOB,
    CONSTRAINT,
    FULL,
    IO_ERROR,
    NOW_US,
    WAIT_S,
    Broken,
    Disk,
    Guard,
    bet,
    world,
)
from tests.books_open import balances, look
from tests.books_open import seed as seed_file
from tests.pipelines import Decided, codes, ids, stalled, two_under_way

DEADLINE_US = BatchLimits().deadline_us

# --- when a batch closes ---------------------------------------------------------------------------------


def test_the_second_batch_closes_when_the_first_is_halfway_and_not_before(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            await this.submit(bet(0))
            this.disk.hold()
            async with stalled(this.store._writer):
                this.submit(bet(1))
                await guard.calls_are(2)
                this.submit_all([bet(2), bet(3)])
                await this.turns()
                assert guard.calls[1:] == [ids(1)]
                this.submit(bet(4))
            await this.disk.holds_one()  # far beyond halfway
            await guard.calls_are(3)
            assert guard.calls[2:] == [ids(2, 3, 4)]
            this.disk.release()
            assert await codes(this) == [None] * 5

    asyncio.run(run())


def test_the_second_batch_closes_when_it_is_half_full_although_the_first_has_not_begun(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(batch_max=8, ahead_min=1)) as this:
            await this.submit(bet(0))
            async with stalled(this.store._writer):
                this.submit(bet(1))
                await guard.calls_are(2)
                for number in (2, 3, 4):
                    this.submit(bet(number))
                    await this.turns()
                assert guard.calls[1:] == [ids(1)]
                this.submit(bet(5))
                await guard.calls_are(3)
                assert guard.calls[2:] == [ids(2, 3, 4, 5)]
            assert await codes(this) == [None] * 6

    asyncio.run(run())


def test_no_more_than_two_batches_are_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(batch_max=2, ahead_min=1)) as this:
            this.disk.hold()
            answers = this.submit_all(map(bet, range(9)))
            for told in range(4):
                await this.disk.holds_one()
                await guard.calls_are(min(told + 2, 5))
                await this.turns()
                assert len(guard.calls) == min(told + 2, 5)
                assert len(this.told) == 2 * told
                this.disk.release()
                this.disk.hold()
            await this.disk.holds_one()
            this.disk.release()
            assert await codes(this) == [None] * 9
            assert this.told == answers

    asyncio.run(run())


# --- the first one fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"), [(FULL, [Code.OVERLOADED] * 2), (CONSTRAINT, [None] * 2)], ids=["refused", "aborted"]
)
def test_the_second_is_decided_anew_behind_the_first_that_failed(
    tmp_path: Path, fault: tuple[int, str], told: list[Code | None]
) -> None:
    async def run() -> None:
        async with two_under_way(tmp_path, first=(1, 2), second=(3, 1, 4)) as this:
            this.disk.fail(fault)
            this.disk.release()
            expected = [*told, None, None, None]
            if fault is FULL:
                expected[0] = Code.OUTCOME_UNKNOWN  # a copy of it is under way
            assert await codes(this) == expected
            if fault is CONSTRAINT:  # what is refused is looked up first, beside the second batch
                assert this.told == this.answers
            assert this.ledger() == (ids(3, 1, 4) if fault is FULL else ids(1, 2, 3, 4))

    asyncio.run(run())


def test_a_change_by_somebody_else_costs_both_a_second_decision_and_nothing_more(tmp_path: Path) -> None:
    async def run() -> None:
        guard, decided = Guard(), Decided()
        limits = BatchLimits(batch_max=2, ahead_min=1)
        async with world(tmp_path, guard=guard, decide=decided, limits=limits) as this:
            await this.submit(bet(0))
            async with stalled(this.store._writer):
                this.submit_all(map(bet, (1, 2, 3, 4)))
                await decided.comes_to(4)
                look(tmp_path / "wallet.db", "UPDATE users SET status = 'blocked' WHERE id = ?", BOB)
            assert await codes(this) == [None] * 5
            assert this.ledger() == ids(0, 1, 2, 3, 4)
            assert [len(calls) for calls in guard.calls] == [1, 2, 2]
            assert sorted(decided.numbers[-8:]) == [1, 1, 2, 2, 3, 3, 4, 4]
            assert await this.submit(bet(5, user=BOB)).code() is Code.ACCOUNT_BLOCKED

    asyncio.run(run())


def test_a_culprit_in_the_second_costs_the_first_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_under_way(tmp_path, Decided(3), first=(1, 2), second=(3, 1, 4)) as this:
            this.disk.release()
            assert await codes(this) == [None, None, Code.INTERNAL, None, None]
            assert [answer.outcomes[0].replayed for answer in this.answers] == [False] * 3 + [True, False]
            assert this.ledger() == ids(1, 2, 4)

    asyncio.run(run())


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("prepared", [False, True], ids=["being prepared", "queued"])
def test_behind_an_unknown_commit_the_second_is_not_executed(
    tmp_path: Path, prepared: bool, on_disk: bool
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            this.disk.hold()
            first = this.submit(bet(1))
            await this.disk.holds_one()
            if not prepared:
                guard.gate.clear()
            this.submit_all([bet(2), bet(1)])
            await guard.calls_are(2)
            await this.turns()
            this.disk.fail(IO_ERROR, after=on_disk)
            this.disk.release()
            unknown = Code.OUTCOME_UNKNOWN
            assert await first.code() is unknown
            guard.gate.set()
            assert await codes(this) == [unknown, Code.CIRCUIT_OPEN, unknown]
            assert this.ledger() == (ids(1) if on_disk else [])
            assert [this.batcher.doubtful(key) is None for key in ids(1, 2)] == [False, True]

    asyncio.run(run())


# --- the end ---------------------------------------------------------------------------------------------


def test_drain_finishes_both(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_under_way(tmp_path) as this:
            third = this.submit(bet(3))
            draining = asyncio.create_task(this.batcher.drain())
            await this.turns()
            assert not draining.done()
            assert await this.submit(bet(4)) == Rejected(Code.OVERLOADED)
            this.disk.release()
            await draining
            assert isinstance(third.outcomes[0], Accepted)
            assert this.ledger() == ids(1, 2, 3)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


@pytest.mark.parametrize("fault", [None, FULL, IO_ERROR])
def test_abandon_leaves_no_task_behind_and_no_batch_half_written(
    tmp_path: Path, fault: tuple[int, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = seed_file(tmp_path / "books.db", 1000, 1000)

    async def run() -> None:
        disk, decided = Disk(), Decided()
        store = await Store.open(path, decide=decided, connection_factory=disk.connection())
        limits = BatchLimits(ahead_min=1)
        batcher = Batcher(store, MemoryGuard(capacity=1000), limits=limits, wall_clock=lambda: NOW_US)
        batcher.start()
        disk.hold()
        batcher.submit(bet(1), Broken(), "r")
        await disk.holds_one()
        batcher.submit(bet(2), Broken(), "r")
        await decided.comes_to(2)
        disk.fail(fault)
        batcher.abandon()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=WAIT_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        disk.release()
        await store.close()
        gc.collect()  # a task that nobody has asked what became of it complains when it goes

    asyncio.run(run())
    assert caplog.records == []
    balances(path)
    keys = look(path, "SELECT key FROM transactions WHERE kind = 'BET' ORDER BY id")
    assert [key for (key,) in keys] == (ids(1, 2) if fault is None else [])
