"""What those hear who are refused: when to come back, not all together, and what was wrong before."""

from __future__ import annotations

import asyncio
from pathlib import Path

from batcher.breaker import BreakerLimits
from batcher.nonces import Verdict
from batcher.policy import BatchLimits
from engine.outcomes import Code, Rejected
from tests.batches import FULL, Guard, S, bet, world

COOL_OFF_US = BreakerLimits().cool_off_us
INTERVAL_US = BatchLimits().interval_us


def test_they_come_back_spread_over_as_long_again_as_they_wait_at_least(tmp_path: Path) -> None:
    chances = iter([0.0, 0.5, 0.25, *([0.0, 0.5, 0.999] * 2)])

    async def run() -> None:
        async with world(tmp_path, chance=lambda: next(chances)) as this:
            this.disk.fail(FULL, FULL, FULL)
            for share in (0.0, 0.5, 0.25):
                refused = Rejected(Code.OVERLOADED, retry_after_us=int(INTERVAL_US * (1 + share)))
                assert await this.submit(bet(1)) == refused
            for share in (0.0, 0.5, 0.999):
                refused = Rejected(Code.CIRCUIT_OPEN, retry_after_us=int(COOL_OFF_US * (1 + share)))
                assert await this.submit(bet(2)) == refused
            this.clock.now_us += S // 4
            for share in (0.0, 0.5, 0.999):
                refused = Rejected(
                    Code.CIRCUIT_OPEN, retry_after_us=int((COOL_OFF_US - S // 4) * (1 + share))
                )
                assert await this.submit(bet(3)) == refused

    asyncio.run(run())


def test_who_found_no_room_for_his_nonce_hears_when_to_come_back(tmp_path: Path) -> None:
    guard = Guard()
    guard.verdicts[bet(1).nonce] = Verdict.SHED

    async def run() -> None:
        async with world(tmp_path, guard=guard, chance=lambda: 0.5) as this:
            refused = Rejected(Code.OVERLOADED, retry_after_us=INTERVAL_US * 3 // 2)
            assert await this.submit(bet(1)) == refused

    asyncio.run(run())


def test_who_had_a_used_nonce_hears_that_though_the_disk_refused_his_batch(tmp_path: Path) -> None:
    """Told to come back, he would come back with it."""
    guard = Guard()
    guard.verdicts[bet(2).nonce] = Verdict.REUSED

    async def run() -> None:
        async with world(tmp_path, guard=guard) as this:
            this.disk.fail(FULL)
            assert await this.codes([bet(1), bet(2)]) == [Code.OVERLOADED, Code.NONCE_REUSED]
            assert await this.codes([bet(1), bet(2)]) == [None, Code.NONCE_REUSED]

    asyncio.run(run())
