"""The batcher when something is wrong: culprits, a sick disk, an open breaker, a broken guard, a storm."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from batches import (
    ALICE,
    BOB,
    CONSTRAINT,
    FULL,
    IO_ERROR,
    PATIENT,
    Bend,
    Broken,
    Guard,
    S,
    World,
    bet,
    bet_id,
    spoilt_by,
    sqlite_error,
    world,
)

import batcher.batcher
from batcher.breaker import Breaker, BreakerLimits, Reason, State
from batcher.nonces import Claim, Verdict
from batcher.policy import BatchLimits
from engine.commands import Command, Deposit, PlaceBet
from engine.outcomes import Accepted, Code, Rejected
from engine.view import View

DEADLINE_US = BatchLimits().deadline_us
UNKNOWN = Code.OUTCOME_UNKNOWN


# --- one culprit in a batch -----------------------------------------------------------------------------


def raises(view: View, command: Command) -> None:
    raise ZeroDivisionError(command.key)


def breaks_a_check(view: View, command: Command) -> None:
    view.new_entries[-1] = view.new_entries[-1]._replace(ref_id="")


def does_not_sum_to_zero(view: View, command: Command) -> None:
    view.new_entries[-1] = view.new_entries[-1]._replace(amount_minor=11)


def cannot_be_sealed(view: View, command: Command) -> None:
    view.new_entries[-1] = view.new_entries[-1]._replace(ref_id="\ud800")


@pytest.mark.parametrize("bend", [raises, breaks_a_check, does_not_sum_to_zero, cannot_be_sealed])
@pytest.mark.parametrize("culprits", [{0}, {9}, {4}, {3, 4}])
def test_only_the_culprit_of_a_batch_hears_internal(tmp_path: Path, bend: Bend, culprits: set[int]) -> None:
    async def run() -> None:
        async with world(tmp_path, decide=spoilt_by(bend, *culprits)) as this:
            answers = this.submit_all(bet(number) for number in range(10))
            codes = [await answer.code() for answer in answers]
            assert codes == [Code.INTERNAL if number in culprits else None for number in range(10)]
            assert this.told == answers  # in order, also across the parts
            assert this.ledger() == [bet_id(number) for number in range(10) if number not in culprits]
            assert this.batcher.failure is None
            assert await this.submit(bet(10)).code() is None
            assert all(this.batcher.pending(bet_id(number)) is None for number in range(11))

    asyncio.run(run())


def test_a_commit_refused_as_a_constraint_is_bisected_as_well(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(CONSTRAINT)
            assert await this.codes(bet(number) for number in range(4)) == [None] * 4
            assert [len(block) for block in this.blocks()] == [2, 2]

    asyncio.run(run())


# --- storage that refuses -------------------------------------------------------------------------------


def test_a_batch_that_the_storage_refuses_is_overloaded_for_all_and_the_next_one_works(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            await this.submit(bet(1))
            guard.verdicts[bet(4).nonce] = Verdict.REUSED
            this.disk.fail(FULL)
            codes = await this.codes([bet(2), bet(1), bet(3), bet(1, stake=11), bet(2), bet(4)])
            over = Code.OVERLOADED
            assert codes == [over, None, over, Code.IDEMPOTENCY_CONFLICT, over, Code.NONCE_REUSED]
            assert this.batcher.failure is None
            assert this.batcher.pending(bet_id(2)) is None
            assert await this.codes([bet(2), bet(3)]) == [None, None]
            assert this.ledger() == [bet_id(1), bet_id(2), bet_id(3)]

    asyncio.run(run())


def test_a_refused_batch_claims_nothing_of_a_bet_whose_copy_waits(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            first = this.submit(bet(1))
            await this.disk.holds_one()
            copy = this.submit(bet(1))
            this.disk.fail(FULL)
            this.disk.release()
            assert [await first.code(), await copy.code()] == [UNKNOWN, None]

    asyncio.run(run())


# --- an unknown COMMIT ----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [False, True])
def test_after_an_unknown_commit_nobody_hears_confirmed_and_only_a_restart_knows(
    tmp_path: Path, on_disk: bool
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard, limits=BatchLimits(batch_max=2)) as this:
            paid = await this.submit(bet(0))
            this.disk.fail(IO_ERROR, after=on_disk)
            this.disk.hold()
            in_doubt = this.submit_all([bet(1), bet(2)])
            await this.disk.holds_one()
            behind = this.submit_all(bet(number) for number in range(3, 10))
            await this.turns()
            assert this.batcher.failure is None
            this.disk.release()
            assert [await answer.code() for answer in in_doubt] == [UNKNOWN, UNKNOWN]
            assert [await answer for answer in behind] == [Rejected(Code.CIRCUIT_OPEN)] * 7
            assert this.batcher.failure is not None
            assert "disk I/O error" in this.batcher.failure
            for number in range(12):
                assert (this.batcher.doubtful(bet_id(number)) is not None) is (number in {1, 2})
                assert this.batcher.pending(bet_id(number)) is None
            guard.calls.clear()
            assert await this.codes([bet(10), bet(1)]) == [Code.CIRCUIT_OPEN, UNKNOWN]
            assert guard.calls == []
            assert await this.submit(bet(2), Code.RATE_LIMITED).code() is UNKNOWN
            retry = await this.submit(bet(0))
            assert retry == Accepted(paid.transaction_id, paid.block_id, paid.wallet, replayed=True)
            assert this.ledger() == [bet_id(number) for number in ((0, 1, 2) if on_disk else (0,))]
        async with world(tmp_path) as this:  # the restart
            outcomes = await asyncio.gather(*this.submit_all([bet(0), bet(1), bet(2), bet(3)]))
            assert [outcome.replayed for outcome in outcomes] == [True, on_disk, on_disk, False]
            assert sorted(this.ledger()) == [bet_id(number) for number in range(4)]

    asyncio.run(run())


@pytest.mark.parametrize("busy", [False, True], ids=["before a batch", "beside a batch"])
def test_a_storage_that_fails_before_commit_takes_no_more_money_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, busy: bool
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite_error(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")

    async def run() -> None:
        async with world(tmp_path) as this:
            paid = await this.submit(bet(0))
            if busy:
                this.disk.hold()
                (doing,) = this.submit_all([bet(1)])
                await this.disk.holds_one()
            failing = asyncio.create_task(this.store.tidy(fail))
            await asyncio.sleep(0)
            if busy:
                behind = this.submit_all([bet(2), bet(3)])
                this.disk.release()
                assert await doing.code() is None, "it was committed before the storage failed"
                assert [await each.code() for each in behind] == [Code.CIRCUIT_OPEN] * 2
            with pytest.raises(sqlite3.OperationalError):
                await failing
            this.batcher._pipeline.watch(this.clock())
            assert this.batcher.failure == "tidy failed: disk I/O error"
            assert await this.codes([bet(4)]) == [Code.CIRCUIT_OPEN]
            retry = await this.submit(bet(0))
            assert retry == Accepted(paid.transaction_id, paid.block_id, paid.wallet, replayed=True)
            assert this.ledger() == [bet_id(number) for number in ((0, 1) if busy else (0,))]
            for number in range(5):
                assert this.batcher.doubtful(bet_id(number)) is None

    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert said == [
        "no money is taken until this server is restarted; 0 commands have an unknown outcome: "
        "tidy failed: disk I/O error"
    ]


def test_a_batch_that_a_broken_storage_refuses_is_told_that_no_money_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*batch: object) -> bool:
        raise sqlite_error(sqlite3.SQLITE_IOERR_READ, "disk I/O error")

    async def run() -> None:
        async with world(tmp_path) as this:
            monkeypatch.setattr("engine.writer.rows.write", fail)
            assert await this.codes([bet(1), bet(2)]) == [Code.CIRCUIT_OPEN] * 2
            assert this.batcher.failure == "write failed: disk I/O error"
            assert this.ledger() == []

    asyncio.run(run())


def test_an_unknown_commit_in_the_middle_of_a_bisection(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, decide=spoilt_by(raises, 0)) as this:
            # 0-7, 0-3 and 0-1 abort; 0 is the culprit, 1 commits, the COMMIT of 2 and 3 ends unknown.
            this.disk.fail(None, IO_ERROR)
            answers = this.submit_all(bet(number) for number in range(8))
            codes = [await answer.code() for answer in answers]
            assert codes == [Code.INTERNAL, None, UNKNOWN, UNKNOWN, *[Code.CIRCUIT_OPEN] * 4]
            assert this.ledger() == [bet_id(1)]
            assert [n for n in range(8) if this.batcher.doubtful(bet_id(n)) is not None] == [2, 3]

    asyncio.run(run())


# --- the breaker ----------------------------------------------------------------------------------------

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
            assert await this.submit(owed).code() is UNKNOWN
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


FRAIL = replace(PATIENT, commit_faults=1, probes_max=1)
"""One failed commit opens this one, nothing else does, and it lets one probe in at a time."""


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


# --- a guard that breaks its contract -------------------------------------------------------------------


class FailingGuard(Guard):
    """Raises on the second call, whatever the contract says."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        verdicts = await super().claim(claims)
        if len(self.calls) == 2:
            raise MemoryError
        return verdicts


def test_a_guard_that_raises_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        guard = FailingGuard()
        async with world(tmp_path, guard=guard) as this:
            await this.submit(bet(1))
            guard.gate.clear()
            asked = this.submit(bet(2))
            await guard.calls_are(2)
            queued = this.submit(bet(3))
            guard.gate.set()
            for answer in (asked, queued, this.submit(bet(4))):
                await answer

    asyncio.run(run())


# --- all of it at once ----------------------------------------------------------------------------------


async def storm(this: World, guard: Guard, random: Random) -> None:
    """Retries, conflicts, refusals, shared nonces, objections and faults, in any order."""
    for step in range(60):
        match random.randrange(12):
            case 0:
                this.disk.hold(random.choice(["before", "after"]))
            case 1 | 2:
                this.disk.release()
            case 3:
                this.disk.fail(random.choice([None, FULL, CONSTRAINT]))
            case 4:
                (guard.gate.clear if random.random() < 0.5 else guard.gate.set)()
            case 5:
                this.clock.now_us += random.randrange(3 * S)
            case 6:
                guard.verdicts = {f"nonce-{random.randrange(30):04d}": random.choice([*Verdict])}
            case 7 if step > 40:
                this.disk.fail(IO_ERROR, after=random.random() < 0.5)
            case _:
                for _ in range(random.randrange(1, 8)):
                    number = random.randrange(30)
                    stake = 9999 if number % 7 == 3 else 11 if random.random() < 0.05 else 10
                    nonce = None if random.random() < 0.9 else "nonce-same"
                    command = bet(number, stake=stake, user=(ALICE, BOB)[number % 2], nonce=nonce)
                    this.submit(command, Code.RATE_LIMITED if random.random() < 0.2 else None)
        for _ in range(random.choice([0, 0, 1, 5, 20])):
            await asyncio.sleep(0)
        if random.random() < 0.5:
            await this.store.read(lambda connection: None)
    guard.gate.set()


@pytest.mark.parametrize("seed", range(40))
def test_in_a_storm_every_answer_is_true_and_every_bet_moves_money_at_most_once(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    limits = BatchLimits(
        batch_max=random.choice([1, 3, 1000]),
        ahead_min=random.choice([1, 50]),
        queue_max=random.choice([4, 1000]),
        target_us=random.choice([1, S // 2]),
        interval_us=1,
    )
    breaker = Breaker(replace(FRAIL, commit_faults=3, cool_off_us=S // 4, stable_us=S))

    async def run() -> None:
        guard = Guard()
        decide = spoilt_by(random.choice([raises, does_not_sum_to_zero]), 5, 6)
        async with world(tmp_path, guard=guard, decide=decide, limits=limits, breaker=breaker) as this:
            await storm(this, guard, random)
        # `world` has seen that each was told exactly one thing, and the truth, and that the books are right.
        ledger = this.ledger()
        assert len(ledger) == len(set(ledger)), f"{seed=}"
        told: dict[str, list[Accepted]] = {}
        for answer in this.told:
            if isinstance(answer.outcomes[0], Accepted):
                told.setdefault(answer.command.key, []).append(answer.outcomes[0])
        assert set(told) <= set(ledger), f"{seed=}"
        unsaid = set(ledger) - set(told)
        assert all(this.batcher.doubtful(key) is not None for key in unsaid), f"{seed=}"
        for outcomes in told.values():
            # One of them moved the money: not always the first one sent, which may have been turned away.
            assert [outcome.replayed for outcome in outcomes].count(False) == 1, f"{seed=}"
            assert len({outcome.transaction_id for outcome in outcomes}) == 1, (seed, outcomes)
        assert sorted(accepted.entries[0].ref_id for accepted, _ in this.posted) == sorted(told), f"{seed=}"

    asyncio.run(run())
