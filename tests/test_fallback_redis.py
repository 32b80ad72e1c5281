"""Bets go on when Redis goes, is full or hangs; and Redis is asked again once it is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
import uvloop

from batcher.breaker import State
from batcher.nonces import NONCE_LIMITS, FallbackGuard, Verdict
from batcher.redis_nonces import RedisGuard
from tests.claims import (
    ANSWERED_WITHIN_S,
    BET,
    CLAIM,
    FRESH,
    OTHER_BET,
    OTHER_CLAIM,
    PATIENT_S,
    REUSED,
    Claim,
    beside_memory,
    closing,
    log_levels,
    patient,
    until,
)
from tests.redis_server import RedisServer

Outage = tuple[Callable[[RedisServer], None], Callable[[RedisServer], None]]
OUTAGES: dict[str, Outage] = {
    "killed": (RedisServer.kill, RedisServer.start),
    "stopped": (RedisServer.stop, RedisServer.start),
    "frozen": (RedisServer.freeze, RedisServer.thaw),
}
HASTY = replace(
    NONCE_LIMITS,
    commit_upper_us=140_000,  # a busy machine
    commit_lower_us=139_000,
    cool_off_us=50_000,
    stable_us=100_000,
)


def over(redis: RedisServer) -> FallbackGuard:
    return beside_memory(RedisGuard(redis.url), HASTY)


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_bets_go_on_while_redis_is_away(
    mortal_redis: RedisServer, caplog: pytest.LogCaptureFixture, outage: Outage, batch_size: int
) -> None:
    caplog.set_level(logging.INFO)
    begin, end = outage

    async def timed(verdicts: Awaitable[Sequence[Verdict]]) -> tuple[list[Verdict], float]:
        started = time.monotonic()
        return list(await verdicts), time.monotonic() - started

    async def run() -> None:
        async with closing(over(mortal_redis)) as guard:
            claims = [Claim(1, f"nonce-{i}", BET) for i in range(batch_size)]
            others = [claim._replace(bet_id=OTHER_BET) for claim in claims]
            assert list(await guard.claim(claims)) == [FRESH] * batch_size
            assert list(await guard.claim(others)) == [REUSED] * batch_size
            begin(mortal_redis)
            verdicts, took_s = await timed(guard.claim(claims))
            assert verdicts == [FRESH] * batch_size
            assert took_s < ANSWERED_WITHIN_S
            verdicts, took_s = await timed(guard.claim(others))
            assert verdicts == [REUSED] * batch_size, "the spare remembers as well"
            assert took_s < 0.1, "only the first batch waits"
            assert "checked in memory for 0 s: Redis" in str(guard.health())
            during = [Claim(3, f"nonce-{i}", BET) for i in range(batch_size)]
            assert list(await guard.claim(during)) == [FRESH] * batch_size
            end(mortal_redis)
            await until(lambda: guard.health() is None)
            assert mortal_redis.ask("GET", "sg:nonce:3:nonce-0") == BET, "the probes have told Redis"
            again = [claim._replace(bet_id=OTHER_BET) for claim in [*claims, *during]]
            assert list(await guard.claim(again)) == [REUSED] * 2 * batch_size
            later = [Claim(2, f"nonce-{i}", BET) for i in range(batch_size)]
            assert list(await guard.claim(later)) == [FRESH] * batch_size
            assert mortal_redis.ask("GET", "sg:nonce:2:nonce-0") == BET, "Redis answers again"

    asyncio.run(run())
    assert log_levels(caplog) == [logging.WARNING, logging.INFO]


def test_a_redis_that_is_full_is_away_until_there_is_room(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(over(redis_server)) as guard:
            assert list(await guard.claim([CLAIM])) == [FRESH]
            redis_server.ask("CONFIG", "SET", "maxmemory", 1)
            assert list(await guard.claim([Claim(7, "nonce-0002", BET)])) == [FRESH]
            assert "it is full" in str(guard.health())
            await until(lambda: guard.status().state is State.HALF_OPEN)
            await until(lambda: guard.status().state is State.OPEN)  # a probe has been refused
            assert "it is full" in str(guard.health())
            redis_server.ask("CONFIG", "SET", "maxmemory", 0)
            await until(lambda: guard.health() is None)

    asyncio.run(run())


@pytest.mark.parametrize("run_in_a_loop", [asyncio.run, uvloop.run])
def test_a_loop_that_stands_still_is_not_redis_being_slow(
    redis_server: RedisServer, run_in_a_loop: Callable[..., None]
) -> None:
    async def run() -> None:
        guard = beside_memory(RedisGuard(redis_server.url))
        async with closing(guard):
            await guard.reach()
            for stalls_s in (0.12, 0.3):  # more than a claim may take, and more than it is waited for
                asyncio.get_running_loop().call_soon(time.sleep, stalls_s)  # once the batch is on its way
                assert list(await guard.claim([CLAIM, OTHER_CLAIM])) == [FRESH, REUSED]
                assert guard.status().state is State.CLOSED, guard.health()

    run_in_a_loop(run())


def test_redis_killed_in_the_middle_of_a_batch(
    mortal_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        redis = patient(mortal_redis.url)
        async with closing(beside_memory(redis)) as guard:
            await guard.claim([CLAIM])
            connection, sent = redis._connection, asyncio.Event()
            read_response = connection.read_response

            def wait_for_it() -> Awaitable[object]:
                sent.set()
                return read_response()

            monkeypatch.setattr(connection, "read_response", wait_for_it)
            mortal_redis.freeze()  # so that the batch is sent and surely not answered
            batch = asyncio.ensure_future(guard.claim([OTHER_CLAIM]))
            async with asyncio.timeout(PATIENT_S):
                await sent.wait()
            assert not batch.done()
            mortal_redis.kill()
            started = time.monotonic()
            assert list(await batch) == [FRESH]
            assert time.monotonic() - started < ANSWERED_WITHIN_S

    asyncio.run(run())


def test_redis_away_at_the_start(mortal_redis: RedisServer) -> None:
    mortal_redis.kill()

    async def run() -> None:
        async with closing(over(mortal_redis)) as guard:
            await guard.reach()
            assert "is it running" in str(guard.health())
            mortal_redis.start()
            await until(lambda: guard.health() is None)

    asyncio.run(run())
