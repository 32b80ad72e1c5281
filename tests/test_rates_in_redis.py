"""Counts in a real Redis: shared between servers, and in memory while Redis is not well."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer
from ws.http.request_ids import request_id
from ws.rates.in_redis import BUDGET_S, UNDER_WAY_MAX, RedisCounts, redis_storage
from ws.rates.rates import Check, Counted, rate
from ws.rates.windows import Windows

TEN = rate("10/minute")
assert TEN is not None
ONE = [Check("login", TEN, "192.0.2.1")]
TWO = [*ONE, Check("address", TEN, "192.0.2.1")]
PROBE_S = 0.01
PATIENCE_S = 10.0
_names = itertools.count()


@asynccontextmanager
async def counting(url: str, budget_s: float = PATIENCE_S) -> AsyncIterator[RedisCounts]:
    """Patient, unless it is patience that is tested: this machine may have other things to do."""
    counts = RedisCounts(redis_storage(url), Counted(Windows()), probe_every_s=PROBE_S, budget_s=budget_s)
    try:
        yield counts
    finally:
        await counts.close()


async def let_in(counts: RedisCounts, checks: list[Check], times: int = 15) -> int:
    return sum([await counts.count(checks) is None for _ in range(times)])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(PROBE_S)  # Redis comes back in another process


def test_two_servers_share_what_is_counted(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with counting(redis_server.url) as one, counting(redis_server.url) as other:
            assert await let_in(one, ONE, 6) == 6
            assert await let_in(other, ONE) == 4
            refusal = await one.count(ONE)
            assert refusal is not None
            assert refusal.rule == "login"
            assert 59_000 < refusal.wait_ms <= 60_001
            assert one.health() is other.health() is None

    asyncio.run(run())


def test_what_is_kept_there_goes_away_by_itself(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with counting(redis_server.url) as counts:
            await let_in(counts, TWO)

    asyncio.run(run())
    keys = redis_server.ask("KEYS", "*")
    assert keys
    assert all(key.startswith("sg:rate:") for key in keys)
    assert all(0 < redis_server.ask("PTTL", key) <= 120_000 for key in keys)


def test_whoever_waits_as_long_as_he_is_told_is_let_in(redis_server: RedisServer) -> None:
    fast = rate("2/second")
    assert fast is not None
    check = [Check("user", fast, "7")]

    async def run() -> None:
        async with counting(redis_server.url) as counts:
            for _ in range(3):
                while (refusal := await counts.count(check)) is None:
                    pass
                await asyncio.sleep(refusal.wait_ms / 1000 + 0.002)  # Redis counts by its own clock
                assert await counts.count(check) is None

    asyncio.run(run())


def test_a_redis_that_is_not_there_costs_one_budget_and_refuses_nobody(
    mortal_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    of_request: list[str | None] = []

    def note(record: logging.LogRecord) -> bool:
        of_request.append(request_id.get())
        return True

    caplog.handler.addFilter(note)

    async def run() -> None:
        async with counting(mortal_redis.url) as counts:
            assert await counts.count(TWO) is None
            mortal_redis.kill()
            request_id.set("one")
            assert await let_in(counts, TWO) == 10, "in memory, from the beginning"
            health = counts.health()
            assert health is not None
            assert health.startswith("requests have been counted in memory for 0 s: ")
            mortal_redis.start()
            await until(lambda: counts.health() is None)
            assert await let_in(counts, ONE) == 10, "it has come back empty"

    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.name == "solidgreen.rates"]
    assert len(said) == 2, "an outage is one warning and one line of info"
    assert said[0].startswith("requests are counted in memory from now on: ")
    assert said[1].startswith("requests are counted in Redis again after ")
    assert of_request[-2:] == ["one", None], "what comes later is no request's"


def test_a_redis_that_does_not_answer_makes_one_request_wait_and_not_for_long(
    mortal_redis: RedisServer,
) -> None:
    async def run() -> None:
        async with counting(mortal_redis.url, BUDGET_S) as counts:
            assert await counts.count(TWO) is None
            mortal_redis.freeze()
            began_s = time.monotonic()
            assert await let_in(counts, TWO, 10) == 10
            assert BUDGET_S * 0.9 < time.monotonic() - began_s < BUDGET_S * 10
            assert "no answer within 50 ms" in str(counts.health())
            mortal_redis.thaw()
            await until(lambda: counts.health() is None)

    asyncio.run(run())


def test_a_redis_that_is_too_slow_is_left_and_one_that_is_not_is_kept(redis_server: RedisServer) -> None:
    async def run(delay_s: float) -> str | None:
        with RedisProxy(redis_server.port) as proxy:
            async with counting(proxy.url, budget_s=0.5) as counts:
                await counts.count(ONE)
                assert counts.health() is None
                proxy.delay_s = delay_s
                await counts.count(ONE)
                return counts.health()

    assert asyncio.run(run(0.02)) is None
    assert "no answer within 500 ms" in str(asyncio.run(run(2.0)))


def test_replies_that_make_no_sense_are_an_outage(redis_server: RedisServer) -> None:
    async def run() -> None:
        with RedisProxy(redis_server.port) as proxy:
            async with counting(proxy.url) as counts:
                await counts.count(ONE)
                proxy.instead = b"?!\r\n"
                assert await let_in(counts, ONE) == 10
                assert counts.health() is not None

    asyncio.run(run())


def test_two_thousand_at_once_do_not_wait_for_each_other(redis_server: RedisServer) -> None:
    """Those who find no room are counted in memory: nobody is refused, and Redis is not taken for slow."""
    many = rate("100000/minute")
    assert many is not None

    async def run() -> None:
        async with counting(redis_server.url) as counts:
            checks = [Check("handshake", many, "192.0.2.1")]
            told = await asyncio.gather(*(counts.count(checks) for _ in range(2_000)))
            assert told == [None] * 2_000
            assert counts.health() is None

    asyncio.run(run())
    assert int(redis_server.ask("INFO", "clients")["connected_clients"]) <= UNDER_WAY_MAX + 2


@pytest.mark.parametrize("form", ["redis://127.0.0.1:{}/0", "redis://localhost:{}"])
def test_a_url_of_redis_as_the_nonces_have_it(redis_server: RedisServer, form: str) -> None:
    async def run() -> None:
        async with counting(form.format(redis_server.port)) as counts:
            assert await counts.count(ONE) is None
            assert counts.health() is None

    asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["redis://localhost/0", "rediss://user:secret@cache", "unix:///run/redis.sock"]
)
def test_a_url_without_a_port_is_one_as_well(url: str) -> None:
    asyncio.run(RedisCounts(redis_storage(url), Counted(Windows())).close())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://127.0.0.1:port", "nonsense"])
def test_a_url_that_makes_no_sense_is_said_so(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        redis_storage(url)
