"""The batcher and its breaker: what opens the circuit, who is refused meanwhile, which probes are let in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import batcher.batcher
from batcher.breaker import Breaker, BreakerLimits, Reason, State
from batcher.nonces import Verdict
from batcher.policy import BatchLimits
from engine.commands import Deposit, PlaceBet, Result, RollBackBet, Withdraw
from engine.outcomes import Code, Rejected
from tests.batches import (
    ALICE,
    BOB,
    FRAIL,
    FULL,
    IO_ERROR,
    Broken,
    Guard,
    S,
    World,
    bet,
    bet_id,
    raises,
    spoilt_by,
    world,
)
from tests.keyed_commands import cash_out, deposit, roll_back, settle, unsettle

DEADLINE_US = BatchLimits().deadline_us


BREAKER = BreakerLimits(commit_faults=1, probes_max=1)


async def trip(this: World) -> None:
    this.disk.fail(FULL)
    assert await this.submit(bet(900)).code() is Code.OVERLOADED
    assert this.batcher.breaker_status().state is State.OPEN


def test_an_open_breaker_refuses_says_for_how_long_and_still_replays(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, breaker=Breaker(BREAKER)) as this:
            await this.submit(bet(1))
            await trip(this)
            assert this.batcher.breaker_status().reason is Reason.COMMIT_FAULTS
            this.clock.now_us += S // 4
            assert await this.submit(bet(2)) == Rejected(Code.CIRCUIT_OPEN, retry_after_us=S * 3 // 4)
            assert await this.submit(bet(3), Code.RATE_LIMITED) == Rejected(Code.RATE_LIMITED)
            assert await this.codes([bet(1), bet(1, stake=11)]) == [None, Code.IDEMPOTENCY_CONFLICT]
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())


def test_where_only_a_restart_helps_nobody_is_told_when_to_come_back(tmp_path: Path) -> None:
    """Also where the circuit was open before the storage failed, as it is behind a COMMIT that hung."""

    async def run() -> None:
        async with world(tmp_path, breaker=Breaker(BREAKER)) as this:
            await trip(this)
            this.disk.fail(IO_ERROR)
            owed = Deposit(ALICE, 1, key="owed", caller="test")
            assert await this.submit(owed).code() is Code.OUTCOME_UNKNOWN
            assert this.batcher.breaker_status().state is State.OPEN
            assert await this.submit(bet(1)) == Rejected(Code.CIRCUIT_OPEN)
            assert this.batcher.circuit().retry_after_us is None

    asyncio.run(run())


def test_one_refused_batch_in_between_does_not_open_the_breaker_three_in_a_row_do(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            for number, fails in enumerate([True, True, False, True, True, True]):
                assert this.batcher.breaker_status().state is State.CLOSED
                this.disk.fail(FULL if fails else None)
                await this.submit(bet(number))
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


# --- what is tried while it is half open ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "code"),
    [
        (bet(1), None),
        (bet(0), None),  # replayed
        (bet(2, stake=9999), Code.INSUFFICIENT_FUNDS),
        (bet(3), Code.NONCE_REUSED),
        (bet(4), Code.OVERLOADED),  # no room for its nonce
        (bet(5), Code.INTERNAL),
        (bet(6), Code.TIMED_OUT),
        (bet(7), Code.OVERLOADED),  # the disk is still full
    ],
)
def test_a_probe_frees_its_slot_however_it_ends(tmp_path: Path, probe: PlaceBet, code: Code | None) -> None:
    async def run() -> None:
        guard = Guard()
        breaker = Breaker(FRAIL)
        async with world(tmp_path, guard=guard, breaker=breaker, decide=spoilt_by(raises, 5)) as this:
            await this.submit(bet(0))
            guard.verdicts = {bet(3).nonce: Verdict.REUSED, bet(4).nonce: Verdict.SHED}
            await trip(this)
            this.clock.now_us += S
            guard.gate.clear()
            first, second = this.submit(probe), this.submit(bet(101))
            assert await second == Rejected(Code.CIRCUIT_OPEN, retry_after_us=S)
            await guard.calls_are(3)
            this.clock.now_us += DEADLINE_US + 1 if probe == bet(6) else 0
            this.disk.fail(FULL if probe == bet(7) else None)
            guard.gate.set()
            assert await first.code() is code
            this.clock.now_us += S  # as long as the breaker is open again, if the probe has failed
            assert await this.submit(bet(102)).code() is None

    asyncio.run(run())


def test_a_probe_frees_its_slot_when_it_finds_the_queue_full_or_its_caller_gone(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        breaker = Breaker(replace(FRAIL, probes_max=3))
        async with world(tmp_path, guard=guard, breaker=breaker, limits=BatchLimits(queue_max=1)) as this:
            await trip(this)
            this.clock.now_us += S
            guard.gate.clear()
            this.batcher.submit(bet(1), Broken(), "r")
            await guard.calls_are(2)
            this.submit(bet(2))  # fills the queue
            assert await this.codes([bet(3), bet(4)]) == [Code.OVERLOADED, Code.CIRCUIT_OPEN]
            assert await this.submit(bet(5)).code() is Code.OVERLOADED
            guard.gate.set()
            await this.answers[1]
            guard.gate.clear()
            this.submit(bet(6))
            await guard.calls_are(4)
            this.submit(bet(7))
            assert await this.codes([bet(8), bet(9)]) == [Code.OVERLOADED, Code.CIRCUIT_OPEN]
            guard.gate.set()

    asyncio.run(run())


def test_the_breaker_closes_after_lasting_health(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, breaker=Breaker(BREAKER)) as this:
            await trip(this)
            this.clock.now_us += S
            await this.submit(bet(1))
            this.clock.now_us += BREAKER.stable_us
            # Still one probe at a time: it is the next commit that shows that all is well.
            assert await this.codes([bet(2), bet(3)]) == [None, Code.CIRCUIT_OPEN]
            assert this.batcher.breaker_status().state is State.CLOSED
            assert await this.codes([bet(4), bet(5)]) == [None, None]

    asyncio.run(run())


# --- what it hears of commits and of the queue ----------------------------------------------------------


def test_only_a_commit_that_wrote_counts_as_health(tmp_path: Path) -> None:
    """A full disk does not show in batches of replays, culprits and refused nonces: they write nothing."""

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, decide=spoilt_by(raises, 50)) as this:
            await this.submit(bet(0))
            guard.verdicts[bet(60).nonce] = Verdict.REUSED
            for number, nothing in enumerate([bet(0), bet(50), bet(60)], start=1):
                this.disk.fail(FULL)
                assert await this.submit(bet(number)).code() is Code.OVERLOADED
                await this.submit(nothing)
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


def test_refusals_of_commands_write_nothing_and_do_not_count_as_health(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            await this.submit(roll_back(1))
            poor = Withdraw(BOB, 9999, key="w", caller="op")
            another = RollBackBet(bet_id(1), key="another", caller="op")  # gets the first one's answer
            for number, nothing in enumerate([poor, another, settle(7)]):
                this.disk.fail(FULL)
                assert await this.submit(deposit(str(number))).code() is Code.OVERLOADED
                await this.submit(nothing)
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


class WatchedBreaker(Breaker):
    """Says when the batcher has looked at a running commit, or at the queue while commands wait in it."""

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        super().__init__(limits)
        self.saw_commit, self.saw_queue, self.looked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def commit_running(self, now_us: int, age_us: int) -> None:
        super().commit_running(now_us, age_us)
        self.saw_commit.set()

    def queue_waited(self, now_us: int, age_us: int) -> None:
        super().queue_waited(now_us, age_us)
        self.looked.set()
        if age_us:
            self.saw_queue.set()


@pytest.mark.parametrize("reason", [Reason.COMMIT_SLOW, Reason.QUEUE_OLD])
def test_the_breaker_opens_while_a_commit_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    monkeypatch.setattr(batcher.batcher, "WATCH_S", 0.001)

    async def run() -> None:
        hangs = reason is Reason.COMMIT_SLOW
        breaker = WatchedBreaker(None if hangs else replace(FRAIL, queue_upper_us=S, queue_lower_us=S - 1))
        async with world(tmp_path, breaker=breaker) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            if not hangs:
                for number in (2, 3, 4):  # one batch is being committed, one may be prepared, the rest waits
                    this.submit(bet(number))
                    await this.turns()
            this.clock.now_us += S + 1
            seen = breaker.saw_commit if hangs else breaker.saw_queue
            seen.clear()
            async with asyncio.timeout(5):
                await seen.wait()
            assert this.batcher.breaker_status()[:2] == (State.OPEN, reason)
            assert await this.submit(bet(5)).code() is Code.CIRCUIT_OPEN
            this.disk.release()
            assert await this.answers[0].code() is None

    asyncio.run(run())


def test_a_commit_that_has_ended_does_not_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher.batcher, "WATCH_S", 0.001)

    async def run() -> None:
        breaker = WatchedBreaker()
        async with world(tmp_path, breaker=breaker) as this:
            this.disk.fail(None, FULL)
            assert await this.codes([bet(1)]) + await this.codes([bet(2)]) == [None, Code.OVERLOADED]
            this.clock.now_us += 60 * S
            breaker.looked.clear()
            async with asyncio.timeout(5):
                await breaker.looked.wait()
            assert this.batcher.breaker_status().state is State.CLOSED

    asyncio.run(run())


@pytest.mark.parametrize("reason", [Reason.COMMIT_SLOW, Reason.QUEUE_OLD])
def test_the_breaker_hears_how_long_each_commit_took_and_each_batch_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    monkeypatch.setattr(batcher.batcher, "WATCH_S", 3600.0)  # by the writer alone

    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            if reason is Reason.COMMIT_SLOW:
                this.disk.hold()
                answer = this.submit(bet(1))
                await this.disk.holds_one()
                this.clock.now_us += S + 1
            else:
                guard.gate.clear()
                answer = this.submit(bet(1))
                this.clock.now_us += S + S // 2 + 1
            this.disk.release()
            guard.gate.set()
            assert await answer.code() is None
            assert this.batcher.breaker_status()[:2] == (State.OPEN, reason)

    asyncio.run(run())


# --- what is owed passes it -----------------------------------------------------------------------------


async def opened(this: World) -> None:
    """The circuit is open: the disk is full."""
    for number in (901, 902, 903):
        this.disk.fail(FULL)
        assert await this.submit(bet(number)).code() is Code.OVERLOADED
    assert this.batcher.breaker_status().state is State.OPEN


def test_an_open_circuit_holds_back_bets_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.codes(map(bet, range(1, 5))) == [None] * 4
            await opened(this)
            owed = [settle(1), settle(2, None, Result.VOID), roll_back(3), cash_out(4), deposit("d")]
            assert await this.codes([bet(5), *owed, bet(6)]) == [
                Code.CIRCUIT_OPEN,
                *[None] * len(owed),
                Code.CIRCUIT_OPEN,
            ]
            assert await this.codes([unsettle(1)]) == [None]
            assert this.batcher.breaker_status().state is State.OPEN

    asyncio.run(run())


def test_what_is_owed_keeps_an_open_circuit_open_if_it_fails(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.submit(bet(1)).code() is None
            await opened(this)
            this.clock.now_us += S - 1
            this.disk.fail(FULL)
            assert await this.submit(settle(1)).code() is Code.OVERLOADED
            this.clock.now_us += S - 1  # since then
            assert await this.submit(bet(2)) == Rejected(Code.CIRCUIT_OPEN, retry_after_us=1)
            this.clock.now_us += 1
            assert await this.submit(bet(2)).code() is None

    asyncio.run(run())


def test_what_is_owed_shows_that_the_ledger_is_well_when_bets_are_only_tried(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert await this.submit(bet(1)).code() is None
            await opened(this)
            this.clock.now_us += S
            assert await this.submit(settle(1)).code() is None  # no probe, and it takes no probe's place
            assert this.batcher.breaker_status().state is State.HALF_OPEN
            this.clock.now_us += BreakerLimits().stable_us
            assert this.batcher.breaker_status().state is State.HALF_OPEN
            assert await this.submit(deposit("1")).code() is None
            assert this.batcher.breaker_status().state is State.CLOSED

    asyncio.run(run())
