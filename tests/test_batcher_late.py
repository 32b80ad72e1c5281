"""A batch of which more gets late each time that the writer comes to it: nobody else pays for that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from batcher.breaker import Breaker, State
from batcher.jobs import Job
from batcher.pipeline import Closed, Pipeline
from batcher.policy import BatchLimits
from engine.outcomes import Code
from engine.store import GUARD_ATTEMPTS
from tests.batches import PATIENT, S, bet, bet_id, world

LIMITS = BatchLimits(ahead_min=50, deadline_us=10 * S)
LATE = GUARD_ATTEMPTS + 2


def test_who_is_late_is_left_out_however_often_and_the_others_are_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second passes each time before the writer comes to it, in which one more gets late."""
    begin = Pipeline._begin

    async def run() -> None:
        async with world(tmp_path, limits=LIMITS, breaker=Breaker(PATIENT)) as this:

            def later(pipeline: Pipeline, closed: Closed, part: Sequence[Job]) -> bool:
                this.clock.now_us += S
                return begin(pipeline, closed, part)

            this.disk.hold()
            first = this.submit(bet(100))
            await this.disk.holds_one()
            late = []
            for number in range(LATE):
                late.append(this.submit(bet(number)))
                this.clock.now_us += S
            this.clock.now_us += LIMITS.deadline_us - LATE * S
            in_time = this.submit(bet(99))
            monkeypatch.setattr(Pipeline, "_begin", later)
            this.disk.release()
            assert await first.code() is None
            assert [await each.code() for each in late] == [Code.TIMED_OUT] * LATE
            assert await in_time.code() is None
            assert this.ledger() == [bet_id(100), bet_id(99)]
            assert this.batcher.breaker_status().state is State.CLOSED

    asyncio.run(run())
