"""Nonces in memory: how long it remembers, what it sheds when it is full, and how much room it takes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.memory_nonces import MemoryGuard
from batcher.nonces import Verdict
from tests.claims import BET, CLAIM, FRESH, OTHER_BET, OTHER_CLAIM, REUSED, SHED, Claim, Clock


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
