"""What the breaker is told when: the time of a look never runs back, so a cool-off never gets shorter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import batcher.batcher
from batcher.breaker import Breaker, BreakerLimits, State
from tests.batches import Guard, bet, world

LIMITS = BreakerLimits()


def test_a_wait_that_is_told_late_does_not_shorten_the_cool_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch waited too long before its commit began; while that ran, the queue behind it grew too old.
    The first is only told once the commit is done, and it must not begin the cool-off of the second."""
    monkeypatch.setattr(batcher.batcher, "WATCH_S", 3600.0)

    async def run() -> None:
        guard, breaker = Guard(), Breaker(LIMITS)
        async with world(tmp_path, guard=guard, breaker=breaker) as this:
            guard.gate.clear()
            this.disk.hold()
            slow = this.submit(bet(1))
            await guard.calls_are(1)
            this.clock.now_us += LIMITS.queue_upper_us + 1
            guard.gate.set()
            await this.disk.holds_one()  # its commit began just now
            this.clock.now_us += LIMITS.commit_upper_us - 1
            breaker.queue_waited(this.clock(), LIMITS.queue_upper_us + 1)  # as the watch sees the queue
            assert breaker.retry_after_us(this.clock()) == LIMITS.cool_off_us
            this.disk.release()
            assert await slow.code() is None
            assert breaker.retry_after_us(this.clock()) == LIMITS.cool_off_us
            this.clock.now_us += LIMITS.cool_off_us - 1
            assert breaker.status(this.clock()).state is State.OPEN

    asyncio.run(run())
