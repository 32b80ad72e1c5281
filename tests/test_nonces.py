"""One contract for every nonce guard, and what happens when Redis is killed, frozen, flushed or full."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis_server import RedisServer

from batcher.memory_nonces import MemoryGuard
from batcher.nonces import FallbackGuard, NonceGuard, NonceStoreAway, Verdict
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

ANSWERED_WITHIN_S = 0.25 + 0.15  # the guard's budget, and slack for a busy machine
BACK_WITHIN_S = 10.0


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
        return lambda: RedisGuard(server.url)
    return lambda: FallbackGuard(RedisGuard(server.url), MemoryGuard(), time.monotonic)


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
    batches(RedisGuard(redis_server.url), [CLAIM])
    assert redis_server.ask("GET", key) == BET
    assert 80_000 < redis_server.ask("PTTL", key) <= 90_000
    redis_server.ask("PEXPIRE", key, 5_000)
    assert batches(RedisGuard(redis_server.url), [CLAIM, OTHER_CLAIM]) == [[FRESH, REUSED]]
    assert redis_server.ask("PTTL", key) <= 5_000
    redis_server.ask("DEL", key)
    assert batches(RedisGuard(redis_server.url), [OTHER_CLAIM]) == [[FRESH]]


def test_flushed_scripts_are_loaded_again_at_once(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("SCRIPT", "FLUSH")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            before = redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"]
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]
            assert redis_server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"] == before

    asyncio.run(run())


def test_a_connection_cut_while_idle_is_no_outage(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert list(await guard.claim([OTHER_CLAIM])) == [REUSED]

    asyncio.run(run())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_may_evict_is_refused_until_it_may_not(redis_server: RedisServer, policy: str) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url)) as guard:
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
        async with closing(RedisGuard(redis_server.url)) as guard:
            await guard.claim([CLAIM])
            redis_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(NonceStoreAway, match="allkeys-lru"):
                await guard.claim([CLAIM])

    asyncio.run(run())


def test_a_full_redis_is_away_and_forgets_nothing(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with closing(RedisGuard(redis_server.url)) as guard:
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
        batches(RedisGuard(url), [CLAIM])
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "redis://127.0.0.1/0?colour=green"])
def test_a_url_that_is_not_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        RedisGuard(url)


# --- the fallback -------------------------------------------------------------------------------------


class FakePrimary:
    """A primary that is away while `fault` is set; `asked` is set whenever it is tried."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.asked = asyncio.Event()
        self.batches: list[list[Claim]] = []
        self.closed = False

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        self.asked.set()
        self.batches.append(list(claims))
        if self.fault is not None:
            raise self.fault
        return [FRESH] * len(claims)

    def health(self) -> str | None:
        return None

    async def close(self) -> None:
        self.closed = True


def log_levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.name == "solidgreen.nonces"]


async def until(condition: Callable[[], bool]) -> float:
    """Wait until `condition` holds; the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(BACK_WITHIN_S):
        while not condition():
            await asyncio.sleep(0.005)  # another process, or a task, brings the condition about
    return time.monotonic() - started


@pytest.mark.parametrize("fault", [NonceStoreAway("Redis", "gone", "start it"), ZeroDivisionError("a bug")])
def test_an_outage_is_one_warning_and_one_line_of_info(
    caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()

    async def run() -> None:
        primary, spare = FakePrimary(), MemoryGuard(clock=clock)
        guard = FallbackGuard(primary, spare, clock, retry_s=0)
        assert list(await guard.claim([CLAIM])) == [FRESH]
        assert guard.health() is None

        primary.fault = fault
        claims = [CLAIM, OTHER_CLAIM]
        assert list(await guard.claim(claims)) == [FRESH, REUSED]
        asked = len(primary.batches)
        assert list(await guard.claim(claims)) == [FRESH, REUSED]
        assert len(primary.batches) == asked, "a batch must not wait for a primary that is known to be away"
        clock.now_s += 12
        assert "in memory for 12 s" in str(guard.health())
        assert str(fault) in str(guard.health())

        for _ in range(3):  # the guard tries by itself, with a claim that makes the primary write
            primary.asked.clear()
            await primary.asked.wait()
        assert primary.batches[-1] == [CLAIM]
        primary.fault = None
        await until(lambda: guard.health() is None)
        assert list(await guard.claim(claims)) == [FRESH, FRESH]
        await guard.close()
        assert primary.closed

    asyncio.run(run())
    warnings = log_levels(caplog)
    assert warnings.count(logging.WARNING) == 1
    assert warnings.count(logging.INFO) == 1


def test_closing_ends_the_attempts(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        primary = FakePrimary()
        primary.fault = NonceStoreAway("Redis", "gone", "start it")
        guard = FallbackGuard(primary, MemoryGuard(), time.monotonic)
        await guard.claim([CLAIM])
        await guard.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


Outage = tuple[Callable[[RedisServer], None], Callable[[RedisServer], None]]
OUTAGES: dict[str, Outage] = {
    "killed": (RedisServer.kill, RedisServer.start),
    "stopped": (RedisServer.stop, RedisServer.start),
    "frozen": (RedisServer.freeze, RedisServer.thaw),
}


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
        guard = FallbackGuard(RedisGuard(mortal_redis.url), MemoryGuard(), time.monotonic, retry_s=0.05)
        async with closing(guard):
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
            end(mortal_redis)
            await until(lambda: guard.health() is None)
            later = [Claim(2, f"nonce-{i}", BET) for i in range(batch_size)]
            assert list(await guard.claim(later)) == [FRESH] * batch_size
            assert mortal_redis.ask("GET", "sg:nonce:2:nonce-0") == BET, "Redis answers again"

    asyncio.run(run())
    assert log_levels(caplog) == [logging.WARNING, logging.INFO]


def test_redis_killed_in_the_middle_of_a_batch(mortal_redis: RedisServer) -> None:
    async def run() -> None:
        guard = FallbackGuard(RedisGuard(mortal_redis.url), MemoryGuard(), time.monotonic)
        async with closing(guard):
            await guard.claim([CLAIM])
            mortal_redis.freeze()  # so that the batch is sent and surely not answered
            batch = asyncio.ensure_future(guard.claim([OTHER_CLAIM]))
            await asyncio.sleep(0.02)  # under way: the send takes less than a millisecond
            assert not batch.done()
            mortal_redis.kill()
            started = time.monotonic()
            assert list(await batch) == [FRESH]
            assert time.monotonic() - started < ANSWERED_WITHIN_S

    asyncio.run(run())


def test_redis_away_at_the_start(mortal_redis: RedisServer) -> None:
    mortal_redis.kill()

    async def run() -> None:
        guard = FallbackGuard(RedisGuard(mortal_redis.url), MemoryGuard(), time.monotonic, retry_s=0.02)
        async with closing(guard):
            assert list(await guard.claim([])) == []
            assert "is it running" in str(guard.health())
            mortal_redis.start()
            await until(lambda: guard.health() is None)

    asyncio.run(run())
