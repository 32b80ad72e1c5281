"""What the log says unasked: each change of the circuit. The floor's alarm is in test_batcher_floors.py."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from batcher.alarms import QUIET_US, CircuitNews
from batcher.breaker import Breaker, BreakerLimits, Reason, State, Status
from tests.batches import FULL, WAIT_S, bet, world

S = 1_000_000


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "circuit" in record.getMessage()]


def test_each_change_of_the_circuit_is_one_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    news, now_us = CircuitNews(), 0
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
        now_us += QUIET_US
        news.look(status, now_us)

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


def test_a_circuit_that_goes_to_and_fro_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """As it does once a second on a full disk. What it comes to is told, a minute late at most."""
    news, is_open = CircuitNews(), Status(State.OPEN, Reason.COMMIT_FAULTS, 31 * S)
    half, closed = is_open._replace(state=State.HALF_OPEN), Status(State.CLOSED, None, 0)
    caplog.set_level(logging.WARNING)

    def starts() -> list[str]:
        lines = [line.partition(":")[0].partition(",")[0] for line in said(caplog)]
        caplog.clear()
        return lines

    for now_s in range(0, 60, 2):
        news.look(is_open, now_s * S)
        news.look(half, (now_s + 1) * S)
    assert starts() == ["the circuit is open", "the circuit is half open"]
    news.look(is_open, QUIET_US - 1)
    assert starts() == []
    news.look(is_open, QUIET_US)
    assert starts() == ["the circuit is open"]
    news.look(closed, QUIET_US + 1)
    news.look(is_open, QUIET_US + 2)
    assert starts() == ["the circuit is closed again", "the circuit is open"], "from closed on, always"


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
