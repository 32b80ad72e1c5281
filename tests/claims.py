"""What the tests of the nonce guards share: claims, a clock, a guard that is surely closed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from batcher.nonces import NonceGuard, Verdict


class Claim(NamedTuple):
    """As much of a bet as a guard looks at."""

    user_id: int
    nonce: str
    bet_id: str


FRESH, REUSED, SHED = Verdict.FRESH, Verdict.REUSED, Verdict.SHED
NONCE = "nonce-0001"
BET, OTHER_BET = "0197a000-0000-7000-8000-000000000001", "0197a000-0000-7000-8000-000000000002"
CLAIM, OTHER_CLAIM = Claim(7, NONCE, BET), Claim(7, NONCE, OTHER_BET)

ANSWERED_WITHIN_S = 0.15 + 0.15  # the guard's budget, and slack for a busy machine
BACK_WITHIN_S = 10.0
PATIENT_S = 5.0  # the budget where a test is about something else


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextlib.asynccontextmanager
async def closing(guard: NonceGuard) -> AsyncIterator[NonceGuard]:
    try:
        yield guard
    finally:
        await guard.close()


async def until(condition: Callable[[], bool]) -> float:
    """Wait until `condition` holds; the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(BACK_WITHIN_S):
        while not condition():
            await asyncio.sleep(0.005)  # another process, or a task, brings the condition about
    return time.monotonic() - started
