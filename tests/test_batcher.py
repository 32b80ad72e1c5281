"""The batcher while the disk is well: who is committed with whom, who is told what and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import batcher.batcher
import batcher.expiry
from batcher.policy import BatchLimits
from engine import queries
from engine.commands import Command, Deposit, PlaceBet
from engine.outcomes import Accepted, Code, Outcome, Rejected
from tests.batches import ALICE, BOB, NOW_US, OPENING_MINOR, Answer, Broken, Guard, bet, bet_id, world

UNKNOWN = Code.OUTCOME_UNKNOWN

# --- nobody is told before COMMIT has returned ----------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_nobody_hears_of_a_batch_before_its_commit_has_returned(tmp_path: Path, when: str) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold(when)
            answers = this.submit_all([bet(1), bet(2, stake=9999), bet(3)])
            await this.disk.holds_one()
            await this.turns()
            assert this.told == []
            assert this.posted == []
            assert this.ledger() == ([] if when == "before" else [bet_id(1), bet_id(3)])
            this.disk.release()
            assert [await answer.code() for answer in answers] == [None, Code.INSUFFICIENT_FUNDS, None]
            assert this.told == answers

    asyncio.run(run())


def test_submit_answers_in_a_later_turn_of_the_loop(tmp_path: Path) -> None:
    """The door writes `bet.pending` around the call, and an asker is not ready to be told from inside it."""

    async def run() -> None:
        async with world(tmp_path, limits=BatchLimits(queue_max=1)) as this:
            await this.submit(bet(1))
            # accepted, too many, known, objected to: none is answered from within submit
            for command, objection in [
                (bet(2), None),
                (bet(3), None),
                (bet(2), None),
                (bet(1), Code.RATE_LIMITED),
            ]:
                assert this.submit(command, objection).outcomes == []

    asyncio.run(run())


# --- natural group commit -------------------------------------------------------------------------------


def test_an_idle_batcher_commits_a_single_bet_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher.batcher, "WATCH_S", 3600.0)
    monkeypatch.setattr(batcher.expiry, "LOOK_EVERY_S", 3600.0)

    async def run() -> None:
        async with world(tmp_path) as this:
            await this.turns()
            # No timer, neither on this loop nor on the batcher's clock: there is no tick to wait for.
            monkeypatch.setattr(asyncio.get_running_loop(), "call_later", None)
            for number in (1, 2, 3):
                assert await this.submit(bet(number)).code() is None
            assert this.blocks() == [[bet_id(1)], [bet_id(2)], [bet_id(3)]]

    asyncio.run(run())


def test_what_arrives_while_a_commit_runs_is_committed_together_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.hold()
            this.submit(bet(0))
            await this.disk.holds_one()
            this.submit_all(bet(number) for number in range(1, 21))
            this.disk.release()
            await asyncio.gather(*this.answers)
            assert this.blocks() == [[bet_id(0)], [bet_id(number) for number in range(1, 21)]]

    asyncio.run(run())


def test_a_batch_is_bounded_by_count_and_keeps_the_order_of_arrival(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, limits=BatchLimits(batch_max=4)) as this:
            answers = this.submit_all(bet(number) for number in range(10))
            await asyncio.gather(*answers)
            assert [len(block) for block in this.blocks()] == [4, 4, 2]
            assert this.ledger() == [bet_id(number) for number in range(10)]
            assert this.told == answers

    asyncio.run(run())


def test_five_bets_of_30_on_100_are_three_confirmations_and_10_still_fits(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            spend = bet(0, stake=OPENING_MINOR - 100)
            codes = await this.codes([spend, *(bet(n, stake=30) for n in range(1, 6)), bet(6, stake=10)])
            short = Code.INSUFFICIENT_FUNDS
            assert codes == [None, None, None, None, short, short, None]
            assert len(this.blocks()) == 1

    asyncio.run(run())


# --- one bet_id, many commands --------------------------------------------------------------------------


@pytest.mark.parametrize("batch_max", [1, 2, 1000])
def test_a_bet_sent_many_times_moves_money_once(tmp_path: Path, batch_max: int) -> None:
    async def run() -> None:
        async with world(tmp_path, limits=BatchLimits(batch_max=batch_max)) as this:
            answers = this.submit_all([bet(1)] * 5)
            outcomes = await asyncio.gather(*answers)
            outcomes.append(await this.submit(bet(1)))
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)
            assert [outcome.replayed for outcome in outcomes] == [False, True, True, True, True, True]
            assert {
                (o.transaction_id, o.block_id, o.wallet) for o in outcomes if isinstance(o, Accepted)
            } == {(outcomes[0].transaction_id, outcomes[0].block_id, outcomes[0].wallet)}
            assert this.ledger() == [bet_id(1)]
            assert [accepted.replayed for accepted, _ in this.posted] == [False]

    asyncio.run(run())


def test_another_bet_under_a_known_bet_id_is_a_conflict(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            codes = await this.codes([bet(1), bet(1, stake=11), bet(1, user=BOB)])
            assert codes == [None, Code.IDEMPOTENCY_CONFLICT, Code.IDEMPOTENCY_CONFLICT]
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())


# --- what bet.get sees of the queue ---------------------------------------------------------------------


def test_a_bet_is_pending_until_it_is_decided_and_no_longer(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            assert this.batcher.pending(bet_id(1)) is None
            this.disk.hold("after")
            first, poor = this.submit(bet(1)), this.submit(bet(2, stake=9999))
            assert this.batcher.pending(bet_id(1)) == bet(1)
            await this.disk.holds_one()
            assert this.batcher.pending(bet_id(1)) == bet(1)  # on disk, but COMMIT has not returned
            this.disk.release()
            await asyncio.gather(first, poor)
            for number in (1, 2):
                assert this.batcher.pending(bet_id(number)) is None
                assert await this.store.read(lambda c, n=number: queries.bet(c, bet_id(n))) is not None  # type: ignore[misc]
            await this.submit(bet(3), Code.RATE_LIMITED)
            assert this.batcher.pending(bet_id(3)) is None

    asyncio.run(run())


def test_a_bet_is_pending_until_the_last_command_under_its_id_has_its_answer(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            this.disk.hold()
            first = this.submit(bet(1))
            await this.disk.holds_one()
            guard.gate.clear()
            copies = this.submit_all([bet(1), bet(1, user=BOB)])
            await guard.calls_are(2)
            this.disk.release()
            assert await first.code() is None
            assert await this.submit(bet(1), Code.RATE_LIMITED).code() in {None, UNKNOWN}
            guard.gate.set()
            assert [await copy.code() for copy in copies] == [None, Code.IDEMPOTENCY_CONFLICT]
            assert this.batcher.pending(bet_id(1)) is None

    asyncio.run(run())


# --- callers --------------------------------------------------------------------------------------------


def test_a_caller_that_cannot_be_told_costs_nobody_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            before = this.submit(bet(1))
            this.batcher.submit(bet(2), Broken(), "r")
            after = this.submit(bet(3))
            assert [await before.code(), await after.code()] == [None, None]
            assert await this.submit(bet(4)).code() is None
            assert this.ledger() == [bet_id(number) for number in (1, 2, 3, 4)]
            # The other sockets of the wallet hear of the entries all the same.
            assert [accepted.entries[0].ref_id for accepted, _ in this.posted] == this.ledger()

    asyncio.run(run())


def test_cancelling_whoever_asked_does_not_cancel_the_commit(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:

            async def ask(command: PlaceBet) -> None:
                await this.submit(command)

            this.disk.hold()
            in_commit = asyncio.create_task(ask(bet(1)))
            await this.disk.holds_one()
            in_queue = asyncio.create_task(ask(bet(2)))
            await this.turns()
            for task in (in_commit, in_queue):
                task.cancel()
            await asyncio.wait([in_commit, in_queue])
            assert in_commit.cancelled()
            assert in_queue.cancelled()
            this.disk.release()
            assert await this.submit(bet(3)).code() is None
            assert this.ledger() == [bet_id(1), bet_id(2), bet_id(3)]

    asyncio.run(run())


def test_entries_are_posted_once_after_their_asker_and_never_for_replays_or_refusals(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            answers = this.submit_all(
                [
                    bet(1),
                    bet(1),
                    bet(2, stake=9999),
                    Deposit(BOB, 5, key="d", caller="test"),
                    bet(3, user=BOB),
                ]
            )
            await asyncio.gather(*answers)
            await this.submit(bet(1), Code.RATE_LIMITED)
            accepted = [answers[0], answers[3], answers[4]]
            assert [asker for _, asker in this.posted] == accepted
            assert [(outcome.entries, outcome) for outcome, _ in this.posted] == [
                (answer.outcomes[0].entries, answer.outcomes[0]) for answer in accepted
            ]
            assert this.told_when_posted == [True] * 3
            assert [entry.user_id for entry in this.posted[0][0].entries] == [ALICE, 1]
            assert this.posted[0][0].at_us == NOW_US

    asyncio.run(run())


# --- the end --------------------------------------------------------------------------------------------


def test_drain_finishes_what_is_under_way_refuses_the_rest_and_leaves_no_task(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, limits=BatchLimits(batch_max=2)) as this:
            paid = await this.submit(bet(0))
            assert isinstance(paid, Accepted)
            this.disk.hold()
            under_way = this.submit_all(bet(number) for number in range(1, 8))
            await this.disk.holds_one()
            draining = asyncio.create_task(this.batcher.drain())
            await this.turns()
            assert this.batcher.is_stopping
            assert not draining.done()
            late = this.submit(bet(8))
            assert await late == Rejected(Code.OVERLOADED)
            retry = await this.submit(bet(0))
            assert isinstance(retry, Accepted)
            assert retry.replayed
            assert await this.submit(bet(7)).code() is Code.OUTCOME_UNKNOWN
            this.disk.release()
            await draining
            assert [answer.outcomes[0].replayed for answer in under_way] == [False] * 7
            assert this.ledger() == [bet_id(number) for number in range(8)]
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_command_is_answered_while_and_after_the_batcher_stops(tmp_path: Path) -> None:
    """Sockets are still open then, and whoever hears nothing waits for ever."""

    async def run() -> None:
        async with world(tmp_path) as this:
            late: list[Answer] = []

            class Chatty:
                """Sends the next command on hearing the last answer."""

                def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
                    asyncio.get_running_loop().call_soon(lambda: late.append(this.submit(bet(2))))

            this.batcher.submit(bet(1), Chatty(), "r")
            await this.batcher.drain()
            late.append(this.submit(bet(3)))
            for answer in late:
                assert await answer.code() in {Code.OVERLOADED, Code.OUTCOME_UNKNOWN}
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())
