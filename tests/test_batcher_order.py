"""Two batches under way: none overtakes the other, none is late by the other, and no answer either."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from batcher.breaker import Breaker
from batcher.nonces import Verdict
from batcher.policy import BatchLimits
from engine.outcomes import Code
from engine.store import _AHEAD, _on_thread
from tests.batches import (
    CONSTRAINT,
    FULL,
    PATIENT,
    Guard,
    bet,
    hold_up_the_loop_until,
    world,
)
from tests.pipelines import Decided, codes, ids, stalled

DEADLINE_US = BatchLimits().deadline_us


@pytest.mark.parametrize("where", ["asking for nonces", "looking up keys"])
def test_nothing_overtakes_a_batch_that_is_decided_anew(tmp_path: Path, where: str) -> None:
    """His money goes to the bet that came first, also if its batch met a fault and was taken apart."""

    async def run() -> None:
        guard, decided = Guard(), Decided()
        async with (
            world(tmp_path, guard=guard, decide=decided) as this,
            contextlib.AsyncExitStack() as held,
        ):
            this.disk.hold()
            this.submit_all([bet(1), bet(2, stake=600)])
            await this.disk.holds_one()
            if where == "asking for nonces":
                guard.gate.clear()
                held.callback(guard.gate.set)
            else:
                await held.enter_async_context(stalled(this.store._readers[_AHEAD]))
            this.submit(bet(3, stake=600))
            await guard.calls_are(2)
            this.disk.fail(CONSTRAINT)
            this.disk.release()
            if where == "asking for nonces":
                this.disk.hold()
                await this.disk.holds_one()  # the first half, bet 1; bet 2 is not decided yet
            else:
                await this.store.set_up(lambda connection: None)  # the fault is behind the writer, and told
            await held.aclose()
            await this.turns()
            this.disk.release()
            assert await codes(this) == [None, None, Code.INSUFFICIENT_FUNDS]
            assert this.ledger() == ids(1, 2)
            # Once more where `set_up` has written; and not again because of what was decided before its turn.
            assert decided.numbers.count(1) == (2 if where == "asking for nonces" else 3)

    asyncio.run(run())


def test_nothing_overtakes_a_batch_that_is_void_since_the_one_before_it_was_refused(tmp_path: Path) -> None:
    """The loop hears at once that the second batch is void and what the third one touches (seed 857)."""

    async def run() -> None:
        decided, limits = Decided(), BatchLimits(batch_max=2, ahead_min=1)
        async with world(tmp_path, decide=decided, limits=limits) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            async with stalled(this.store._writer) as gate:
                this.submit(bet(2, stake=600))
                await decided.comes_to(2)
                this.submit(bet(3, stake=600))
                this.disk.fail(FULL)
                this.disk.release()
                assert await this.answers[0].code() is Code.OVERLOADED
                await this.turns()
                behind_all = threading.Event()
                marker = asyncio.create_task(
                    _on_thread(this.store._writer, lambda connection: behind_all.set())
                )
                await this.turns()
                gate.set()
                hold_up_the_loop_until(behind_all.is_set)
                await marker
            assert await codes(this) == [Code.OVERLOADED, None, Code.INSUFFICIENT_FUNDS]
            assert this.ledger() == ids(2)

    asyncio.run(run())


def test_behind_a_disk_that_hangs_only_bets_in_time_are_executed(tmp_path: Path) -> None:
    async def run() -> None:
        decided = Decided()
        async with world(tmp_path, decide=decided) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            this.submit(bet(2))
            this.clock.now_us += DEADLINE_US
            this.submit(bet(3))
            await decided.comes_to(3)
            this.clock.now_us += 1
            this.disk.release()
            assert await codes(this) == [None, Code.TIMED_OUT, None]
            assert this.ledger() == ids(1, 3)

    asyncio.run(run())


def test_a_batch_that_holds_a_late_bet_is_decided_once(tmp_path: Path) -> None:
    """Late bets come when there is more to do than can be done: no time to do all of it twice."""

    async def run() -> None:
        decided = Decided()
        async with world(tmp_path, decide=decided) as this:
            this.submit(bet(1))
            this.clock.now_us += DEADLINE_US + 1
            this.submit(bet(2))
            assert await codes(this) == [Code.TIMED_OUT, None]
            assert decided.numbers[-2:] == [1, 2]
            assert decided.numbers.count(1) == 1

    asyncio.run(run())


# --- two commits, and only then the loop has time --------------------------------------------------------


@pytest.mark.parametrize("why", ["no room for its nonce", "too late"])
def test_a_bet_is_not_refused_when_a_copy_in_the_next_batch_is_paid_by_then(tmp_path: Path, why: str) -> None:
    """`bet.rejected` says that no money has moved: `world` compares what is told with the ledger."""

    async def run() -> None:
        guard, decided = Guard(), Decided()
        limits = BatchLimits(batch_max=2, ahead_min=1)
        breaker = Breaker(PATIENT)
        async with world(tmp_path, guard=guard, decide=decided, limits=limits, breaker=breaker) as this:
            this.disk.hold()
            if why == "too late":
                this.submit(bet(1))
                this.clock.now_us += DEADLINE_US + 1
            else:
                guard.verdicts = {"nonce-shed": Verdict.SHED}
                this.submit(bet(1, nonce="nonce-shed"))
            this.submit(bet(2))
            await this.disk.holds_one()
            before = decided.numbers.count(1)
            this.submit(bet(1))
            await decided.comes_to(1, before + 1)
            this.disk.release()
            hold_up_the_loop_until(lambda: this.ledger() == ids(2, 1))
            assert (await codes(this))[1:] == [None, None]

    asyncio.run(run())
