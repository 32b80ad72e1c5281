"""Nonces in a real Redis: how long they live, what is an outage and what is none, and garbage for replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop

from batcher.nonces import NonceStoreAway
from batcher.redis_nonces import RedisGuard
from tests.claims import (
    ANSWERED_WITHIN_S,
    BET,
    CLAIM,
    FRESH,
    NONCE,
    OTHER_CLAIM,
    REUSED,
    Claim,
    batches,
    closing,
    patient,
    until,
)
from tests.redis_proxy import RedisProxy
from tests.redis_server import RedisServer


def test_a_nonce_lives_90_seconds_in_redis_and_a_retry_does_not_prolong_it(redis_server: RedisServer) -> None:
    key = f"sg:nonce:7:{NONCE}"
    batches(patient(redis_server.url), [CLAIM])
    assert redis_server.ask("GET", key) == BET
    assert 80_000 < redis_server.ask("PTTL", key) <= 90_000
    redis_server.ask("PEXPIRE", key, 5_000)
    assert batches(patient(redis_server.url), [CLAIM, OTHER_CLAIM]) == [[FRESH, REUSED]]
    assert redis_server.ask("PTTL", key) <= 5_000
    redis_server.ask("DEL", key)
    assert batches(patient(redis_server.url), [OTHER_CLAIM]) == [[FRESH]]


def test_flushed_scripts_are_loaded_again_at_once(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(patient(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("SCRIPT", "FLUSH")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            before = redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"]
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            assert redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"] == before

    asyncio.run(run())


def test_a_connection_cut_while_idle_is_no_outage(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(patient(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]

    asyncio.run(run())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_may_evict_is_refused_until_it_may_not(redis_server: RedisServer, policy: str) -> None:
    async def run() -> None:
        async with closing(patient(redis_server.url)) as guard:
            redis_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
            for _ in range(2):
                with pytest.raises(NonceStoreAway, match=f"{policy}.*set maxmemory-policy to noeviction"):
                    await guard.claim([CLAIM])
            assert policy in str(guard.health())
            assert redis_server.ask("DBSIZE") == 0
            redis_server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            assert list(await guard.claim([CLAIM])) == [FRESH]
            assert guard.health() is None

    asyncio.run(run())


def test_the_policy_is_read_again_on_every_new_connection(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(patient(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(NonceStoreAway, match="allkeys-lru"):
                await guard.claim([CLAIM])

    asyncio.run(run())


def test_a_full_redis_is_away_and_forgets_nothing(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(patient(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(NonceStoreAway, match="it is full; raise maxmemory"):
                await guard.claim([Claim(7, "nonce-0002", BET)])
            redis_server.ask("CONFIG", "SET", "maxmemory", 0)
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]

    asyncio.run(run())


def test_a_refused_password_says_so_and_does_not_show_it(redis_server: RedisServer) -> None:
    url = redis_server.url.replace("redis://", "redis://nobody:secret-word@")
    with pytest.raises(NonceStoreAway, match="check the user and the password") as caught:
        batches(patient(url), [CLAIM])
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "redis://127.0.0.1/0?colour=green"])
def test_a_url_that_is_not_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        RedisGuard(url)


def test_a_reply_that_comes_too_late_is_not_the_next_batchs(redis_server: RedisServer) -> None:
    async def run() -> None:
        with RedisProxy(redis_server.port) as proxy:
            async with closing(RedisGuard(proxy.url, budget_s=0.3)) as guard:
                assert list(await guard.claim([CLAIM])) == [FRESH]
                proxy.delay_s = 0.6
                with pytest.raises(NonceStoreAway, match="no answer within 300 ms"):
                    await guard.claim([OTHER_CLAIM])  # REUSED, some time
                proxy.delay_s = 0.0
                assert list(await guard.claim([CLAIM])) == [FRESH]
                cancelled = asyncio.ensure_future(guard.claim([OTHER_CLAIM]))
                await asyncio.sleep(0)
                cancelled.cancel()
                assert list(await guard.claim([CLAIM])) == [FRESH]

    asyncio.run(run())


GARBAGE = {
    "no RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "no line": b"x" * 100_000,
    "no length": b"$abc\r\n",
    "a negative length": b"$-7\r\n",
    "a number": b":1\r\n",
    "a number that would be 10 GB of zeros": b":9999999999\r\n",
    "nothing": b"$-1\r\n",
    "a list": b"*1\r\n$1\r\nF\r\n",
    "a list in a list in a list": b"*1\r\n" * 3000,
    "a letter too many": b"$2\r\nFF\r\n",
    "a letter that is none": b"$1\r\nX\r\n",
    "an error": b"-ERR who are you\r\n",
    "two replies": b"$2\r\nFF\r\n$1\r\nF\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_reply_that_makes_no_sense_is_an_outage_and_leaves_nothing_behind(
    redis_server: RedisServer, garbage: bytes
) -> None:
    async def run() -> None:
        with RedisProxy(redis_server.port) as proxy:
            async with closing(RedisGuard(proxy.url, budget_s=0.5)) as guard:
                assert list(await guard.claim([CLAIM])) == [FRESH]
                for _ in range(2):  # on the connection that there is, and in a handshake
                    proxy.instead = garbage
                    with pytest.raises(NonceStoreAway) as caught:
                        await guard.claim([OTHER_CLAIM])
                    assert guard.health() == str(caught.value)
                    assert len(str(caught.value)) < 250
                proxy.instead = None
                assert list(await guard.claim([OTHER_CLAIM, CLAIM])) == [REUSED, FRESH]
                assert guard.health() is None

    asyncio.run(run())


@pytest.mark.parametrize("run_in_a_loop", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("is_noticed", [True, False], ids=["while idle", "by the next batch"])
def test_a_connection_that_is_reset_is_no_outage(
    redis_server: RedisServer, run_in_a_loop: Callable[..., None], is_noticed: bool
) -> None:
    """Of a transport that is gone, uvloop, which the server runs in, says `RuntimeError`; asyncio, in Python
    3.12 and 3.13, `AttributeError` or `TypeError`."""

    async def run() -> None:
        with RedisProxy(redis_server.port) as proxy:
            async with closing(patient(proxy.url)) as guard:
                assert list(await guard.claim([CLAIM])) == [FRESH]
                for _ in range(3):
                    transport = guard._connection._writer.transport
                    proxy.reset()
                    if is_noticed:
                        await until(transport.is_closing)
                    assert list(await guard.claim([OTHER_CLAIM, CLAIM])) == [REUSED, FRESH]

    run_in_a_loop(run())


def test_nobody_waits_longer_than_the_budget_also_behind_another_batch(mortal_redis: RedisServer) -> None:
    """Also with a port that takes connections and says nothing, which is what SIGSTOP leaves."""

    async def run() -> None:
        async with closing(RedisGuard(mortal_redis.url)) as guard:
            await guard.reach()
            mortal_redis.freeze()
            assert await guard.claim([]) == []
            assert guard.health() is None, "no claims are no question"
            for _ in range(2):
                started = time.monotonic()
                both = await asyncio.gather(guard.claim([CLAIM]), guard.reach(), return_exceptions=True)
                assert time.monotonic() - started < ANSWERED_WITHIN_S
                assert [type(each) for each in both] == [NonceStoreAway] * 2

    asyncio.run(run())
