"""One contract for every nonce guard: the one in memory, the one in Redis, and both together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from batcher.memory_nonces import MemoryGuard
from batcher.nonces import NONCE_LIMITS, NonceGuard, Verdict
from tests.claims import (
    BET,
    CLAIM,
    FRESH,
    NONCE,
    OTHER_BET,
    OTHER_CLAIM,
    PATIENT_S,
    REUSED,
    Claim,
    batches,
    beside_memory,
    closing,
    patient,
)
from tests.redis_server import RedisServer


@pytest.fixture(params=["memory", "redis", "fallback"])
def make_guard(request: pytest.FixtureRequest) -> Callable[[], NonceGuard]:
    """Makes an empty guard, to be used in one event loop. Redis runs only for those who need it."""
    if request.param == "memory":
        return MemoryGuard
    server: RedisServer = request.getfixturevalue("redis_server")
    if request.param == "redis":
        return lambda: patient(server.url)
    limits = replace(NONCE_LIMITS, commit_upper_us=round(PATIENT_S * 1e6))
    return lambda: beside_memory(patient(server.url), limits)


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
