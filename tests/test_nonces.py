"""One contract for every nonce guard, the one in memory, the one in Redis; both together: test_fallback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import uvloop
from claims import (
    ANSWERED_WITHIN_S,
    BET,
    CLAIM,
    FRESH,
    NONCE,
    OTHER_BET,
    OTHER_CLAIM,
    PATIENT_S,
    REUSED,
    SHED,
    Claim,
    Clock,
    closing,
    until,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from redis_proxy import RedisProxy
from redis_server import RedisServer

from batcher.memory_nonces import MemoryGuard
from batcher.nonces import NONCE_LIMITS, FallbackGuard, NonceGuard, NonceStoreAway, Verdict
from batcher.redis_nonces import RedisGuard


def batches(guard: NonceGuard, *claims: Sequence[Claim]) -> list[list[Verdict]]:
    """The guard's verdicts for these batches, one after the other; the guard is closed."""

    async def run() -> list[list[Verdict]]:
        async with closing(guard):
            return [list(await guard.claim(batch)) for batch in claims]

    return asyncio.run(run())


# --- the contract -------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "redis", "fallback"])
def make_guard(request: pytest.FixtureRequest) -> Callable[[], NonceGuard]:
    """Makes an empty guard, to be used in one event loop. Redis runs only for those who need it."""
    if request.param == "memory":
        return MemoryGuard
    server: RedisServer = request.getfixturevalue("redis_server")
    if request.param == "redis":
        return lambda: RedisGuard(server.url, budget_s=PATIENT_S)
    limits = replace(NONCE_LIMITS, commit_upper_us=round(PATIENT_S * 1e6))
    redis = partial(RedisGuard, server.url, budget_s=PATIENT_S)
    return lambda: FallbackGuard(redis(), MemoryGuard(), time.monotonic, limits)


LONG = "\u20ac" * 64  # as long as a text may be, and more bytes than characters

CONTRACT: list[tuple[str, list[list[Claim]], list[list[Verdict]]]] = [
    ("no claims", [[]], [[]]),
    ("a retry keeps its nonce", [[CLAIM], [CLAIM]], [[FRESH], [FRESH]]),
    ("another bet may not have it", [[CLAIM], [OTHER_CLAIM], [CLAIM]], [[FRESH], [REUSED], [FRESH]]),
    ("in one batch, in order", [[CLAIM, OTHER_CLAIM, CLAIM]], [[FRESH, REUSED, FRESH]]),
    ("in one batch, in order, the other way", [[OTHER_CLAIM, CLAIM]], [[FRESH, REUSED]]),
    ("a bet may use two nonces", [[CLAIM, Claim(7, "nonce-0002", BET)]], [[FRESH, FRESH]]),
    ("users do not share nonces", [[CLAIM, Claim(8, NONCE, OTHER_BET)]], [[FRESH, FRESH]]),
    (
        "user and nonce do not run together",
        [[Claim(1, "1:nonce-1", BET), Claim(11, ":nonce-1", OTHER_BET), Claim(1, "11nonce-1", OTHER_BET)]],
        [[FRESH, FRESH, FRESH]],
    ),
    (
        "large user ids are told apart",
        [[Claim(2**53 - 1, NONCE, BET), Claim(2**53 - 2, NONCE, OTHER_BET), Claim(10**14, NONCE, BET)]],
        [[FRESH, FRESH, FRESH]],
    ),
    (
        "text of any kind",
        [[Claim(7, LONG, BET), Claim(7, 'a" \\ {x}\n', BET), Claim(7, LONG, OTHER_BET)]],
        [[FRESH, FRESH, REUSED]],
    ),
]


@pytest.mark.parametrize(
    ("claims", "verdicts"), [case[1:] for case in CONTRACT], ids=[case[0] for case in CONTRACT]
)
def test_every_guard_keeps_the_contract(
    make_guard: Callable[[], NonceGuard], claims: list[list[Claim]], verdicts: list[list[Verdict]]
) -> None:
    assert batches(make_guard(), *claims) == verdicts


def test_a_large_batch_is_answered_in_order(make_guard: Callable[[], NonceGuard]) -> None:
    first = [Claim(i % 10, f"nonce-{i}", BET) for i in range(5000)]
    second = [Claim(i % 10, f"nonce-{i}", OTHER_BET if i % 3 else BET) for i in range(5000)]
    assert batches(make_guard(), first, second) == [
        [FRESH] * 5000,
        [REUSED if i % 3 else FRESH for i in range(5000)],
    ]


def test_batches_at_the_same_time_do_not_get_each_others_verdicts(
    make_guard: Callable[[], NonceGuard],
) -> None:
    async def run() -> None:
        async with closing(make_guard()) as guard:
            await guard.claim([Claim(0, f"nonce-{i}", BET) for i in range(0, 20, 2)])
            claims = [[Claim(0, f"nonce-{i}", OTHER_BET)] * (i + 1) for i in range(20)]
            answers = await asyncio.gather(*map(guard.claim, claims))
            assert [list(a) for a in answers] == [[FRESH if i % 2 else REUSED] * (i + 1) for i in range(20)]

    asyncio.run(run())


def test_a_cancelled_batch_leaves_the_guard_usable(make_guard: Callable[[], NonceGuard]) -> None:
    async def run() -> None:
        async with closing(make_guard()) as guard:
            await guard.claim([CLAIM])
            task = asyncio.ensure_future(guard.claim([Claim(1, f"nonce-{i}", BET) for i in range(1000)]))
            await asyncio.sleep(0)  # one turn of the loop: the batch is on its way
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert list(await guard.claim([OTHER_CLAIM, CLAIM])) == [REUSED, FRESH]
            assert guard.health() is None

    asyncio.run(run())


# --- in memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed_at_s", "asked_at_s", "verdict"),
    [
        (0, 89.999, REUSED),
        (0.1, 90.05, REUSED),
        (89.9, 179.8, REUSED),
        (89.9, 180, FRESH),
        (0, 180, FRESH),
        (0, 1e6, FRESH),
        (1e6, 1e6 + 89.9, REUSED),
    ],
)
def test_memory_remembers_for_its_life_and_at_most_twice_that(
    claimed_at_s: float, asked_at_s: float, verdict: Verdict
) -> None:
    clock = Clock()
    start_s = clock.now_s
    guard = MemoryGuard(life_s=90, clock=clock)

    async def run() -> None:
        clock.now_s = start_s + claimed_at_s
        assert list(await guard.claim([CLAIM])) == [FRESH]
        clock.now_s = start_s + asked_at_s
        assert list(await guard.claim([OTHER_CLAIM])) == [verdict]

    asyncio.run(run())


def test_full_memory_sheds_and_does_not_forget() -> None:
    clock = Clock()
    guard = MemoryGuard(life_s=90, capacity=20_000, clock=clock)
    claims = [Claim(1, f"nonce-{i}", BET) for i in range(20_001)]

    async def run() -> None:
        assert list(await guard.claim(claims)) == [FRESH] * 20_000 + [SHED]
        assert "full" in str(guard.health())
        assert len(guard._young) == 2, "no table is added for nonces that may not enter"
        assert list(await guard.claim(claims)) == [FRESH] * 20_000 + [SHED]
        others = [claim._replace(bet_id=OTHER_BET) for claim in claims]
        assert list(await guard.claim(others)) == [REUSED] * 20_000 + [SHED]
        clock.now_s += 90
        assert guard.health() is None
        assert list(await guard.claim(others)) == [REUSED] * 20_000 + [FRESH]

    asyncio.run(run())


def test_memory_grows_with_its_load_and_shrinks_again() -> None:
    clock = Clock()
    guard = MemoryGuard(life_s=90, clock=clock)

    def words() -> int:
        return sum(len(table.words) for table in [*guard._old, *guard._young])

    async def run() -> None:
        empty = words()
        assert empty * 8 <= 128 * 1024
        for start in range(0, 100_000, 1000):
            await guard.claim([Claim(1, f"nonce-{i}", BET) for i in range(start, start + 1000)])
        assert [len(table.words) for table in guard._young] == [2**14, 2**17, 2**20]
        clock.now_s += 90
        await guard.claim([])
        assert len(guard._young[-1].words) == 2**19  # sized for what the last generation held
        clock.now_s += 180
        await guard.claim([])
        assert words() == empty

    asyncio.run(run())


def test_the_default_memory_stays_within_150_mb() -> None:
    """Both generations full, each with every table that growing can leave behind; without filling them."""
    guard = MemoryGuard()
    size = slots = len(guard._young[0].words)
    while slots < guard._slots_max:
        slots = min(slots * 8, guard._slots_max)
        size += slots
    assert 8 * (size + guard._slots_max) <= 152_000_000
    assert guard._capacity / guard._slots_max <= 0.6


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 0, 1, 44, 89, 90, 91, 400]),
            st.integers(1, 3),
            st.integers(1, 30),
            st.integers(1, 2),
        ),
        max_size=120,
    )
)
def test_memory_agrees_with_a_dictionary_that_never_forgets(steps: list[tuple[int, int, int, int]]) -> None:
    """Within the life a verdict is exactly a dictionary's; beyond it, either its or FRESH."""
    clock = Clock()
    guard = MemoryGuard(life_s=90, clock=clock)
    first: dict[tuple[int, str], tuple[float, str]] = {}

    async def run() -> None:
        for step_s, user_id, nonce, bet in steps:
            clock.now_s += step_s
            claim = Claim(user_id, f"nonce-{nonce}", f"bet-{bet}")
            (verdict,) = await guard.claim([claim])
            at_s, bet_id = first.setdefault(claim[:2], (clock.now_s, claim.bet_id))
            if bet_id == claim.bet_id:
                assert verdict is FRESH
            elif clock.now_s - at_s < 90:
                assert verdict is REUSED
            elif verdict is FRESH:
                assert clock.now_s - at_s >= 90
                first[claim[:2]] = (clock.now_s, claim.bet_id)

    asyncio.run(run())


# --- in Redis -----------------------------------------------------------------------------------------


def test_a_nonce_lives_90_seconds_in_redis_and_a_retry_does_not_prolong_it(redis_server: RedisServer) -> None:
    key = f"sg:nonce:7:{NONCE}"
    batches(RedisGuard(redis_server.url, budget_s=PATIENT_S), [CLAIM])
    assert redis_server.ask("GET", key) == BET
    assert 80_000 < redis_server.ask("PTTL", key) <= 90_000
    redis_server.ask("PEXPIRE", key, 5_000)
    assert batches(RedisGuard(redis_server.url, budget_s=PATIENT_S), [CLAIM, OTHER_CLAIM]) == [
        [FRESH, REUSED]
    ]
    assert redis_server.ask("PTTL", key) <= 5_000
    redis_server.ask("DEL", key)
    assert batches(RedisGuard(redis_server.url, budget_s=PATIENT_S), [OTHER_CLAIM]) == [[FRESH]]


def test_flushed_scripts_are_loaded_again_at_once(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url, budget_s=PATIENT_S)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("SCRIPT", "FLUSH")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            before = redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"]
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            assert redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"] == before

    asyncio.run(run())


def test_a_connection_cut_while_idle_is_no_outage(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url, budget_s=PATIENT_S)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]

    asyncio.run(run())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_may_evict_is_refused_until_it_may_not(redis_server: RedisServer, policy: str) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url, budget_s=PATIENT_S)) as guard:
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
        async with closing(RedisGuard(redis_server.url, budget_s=PATIENT_S)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(NonceStoreAway, match="allkeys-lru"):
                await guard.claim([CLAIM])

    asyncio.run(run())


def test_a_full_redis_is_away_and_forgets_nothing(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url, budget_s=PATIENT_S)) as guard:
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
        batches(RedisGuard(url, budget_s=PATIENT_S), [CLAIM])
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
            async with closing(RedisGuard(proxy.url, budget_s=PATIENT_S)) as guard:
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
            await guard.claim([])
            mortal_redis.freeze()
            for _ in range(2):
                started = time.monotonic()
                both = await asyncio.gather(guard.claim([CLAIM]), guard.claim([]), return_exceptions=True)
                assert time.monotonic() - started < ANSWERED_WITHIN_S
                assert [type(each) for each in both] == [NonceStoreAway] * 2

    asyncio.run(run())
