"""How long a bet waits for Redis, to the millisecond: batches as the pipeline makes them, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
import uvloop

from batcher.nonces import NONCE_LIMITS, NonceGuard
from batcher.redis_nonces import BUDGET_S, RedisGuard
from tests.claims import BET, Claim, beside_memory, closing
from tests.redis_faults import FAULTS, Redis, redis_behind_a_proxy

pytestmark = pytest.mark.long

FOR_REDIS_S = 0.25
EVERY_S = 0.002  # a bet
LASTS_S = 0.8
OVERHEAD_S = 0.05  # of making and answering a batch, and of what is late by less than a look at it can tell
JITTER_S = 0.002  # of a timer, which is no lateness


class Table:
    """Bets arrive; one batch at a time asks the guard, with all that came while the one before it did."""

    def __init__(self, guard: NonceGuard) -> None:
        self.longest_s = 0.0
        self.late_s = 0.0
        """How much the event loop itself was late so far, all in all: that is the machine's doing."""
        self._guard = guard
        self._arrived: list[tuple[float, Claim]] = []
        self._stirred = asyncio.Event()

    async def arrive(self) -> None:
        number = 0
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(EVERY_S)
            now_s = time.monotonic()
            self.late_s += max(now_s - before_s - EVERY_S - JITTER_S, 0)
            number += 1
            self._arrived.append((now_s - self.late_s, Claim(1, f"nonce-{number}", BET)))
            self._stirred.set()

    async def gather(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            batch, self._arrived = self._arrived, []
            await self._guard.claim([claim for _, claim in batch])
            # On a clock that stands still while the loop does.
            self.longest_s = max(self.longest_s, time.monotonic() - self.late_s - batch[0][0])


async def longest_wait(guard: NonceGuard, redis: Redis, steps: Sequence[str]) -> Table:
    """Let the faults of `steps` come one on top of the other, in the middle of bets."""
    async with closing(guard):
        table = Table(guard)
        tasks = [asyncio.create_task(loop()) for loop in (table.arrive, table.gather)]
        await asyncio.sleep(0.1)
        for step in steps:
            await asyncio.to_thread(FAULTS[step].begin, redis)
            await asyncio.sleep(LASTS_S / len(steps))
        for step in steps:
            await asyncio.to_thread(FAULTS[step].end, redis)
        await asyncio.sleep(0.3)  # what was kept waiting is answered
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return table


def guarded(redis: Redis) -> NonceGuard:
    return beside_memory(RedisGuard(redis.proxy.url))


def unguarded(redis: Redis) -> NonceGuard:
    return RedisGuard(redis.proxy.url, budget_s=3600)


def waits(make: Callable[[Redis], NonceGuard], *steps: str) -> Table:
    with redis_behind_a_proxy() as redis:
        return uvloop.run(longest_wait(make(redis), redis, steps))


@pytest.mark.parametrize(
    "steps",
    [
        ("frozen",),
        ("slow by 90 ms",),
        ("slow by 90 ms", "frozen"),  # the worst: a claim just quick enough, and behind it one that is lost
        ("slow by 200 ms",),
        ("writes paused",),
        ("out of memory",),
        ("babbling",),
    ],
    ids=" then ".join,
)
def test_no_bet_waits_longer_than_250_ms_for_redis(steps: tuple[str, ...]) -> None:
    table = waits(guarded, *steps)
    assert 0 < table.longest_s < FOR_REDIS_S + OVERHEAD_S


@pytest.mark.parametrize("steps", [("frozen",), ("writes paused",)], ids=" then ".join)
def test_without_a_limit_it_does(steps: tuple[str, ...]) -> None:
    table = waits(unguarded, *steps)
    assert table.longest_s > FOR_REDIS_S + OVERHEAD_S


def test_the_two_waits_of_a_bet_are_250_ms_together() -> None:
    assert NONCE_LIMITS.commit_upper_us / 1e6 + BUDGET_S == pytest.approx(FOR_REDIS_S)
