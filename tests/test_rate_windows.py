"""Sliding windows in memory: what is let in, when one may come back, and how much is remembered."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest
from limits import RateLimitItem, parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from ws.rates.windows import KEYS_MAX, Windows, wait_ms

Answer = TypeVar("Answer")


def at_once(asked: Coroutine[Any, Any, Answer]) -> Answer:
    """What it returns, without an event loop: in memory there is nothing to wait for."""
    try:
        asked.send(None)
    except StopIteration as end:
        return cast(Answer, end.value)
    raise AssertionError("it waits")


class Clock:
    """Microseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_us = 1_000_000

    def __call__(self) -> int:
        return self.now_us


class Counter:
    """One rate, counted by the library in our storage."""

    def __init__(self, item: RateLimitItem, keys_max: int = KEYS_MAX) -> None:
        self.clock = Clock()
        self.item = item
        self.windows = Windows(self.clock, keys_max)
        self.strategy = SlidingWindowCounterRateLimiter(self.windows)

    def hit(self, key: str = "a") -> bool:
        return at_once(self.strategy.hit(self.item, key))

    def wait_ms(self, key: str = "a") -> int:
        span_s = self.item.get_expiry()
        seen = at_once(self.windows.get_sliding_window(self.item.key_for(key), span_s))
        return wait_ms(self.item.amount, span_s, *seen)


@pytest.mark.parametrize("text", ["1/second", "3/second", "10/minute", "7 per 10 seconds"])
@pytest.mark.parametrize("seed", range(10))
def test_whoever_waits_as_long_as_he_is_told_is_let_in_and_not_before(text: str, seed: int) -> None:
    chance = random.Random(f"{text} {seed}")
    counter = Counter(parse(text))
    span_us = counter.item.get_expiry() * 1_000_000
    refused = 0
    for _ in range(200):
        counter.clock.now_us += chance.randrange(2 * span_us // counter.item.amount)
        if counter.hit():
            continue
        refused += 1
        told_ms = counter.wait_ms()
        counter.clock.now_us += told_ms * 1000 - 1_001  # told in whole milliseconds, rounded up
        assert not counter.hit()
        counter.clock.now_us += 1_001
        assert counter.hit()
    assert refused > 10


def test_a_whole_allowance_at_once_comes_back_bit_by_bit() -> None:
    counter = Counter(parse("10/minute"))
    assert [counter.hit() for _ in range(11)] == [True] * 10 + [False]
    assert counter.wait_ms() == 60_001  # the window ends, and then they begin to slide out
    counter.clock.now_us += 60_001_000
    assert [counter.hit(), counter.hit()] == [True, False]
    assert 5_900 < counter.wait_ms() <= 6_000
    counter.clock.now_us += 180_000_000
    assert [counter.hit() for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize("seed", range(5))
def test_no_window_wherever_it_begins_has_twice_as_many_as_are_allowed(seed: int) -> None:
    """What an approximation costs: not more than it is known for, however they come."""
    chance = random.Random(seed)
    counter = Counter(parse("20/minute"))
    let_in: list[int] = []
    for _ in range(3_000):
        counter.clock.now_us += chance.choice([0, 1_000, 100_000, 5_000_000, 70_000_000])
        if counter.hit():
            let_in.append(counter.clock.now_us)
    for index, begin_us in enumerate(let_in):
        assert sum(1 for each in let_in[index : index + 60] if each < begin_us + 60_000_000) < 40


def test_keys_do_not_know_of_each_other() -> None:
    counter = Counter(parse("2/second"))
    assert [counter.hit(key) for key in "aabbaab"] == [True, True, True, True, False, False, False]


def test_more_at_once_than_may_ever_be_is_refused_and_not_remembered() -> None:
    counter = Counter(parse("2/second"))
    assert not asyncio.run(counter.strategy.hit(counter.item, "a", cost=3))
    assert len(counter.windows) == 0
    assert asyncio.run(counter.strategy.hit(counter.item, "a", cost=2))
    assert not counter.hit()


def test_there_is_a_bound_and_the_one_longest_quiet_is_forgotten_first() -> None:
    counter = Counter(parse("1/minute"), keys_max=3)
    assert [counter.hit(key) for key in ("a", "b", "c", "d")] == [True] * 4
    assert len(counter.windows) == 3
    assert [counter.hit(key) for key in ("b", "c", "d")] == [False] * 3
    assert counter.hit("a"), "it was forgotten"


def test_a_key_that_goes_on_is_not_the_longest_quiet() -> None:
    counter = Counter(parse("1/minute"), keys_max=3)
    assert [counter.hit(key) for key in ("a", "b", "c")] == [True] * 3
    counter.clock.now_us += 61_000_000
    assert counter.hit("a"), "its next window has begun"
    assert counter.hit("d")
    assert not counter.hit("a")
    assert counter.hit("b"), "it was forgotten"


def test_what_a_flood_has_left_goes_away_with_those_who_come_later() -> None:
    counter = Counter(parse("1/second"))
    for number in range(1_000):
        assert counter.hit(f"flood {number}")
    counter.clock.now_us += 2_000_000
    for number in range(1_000):
        assert counter.hit(f"later {number}")
    assert len(counter.windows) == 1_000


def test_forgetting() -> None:
    counter = Counter(parse("1/minute"))
    assert counter.hit("a")
    assert counter.hit("b")
    asyncio.run(counter.strategy.clear(counter.item, "a"))
    assert [counter.hit("a"), counter.hit("b")] == [True, False]
    assert asyncio.run(counter.windows.reset()) == 2
    assert counter.hit("b")


@pytest.mark.long
def test_more_addresses_than_are_counted_take_no_more_memory_than_is_set_aside() -> None:
    counter = Counter(parse("10/minute"))

    async def flood() -> None:
        for number in range(KEYS_MAX + KEYS_MAX // 2):
            assert await counter.strategy.hit(counter.item, "address", f"{number:016x}/64")

    tracemalloc.start()
    asyncio.run(flood())
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(counter.windows) == KEYS_MAX
    assert taken < 45_000_000
