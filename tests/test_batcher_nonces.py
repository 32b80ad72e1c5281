"""The batcher and its nonce guard: asked once for a batch, and what its verdicts come to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batcher.nonces import Verdict
from engine.commands import Deposit
from engine.outcomes import Accepted, Code, Rejected
from tests.batches import ALICE, BOB, Guard, bet, bet_id, world


def test_nonces_are_asked_once_a_batch_while_the_batch_before_is_being_committed(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            this.disk.hold()
            this.submit(bet(1))
            await this.disk.holds_one()
            this.submit_all([bet(2), Deposit(BOB, 5, key="d", caller="test"), bet(3)])
            await guard.calls_are(2)
            assert guard.calls == [[bet_id(1)], [bet_id(2), bet_id(3)]]
            assert this.told == []  # the first COMMIT still stands at the gate
            this.disk.release()
            await asyncio.gather(*this.answers)
            assert len(guard.calls) == len(this.blocks()) == 2

    asyncio.run(run())


def test_nothing_is_committed_before_its_nonces_are_known(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            guard.gate.clear()
            answer = this.submit(bet(1))
            await guard.calls_are(1)
            await this.turns()
            assert this.ledger() == []
            assert this.batcher.pending(bet_id(1)) == bet(1)
            guard.verdicts[bet(1).nonce] = Verdict.REUSED
            guard.gate.set()
            assert await answer.code() is Code.NONCE_REUSED
            assert this.ledger() == []

    asyncio.run(run())


def test_a_nonce_is_refused_to_the_second_bet_that_uses_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            mine, again, bobs = (
                bet(n, nonce="nonce-same", user=u) for n, u in ((1, ALICE), (2, ALICE), (3, BOB))
            )
            assert await this.codes([mine, again, bobs]) == [None, Code.NONCE_REUSED, None]
            assert await this.codes([bet(4, nonce="nonce-same"), mine]) == [Code.NONCE_REUSED, None]
            assert this.ledger() == [bet_id(1), bet_id(3)]

    asyncio.run(run())


def test_a_shed_copy_is_not_refused_beside_one_that_is_paid(tmp_path: Path) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            guard.verdicts = {"nonce-shed": Verdict.SHED}
            shed, paid = this.submit(bet(1, nonce="nonce-shed")), this.submit(bet(1))
            assert await paid.code() is None
            assert await shed.code() is Code.OUTCOME_UNKNOWN
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.REUSED, Code.NONCE_REUSED), (Verdict.SHED, Code.OVERLOADED)]
)
def test_a_known_bet_is_replayed_whatever_the_guard_says(
    tmp_path: Path, verdict: Verdict, code: Code
) -> None:
    async def run() -> None:
        guard = Guard()
        async with world(tmp_path, guard=guard) as this:
            first = await this.submit(bet(1))
            assert isinstance(first, Accepted)
            poor = await this.submit(bet(2, stake=9999))
            assert isinstance(poor, Rejected)
            guard.verdicts = {bet(number).nonce: verdict for number in (1, 2, 3)}
            retry = this.submit(bet(1))
            retry_of_refused = this.submit(bet(2, stake=9999))
            fresh = this.submit(bet(3))
            conflict = this.submit(bet(1, stake=11))
            assert await retry == Accepted(first.transaction_id, first.block_id, first.wallet, replayed=True)
            again = await retry_of_refused
            assert (await retry_of_refused.code(), again.replayed) == (poor.code, True)
            assert await fresh.code() is code
            assert await conflict.code() is Code.IDEMPOTENCY_CONFLICT
            assert this.ledger() == [bet_id(1)]

    asyncio.run(run())
