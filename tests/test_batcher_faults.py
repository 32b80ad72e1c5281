"""The batcher when something is wrong: a culprit, a disk that refuses or leaves in doubt, a broken guard."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from batcher.nonces import Claim, Verdict
from batcher.policy import BatchLimits
from engine.commands import Command
from engine.outcomes import Accepted, Code, Rejected
from engine.view import View
from tests.batches import (
    CONSTRAINT,
    FULL,
    IO_ERROR,
    Bend,
    Guard,
    bet,
    bet_id,
    does_not_sum_to_zero,
    raises,
    spoilt_by,
    sqlite_error,
    world,
)

UNKNOWN = Code.OUTCOME_UNKNOWN


# --- one culprit in a batch -----------------------------------------------------------------------------


def breaks_a_check(view: View, command: Command) -> None:
    view.new_entries[-1] = view.new_entries[-1]._replace(ref_id="")


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
