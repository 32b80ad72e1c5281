"""The batcher with more to do than it can: what is shed by age, what has its reserve, what is never late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from batcher.breaker import Breaker, State
from batcher.policy import BatchLimits
from engine.commands import Command
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.view import View
from tests.batches import CONSTRAINT, FULL, PATIENT, Answer, Clock, Guard, S, World, bet, bet_id, world
from tests.keyed_commands import deposit

SMALL = BatchLimits(batch_max=2, ahead_min=1, target_us=S // 2, interval_us=S // 2)
DEADLINE_US = SMALL.deadline_us
SHED = Rejected(Code.OVERLOADED, retry_after_us=SMALL.interval_us)


class Jam:
    """Batches leave one after the other, when the test lets them: a guard that is held at each."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.guard.gate.clear()

    async def lets_one_through(self, this: World) -> None:
        """The batch at the gate goes; return when the next one stands there."""
        calls = len(self.guard.calls)
        self.guard.gate.set()
        await asyncio.sleep(0)
        self.guard.gate.clear()
        await self.guard.calls_are(calls + 1)
        await this.turns()


async def standing(this: World, jam: Jam, queued: list[Command]) -> list[Answer]:
    """`queued` waits, and so did a batch's oldest half a second ago: the next batch may shed."""
    first = this.submit(bet(100))
    await jam.guard.calls_are(1)
    early = this.submit_all([bet(101), bet(102), bet(103)])
    answers = this.submit_all(queued)
    this.clock.now_us += SMALL.target_us + 1
    await jam.lets_one_through(this)  # saw that the oldest had waited too long, for the first time
    assert await first.code() is None
    assert this.batcher.queue_length() == 1 + len(queued)
    this.clock.now_us += SMALL.interval_us
    return [early[2], *answers]


def test_a_queue_that_stands_sheds_old_bets_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        jam = Jam()
        async with world(tmp_path, guard=jam.guard, limits=SMALL, breaker=Breaker(PATIENT)) as this:
            old = await standing(this, jam, [bet(1), deposit("a"), bet(2), bet(3)])
            young = this.submit_all([bet(4), bet(5)])
            await jam.lets_one_through(this)
            assert [await old[number] for number in (0, 1, 3, 4)] == [SHED] * 4
            jam.guard.gate.set()
            assert [await each.code() for each in (old[2], *young)] == [None] * 3
            assert this.ledger() == [bet_id(number) for number in (100, 101, 102, 4, 5)]

    asyncio.run(run())


def test_what_is_shed_was_not_executed_and_may_be_sent_again(tmp_path: Path) -> None:
    async def run() -> None:
        jam = Jam()
        async with world(tmp_path, guard=jam.guard, limits=SMALL, breaker=Breaker(PATIENT)) as this:
            old = await standing(this, jam, [bet(1)])
            young = this.submit_all([bet(4), bet(5)])
            await jam.lets_one_through(this)
            assert await old[0] == await old[1] == SHED
            assert this.batcher.pending(bet_id(1)) is None
            jam.guard.gate.set()
            assert [await each.code() for each in young] == [None, None]
            again = await this.submit(bet(1))
            assert isinstance(again, Accepted)
            assert not again.replayed

    asyncio.run(run())


def test_of_a_bet_that_is_shed_nothing_is_claimed_while_a_copy_of_it_is_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        jam = Jam()
        async with world(tmp_path, guard=jam.guard, limits=SMALL, breaker=Breaker(PATIENT)) as this:
            old = await standing(this, jam, [bet(1), bet(101)])  # 101 is in the batch at the gate
            young = this.submit_all([bet(1), bet(4)])
            await jam.lets_one_through(this)
            assert await old[0] == SHED
            assert await old[1].code() is Code.OUTCOME_UNKNOWN  # its copy is young
            jam.guard.gate.set()
            # Paid meanwhile, or still under way: in either case nobody says "rejected" (`world` checks it).
            assert await old[2].code() in (None, Code.OUTCOME_UNKNOWN)
            assert [await each.code() for each in young] == [None, None]

    asyncio.run(run())


def test_who_has_one_bet_in_flight_is_not_shed_for_one_who_floods(tmp_path: Path) -> None:
    async def run() -> None:
        jam = Jam()
        limits = replace(SMALL, batch_max=3)
        async with world(tmp_path, guard=jam.guard, limits=limits, breaker=Breaker(PATIENT)) as this:
            this.submit(bet(100))
            await jam.guard.calls_are(1)
            this.submit_all([bet(101), bet(102), bet(103)])
            flood = Answers(this)
            for number in range(10, 20):
                this.batcher.submit(bet(number), flood, "f")
            polite = this.submit(bet(1))
            this.clock.now_us += SMALL.target_us + 1
            await jam.lets_one_through(this)
            this.clock.now_us += SMALL.interval_us
            for number in range(20, 25):
                this.batcher.submit(bet(number), flood, "f")
            await jam.lets_one_through(this)
            jam.guard.gate.set()
            assert await polite.code() is None
            await flood.all_told(15)
            assert flood.codes.count(Code.OVERLOADED) == 10

    asyncio.run(run())


class Answers:
    """One asker of many bets."""

    def __init__(self, this: World) -> None:
        self.codes: list[Code | None] = []
        self._told = asyncio.Event()

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        self.codes.append(outcome.code if isinstance(outcome, Rejected) else None)
        self._told.set()

    async def all_told(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.codes) < count:
                self._told.clear()
                await self._told.wait()


def test_a_probe_that_is_shed_frees_its_slot(tmp_path: Path) -> None:
    async def run() -> None:
        jam = Jam()
        breaker = Breaker(replace(PATIENT, commit_faults=1, probes_max=5))
        async with world(tmp_path, guard=jam.guard, limits=SMALL, breaker=breaker) as this:
            jam.guard.gate.set()
            this.disk.fail(FULL)
            assert await this.submit(bet(99)).code() is Code.OVERLOADED
            this.clock.now_us += S
            jam.guard.gate.clear()
            jam.guard.calls.clear()
            # Two probes are at the gate, two in the queue, and there is one place left.
            old = await standing(this, jam, [bet(1)])
            later = this.submit_all([bet(2), deposit("a"), deposit("b")])
            assert await this.submit(bet(3)).code() is Code.CIRCUIT_OPEN
            await jam.lets_one_through(this)
            assert await old[0] == await old[1] == SHED
            jam.guard.gate.set()
            assert [await each.code() for each in later] == [None] * 3
            assert await this.codes(map(bet, range(4, 9))) == [None] * 5
            assert this.batcher.breaker_status().state is State.HALF_OPEN

    asyncio.run(run())


def test_a_queue_full_of_bets_has_room_for_what_is_owed(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        limits = BatchLimits(queue_max=2, reserve=1, ahead_min=1)
        async with world(tmp_path, guard=guard, limits=limits) as this:
            guard.gate.clear()
            this.submit(bet(1))
            await guard.calls_are(1)
            waiting = this.submit_all([bet(2), bet(3), deposit("a")])
            told = await this.codes([bet(4), deposit("b")])
            assert told == [Code.OVERLOADED, Code.OVERLOADED]
            guard.gate.set()
            assert [await each.code() for each in waiting] == [None] * 3

    asyncio.run(run())


@pytest.mark.parametrize("left_us", [0, 1])
def test_a_bet_that_becomes_late_while_it_is_decided_anew_is_not_executed(
    tmp_path: Path, left_us: int
) -> None:
    """The batch is taken apart, and time passes between the second decision and the writer's turn."""
    decided: list[str] = []
    clocks: list[Clock] = []

    def slow_the_second_time(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        decided.append(command.key)
        if decided.count(bet_id(1)) == 2 and command.key == bet_id(1) and objection is None:
            clocks[0].now_us += DEADLINE_US + 1 - left_us
        return decide(view, command, now_us, objection)

    async def run() -> None:
        breaker = Breaker(PATIENT)
        async with world(tmp_path, decide=slow_the_second_time, breaker=breaker) as this:
            clocks.append(this.clock)
            this.disk.fail(CONSTRAINT)
            codes = await this.codes([bet(1), bet(2)])
            late = None if left_us else Code.TIMED_OUT
            assert codes[0] is late
            assert (bet_id(1) in this.ledger()) is (late is None)

    asyncio.run(run())


def test_a_late_bet_whose_retry_is_in_time_is_decided_once(tmp_path: Path) -> None:
    """The writer comes to a batch that holds both: nothing in it is too late to be executed."""
    decided: list[str] = []

    def note(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        decided.append(command.key)
        return decide(view, command, now_us, objection)

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, decide=note, breaker=Breaker(PATIENT)) as this:
            guard.gate.clear()
            this.submit(bet(0))
            await guard.calls_are(1)
            old = this.submit(bet(1))
            this.clock.now_us += DEADLINE_US + 1
            retry = this.submit(bet(1))
            guard.gate.set()
            assert [await old.code(), await retry.code()] == [None, None]
            assert decided.count(bet_id(1)) == 2
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())


def test_who_is_late_behind_a_commit_that_hangs_need_not_wait_for_it_to_hear_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, limits=SMALL, breaker=Breaker(PATIENT)) as this:
            this.disk.hold()
            first = this.submit_all([bet(1), bet(2)])
            await this.disk.holds_one()
            behind = this.submit_all([bet(3), bet(4)])
            await this.turns()
            late = this.submit_all([bet(5), deposit("late")])
            copied = this.submit(bet(6))
            this.clock.now_us += DEADLINE_US
            copy, in_time = this.submit_all([bet(6), bet(7)])
            this.batcher._pipeline.watch(this.clock())
            assert not any(answer.outcomes for answer in (*late, copied)), "it is in time to the microsecond"
            this.clock.now_us += 1
            this.batcher._pipeline.watch(this.clock())
            assert [await answer.code() for answer in late] == [Code.TIMED_OUT] * 2
            assert await copied.code() is Code.OUTCOME_UNKNOWN, "its copy may yet move the money"
            assert this.batcher.queue_length() == 2
            this.disk.release()
            assert [await answer.code() for answer in (*first, copy, in_time)] == [None] * 4
            assert [await answer.code() for answer in behind] == [Code.TIMED_OUT] * 2
            assert this.ledger() == [bet_id(number) for number in (1, 2, 6, 7)]
            assert await this.codes([bet(5), deposit("late")]) == [None, None]

    asyncio.run(run())
