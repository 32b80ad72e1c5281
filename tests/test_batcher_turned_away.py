"""Who is turned away, at the door, by a full queue, too late: he hears the first answer, or the truth."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

import batcher.turned_away
from batcher.jobs import Job
from batcher.policy import BatchLimits
from engine.commands import Command, Result
from engine.decide import decide
from engine.now import Now
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.view import View
from tests.batches import FULL, IO_ERROR, Answer, Guard, World, bet, bet_id, world
from tests.keyed_commands import deposit, kinds, roll_back, settle

DEADLINE_US = BatchLimits().deadline_us
UNKNOWN = Code.OUTCOME_UNKNOWN


# --- late -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waited_us", "expires"), [(DEADLINE_US, False), (DEADLINE_US + 1, True)])
def test_a_bet_that_waited_too_long_is_surely_not_executed(
    tmp_path: Path, waited_us: int, expires: bool
) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            paid = await this.submit(bet(1))
            this.disk.hold()
            this.submit(bet(2))
            await this.disk.holds_one()
            waiting, retry = this.submit(bet(3)), this.submit(bet(1))
            await this.turns()
            this.clock.now_us += waited_us
            this.disk.release()
            assert await waiting.code() is (Code.TIMED_OUT if expires else None)
            assert await retry == Accepted(paid.transaction_id, paid.block_id, paid.wallet, replayed=True)
            assert (bet_id(3) in this.ledger()) is not expires

    asyncio.run(run())


def test_a_bet_is_not_told_that_it_timed_out_when_its_retry_in_the_same_batch_is_paid(tmp_path: Path) -> None:
    """Otherwise "surely not executed" and "confirmed" are both said of one bet, the lie first."""

    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            first = this.submit(bet(2))  # closes the second batch
            await this.turns()
            old = this.submit(bet(3))
            this.clock.now_us += DEADLINE_US + 1
            retry = this.submit(bet(3))  # a client that heard nothing in time asks again
            this.disk.release()
            assert await first.code() is Code.TIMED_OUT
            assert await retry.code() is None
            await old  # not to be told TIMED_OUT: `world` compares what is told with the ledger

    asyncio.run(run())


def test_a_late_command_is_not_refused_beside_its_retry_that_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            other = this.submit(deposit("other"))  # closes the second batch
            await this.turns()
            late = this.submit(settle(1))
            this.clock.now_us += DEADLINE_US + 1
            retry = this.submit(settle(1))
            this.disk.release()
            assert await other.code() is Code.TIMED_OUT
            assert [await late.code(), await retry.code()] == [None, None]
            assert kinds(this) == ["BET", "WIN"]

    asyncio.run(run())


# --- at the door ----------------------------------------------------------------------------------------


def test_a_full_queue_sheds_but_tells_the_truth_about_bets_that_it_knows(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(queue_max=2)) as this:
            await this.submit(bet(1))
            guard.gate.clear()
            this.submit(bet(2))
            await guard.calls_are(2)
            queued = this.submit_all([bet(3), bet(4)])
            assert this.batcher.queue_length() == 2
            assert await this.submit(bet(5)) == Rejected(
                Code.OVERLOADED, retry_after_us=BatchLimits().interval_us
            )
            for under_way in (2, 3, 4):
                assert await this.submit(bet(under_way)) == Rejected(UNKNOWN)
            retry = await this.submit(bet(1))
            assert isinstance(retry, Accepted)
            assert retry.replayed
            assert await this.submit(bet(1, stake=11)).code() is Code.IDEMPOTENCY_CONFLICT
            assert this.batcher.queue_length() == 2
            guard.gate.set()
            assert [await answer.code() for answer in queued] == [None, None]
            assert await this.submit(bet(5)).code() is None
            assert this.ledger() == [bet_id(number) for number in (1, 2, 3, 4, 5)]

    asyncio.run(run())


def test_what_the_door_objects_to_is_looked_up_and_not_executed(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await this.submit(bet(1))
            this.disk.hold()
            this.submit(bet(2))
            await this.disk.holds_one()  # the reader answers although the writer hangs
            assert await this.submit(bet(3), Code.RATE_LIMITED) == Rejected(Code.RATE_LIMITED)
            assert await this.submit(bet(1), Code.RATE_LIMITED).code() is None
            assert await this.submit(bet(2), Code.RATE_LIMITED).code() is UNKNOWN
            this.disk.release()
            assert await this.submit(bet(4)).code() is None
            assert this.ledger() == [bet_id(1), bet_id(2), bet_id(4)]

    asyncio.run(run())


def test_more_look_ups_than_there_is_room_for_claim_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.turned_away, "WAITING_MAX", 2)

    async def run() -> None:
        async with world(tmp_path) as this:
            answers = [this.submit(bet(number), Code.RATE_LIMITED) for number in (1, 2, 3)]
            assert [await a.code() for a in answers] == [Code.RATE_LIMITED, Code.RATE_LIMITED, UNKNOWN]
            assert await this.submit(bet(4), Code.RATE_LIMITED).code() is Code.RATE_LIMITED

    asyncio.run(run())


def test_thousands_are_not_looked_up_and_told_in_one_turn_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.turned_away, "LOOKED_UP_MAX", 2)
    sizes = []

    async def run() -> None:
        async with world(tmp_path) as this:
            answer = this.store.answer

            def counting(jobs: Sequence[Job], now: Now | int) -> Awaitable[list[Outcome]]:
                sizes.append(len(jobs))
                return answer(jobs, now)

            monkeypatch.setattr(this.store, "answer", counting)
            answers = [this.submit(bet(number), Code.RATE_LIMITED) for number in range(5)]
            assert [await each.code() for each in answers] == [Code.RATE_LIMITED] * 5
            assert this.told == answers
            assert sizes == [2, 2, 1]

    asyncio.run(run())


def test_a_look_up_that_was_overtaken_claims_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            answers = [
                this.submit(deposit("1"), Code.RATE_LIMITED),
                this.submit(deposit("2"), Code.RATE_LIMITED),
            ]
            await asyncio.sleep(0)  # the look-up has begun
            done = this.submit(deposit("1"))
            assert [await answer.code() for answer in answers] == [UNKNOWN, Code.RATE_LIMITED]
            assert await done.code() is None

    asyncio.run(run())


class Gate:
    """`decide`, held where it looks a bet up that the door objected to, after it has looked."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def decide(self, view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        outcome = decide(view, command, now_us, objection)
        if objection is Code.RATE_LIMITED:
            self.reached.set()
            assert self.opened.wait(5)
        return outcome


def test_a_bet_is_not_refused_after_a_copy_of_it_was_confirmed(tmp_path: Path) -> None:
    """The look-up found nothing, then another socket's copy was paid: what was found is no longer true."""

    async def run() -> None:
        gate = Gate()
        async with world(tmp_path, decide=gate.decide) as this:
            refused = this.submit(bet(1), Code.RATE_LIMITED)
            assert await asyncio.to_thread(gate.reached.wait, 5)
            assert await this.submit(bet(1)).code() is None
            gate.opened.set()
            outcome = await refused
            assert outcome == Rejected(UNKNOWN) or isinstance(outcome, Accepted)

    asyncio.run(run())


def test_a_look_up_that_fails_claims_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    failing: list[bool] = []

    def decide_or_fail(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        if failing:
            raise MemoryError
        return decide(view, command, now_us, objection)

    async def run() -> None:
        async with world(tmp_path, decide=decide_or_fail) as this:
            failing.append(True)
            assert await this.submit(bet(1), Code.RATE_LIMITED).code() is Code.INTERNAL
            failing.clear()
            assert await this.submit(bet(1), Code.RATE_LIMITED).code() is Code.RATE_LIMITED

    asyncio.run(run())


# --- wherever it was ------------------------------------------------------------------------------------


async def by_the_door(this: World, guard: Guard, command: Command) -> Answer:
    return this.submit(command, Code.RATE_LIMITED)


async def by_a_full_queue(this: World, guard: Guard, command: Command) -> Answer:
    guard.gate.clear()
    before = len(guard.calls)
    this.submit(deposit("first"))
    await guard.calls_are(before + 1)
    this.submit_all([deposit("second"), deposit("third")])
    return this.submit(command)


async def by_the_end(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.hold()
    this.submit(deposit("last"))
    await this.disk.holds_one()
    asyncio.create_task(this.batcher.drain()).add_done_callback(lambda drained: None)
    await this.turns()
    return this.submit(command)


async def by_its_deadline(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.hold()
    this.submit(deposit("before"))
    await this.disk.holds_one()
    answer = this.submit(command)
    await this.turns()
    this.clock.now_us += DEADLINE_US + 1
    this.disk.release()
    return answer


async def by_a_refused_batch(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.fail(FULL)
    this.submit(deposit("beside"))
    return this.submit(command)


async def by_an_unknown_commit(this: World, guard: Guard, command: Command) -> Answer:
    this.disk.fail(IO_ERROR)
    assert await this.submit(deposit("in doubt")).code() is UNKNOWN
    return this.submit(command)


Way = Callable[[World, Guard, Command], Awaitable[Answer]]

WAYS: dict[Way, Code] = {
    by_the_door: Code.RATE_LIMITED,
    by_a_full_queue: Code.OVERLOADED,
    by_the_end: Code.OVERLOADED,
    by_its_deadline: Code.TIMED_OUT,
    by_a_refused_batch: Code.OVERLOADED,
    by_an_unknown_commit: Code.CIRCUIT_OPEN,
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", ["known", "conflict", "unknown"])
def test_who_is_turned_away_hears_the_first_answer_or_else_the_objection(
    tmp_path: Path, way: Way, case: str
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(
            tmp_path, guard=guard, limits=BatchLimits(queue_max=1, reserve=1, ahead_min=1)
        ) as this:
            assert await this.codes([bet(1)]) + await this.codes([bet(2)]) == [None, None]
            first = await this.submit(settle(1))
            assert isinstance(first, Accepted)
            asked = {
                "known": settle(1),
                "conflict": settle(1, payout_minor=21),
                "unknown": settle(2, None, Result.VOID),
            }[case]
            told = await (await way(this, guard, asked))
            guard.gate.set()
            if case == "known":
                assert told == Accepted(
                    first.transaction_id, first.block_id, first.wallet, replayed=True, bet=first.bet
                )
            elif case == "conflict":
                assert told == Rejected(Code.IDEMPOTENCY_CONFLICT)
            else:
                assert isinstance(told, Rejected)
                assert told.code is WAYS[way]
            assert kinds(this).count("WIN") == 1
            assert "REFUND" not in kinds(this)

    asyncio.run(run())


# --- beside a copy --------------------------------------------------------------------------------------


def test_nobody_is_refused_while_a_copy_is_under_way(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(queue_max=1, reserve=1)) as this:
            await this.submit(bet(1))
            guard.gate.clear()
            under_way = this.submit_all([deposit("1")])
            await guard.calls_are(2)
            under_way += this.submit_all([settle(1), roll_back(2)])
            for command in (deposit("1"), settle(1), roll_back(2), deposit("1", 6)):
                assert await this.submit(command) == Rejected(UNKNOWN)
                assert await this.submit(command, Code.RATE_LIMITED) == Rejected(UNKNOWN)
            assert await this.submit(deposit("2")).code() is Code.OVERLOADED
            guard.gate.set()
            assert [await answer.code() for answer in under_way] == [None] * 3

    asyncio.run(run())


def test_a_refused_batch_claims_nothing_of_a_command_whose_copy_waits(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            first = this.submit(deposit("1"))
            await this.disk.holds_one()
            copy = this.submit(deposit("1"))
            this.disk.fail(FULL)
            this.disk.release()
            assert [await first.code(), await copy.code()] == [UNKNOWN, None]

    asyncio.run(run())
