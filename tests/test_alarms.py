"""What the log says unasked: each change of the circuit. The floor's alarm is in test_batcher_floors.py."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from batches import FULL, WAIT_S, bet, world

from batcher.alarms import CircuitNews
from batcher.breaker import Breaker, BreakerLimits, Reason, State, Status

S = 1_000_000


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "circuit" in record.getMessage()]


def test_each_change_of_the_circuit_is_one_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    news = CircuitNews()
    closed = Status(State.CLOSED, None, 0)
    is_open = Status(State.OPEN, Reason.COMMIT_SLOW, 31 * S)
    half = Status(State.HALF_OPEN, Reason.COMMIT_SLOW, 30 * S)

    caplog.set_level(logging.WARNING)
    for status in (
        closed,
        closed,
        is_open,
        is_open,
        half,
        half._replace(remaining_us=5 * S),
        is_open,
        half,
        closed,
    ):
        news.look(status)

    assert said(caplog) == [
        "the circuit is open, bets are refused: a commit took too long",
        "the circuit is half open: some bets are tried, for another 30 s of health",
        "the circuit is open, bets are refused: a commit took too long",
        "the circuit is half open: some bets are tried, for another 30 s of health",
        "the circuit is closed again: bets are taken",
    ]
    assert [record.levelname for record in caplog.records] == [
        "ERROR",
        "WARNING",
        "ERROR",
        "WARNING",
        "WARNING",
    ]


def test_the_batcher_looks_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with world(tmp_path, breaker=Breaker(BreakerLimits(commit_faults=1))) as this:
            this.disk.fail(FULL)
            await this.submit(bet(1)).code()
            async with asyncio.timeout(WAIT_S):
                while not said(caplog):
                    await asyncio.sleep(0)

    asyncio.run(run())

    assert said(caplog)[0] == "the circuit is open, bets are refused: commits failed"
