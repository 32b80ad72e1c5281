"""What the tests of the nonce guards share: claims, a clock, a guard that is surely closed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, TypeVar

import pytest

from batcher.breaker import BreakerLimits
from batcher.memory_nonces import MemoryGuard
from batcher.nonces import NONCE_LIMITS, FallbackGuard, NonceGuard, Verdict
from batcher.redis_nonces import RedisGuard


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
PATIENT_S = 5.0  # the budget of `patient`


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def patient(url: str) -> RedisGuard:
    """A guard in this Redis that waits, where a test is about something else than time."""
    return RedisGuard(url, budget_s=PATIENT_S)


def beside_memory(primary: NonceGuard, limits: BreakerLimits = NONCE_LIMITS) -> FallbackGuard:
    """Memory for when `primary` is away, under the real clock."""
    return FallbackGuard(primary, MemoryGuard(), time.monotonic, limits)


Guard = TypeVar("Guard", bound=NonceGuard)


@contextlib.asynccontextmanager
async def closing(guard: Guard) -> AsyncIterator[Guard]:
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


def batches(guard: NonceGuard, *claims: Sequence[Claim]) -> list[list[Verdict]]:
    """The guard's verdicts for these batches, one after the other; the guard is closed."""

    async def run() -> list[list[Verdict]]:
        async with closing(guard):
            return [list(await guard.claim(batch)) for batch in claims]

    return asyncio.run(run())


def log_levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.name == "solidgreen.nonces"]
