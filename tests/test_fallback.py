"""What happens when the nonce store goes, flutters and comes back: with stores made of paper."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from batcher.breaker import Reason, State, Status
from batcher.nonces import LIFE_S, NONCE_LIMITS, FallbackGuard, NonceStoreAway, Verdict
from tests.claims import (
    BET,
    CLAIM,
    FRESH,
    NONCE,
    OTHER_CLAIM,
    REUSED,
    SHED,
    Claim,
    Clock,
    closing,
    log_levels,
    until,
)

AWAY = NonceStoreAway("Redis", "gone", "start it")
QUICK = replace(NONCE_LIMITS, cool_off_us=1000)
"""A probe each millisecond of the test's clock; the window of health is the real one, 30 s."""
STABLE_S = NONCE_LIMITS.stable_us / 1e6


class FakeStore:
    """A guard that remembers, is away while `fault` is set, and takes `takes_s` of the clock a claim."""

    def __init__(self, clock: Clock) -> None:
        self.fault: Exception | None = None
        self.takes_s = 0.0
        self.verdict: Verdict | None = None
        self.batches: list[list[Claim]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.closed = False
        self._clock = clock
        self._bets: dict[tuple[int, str], str] = {}

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        self.batches.append(list(claims))
        await self.may_answer.wait()
        self._clock.now_s += self.takes_s
        if self.fault is not None:
            raise self.fault
        return [self.verdict or self._verdict(claim) for claim in claims]

    async def reach(self) -> None:
        await self.claim(())

    def _verdict(self, claim: Claim) -> Verdict:
        return FRESH if self._bets.setdefault(claim[:2], claim.bet_id) == claim.bet_id else REUSED

    def health(self) -> str | None:
        return None

    def status(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = True


class Pair:
    """A fallback guard over two stores made of paper, under a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.primary, self.spare = FakeStore(self.clock), FakeStore(self.clock)
        self.guard = FallbackGuard(self.primary, self.spare, self.clock, QUICK)

    async def claim(self, *claims: Claim) -> list[Verdict]:
        return list(await self.guard.claim(claims))

    async def lose(self, *claims: Claim) -> None:
        """One batch that finds the primary away; without claims, the start of the server does."""
        self.primary.fault = AWAY
        await (self.claim(*claims) if claims else self.guard.reach())
        self.primary.fault = None

    async def probed(self, after_s: float = 0.002) -> None:
        """Move the clock and wait until the guard has tried the primary once more, and heard of it."""
        before = len(self.primary.batches)
        self.clock.now_s += after_s
        await until(lambda: len(self.primary.batches) > before and not self.guard._breaker._probes)

    async def regain(self) -> None:
        await self.probed()
        await self.probed(STABLE_S)
        assert self.guard.health() is None

    @property
    def state(self) -> State:
        return self.guard.status().state


@pytest.fixture(autouse=True)
def _only_the_tests_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store made of paper is as slow as its clock says, whatever this machine is at that moment."""
    monkeypatch.setattr("batcher.lateness.JITTER_S", 3600.0)


def with_a_pair(story: Callable[[Pair], Awaitable[None]]) -> None:
    async def run() -> None:
        pair = Pair()
        async with closing(pair.guard):
            await story(pair)
        assert pair.primary.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


# --- the breaker ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [AWAY, ZeroDivisionError("a bug")])
def test_an_outage_is_one_warning_and_one_line_of_info(
    caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    caplog.set_level(logging.INFO)

    async def story(pair: Pair) -> None:
        assert await pair.claim(CLAIM) == [FRESH]
        assert pair.guard.health() is None
        assert pair.guard.status() == Status(State.CLOSED, None, 0)

        pair.primary.fault = fault
        assert await pair.claim(CLAIM, OTHER_CLAIM) == [FRESH, REUSED]
        assert len(pair.primary.batches) == 2
        assert await pair.claim(CLAIM, OTHER_CLAIM) == [FRESH, REUSED]
        assert len(pair.primary.batches) == 2, "a batch must not wait for a primary that is known to be away"
        assert pair.guard.status() == Status(State.OPEN, Reason.CLAIM_FAULTS, NONCE_LIMITS.stable_us)
        pair.clock.now_s += 12
        assert "in memory for 12 s" in str(pair.guard.health())
        assert str(fault) in str(pair.guard.health())
        for _ in range(3):
            await pair.probed()
        pair.primary.fault = None
        await pair.regain()

    with_a_pair(story)
    levels = log_levels(caplog)
    assert levels.count(logging.WARNING) == levels.count(logging.INFO) == 1
    assert levels.count(logging.ERROR) == isinstance(fault, ZeroDivisionError)


def test_a_store_that_flutters_is_asked_by_probes_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(pair: Pair) -> None:
        await pair.lose(CLAIM)
        for _ in range(3):  # well for 29.9 s, then away for a moment
            await pair.probed()
            assert pair.state is State.HALF_OPEN
            await pair.probed(29.9)
            asked = len(pair.primary.batches)
            assert await pair.claim(CLAIM, OTHER_CLAIM) == [FRESH, REUSED]
            assert len(pair.primary.batches) == asked
            pair.primary.fault = AWAY
            await pair.probed()
            assert pair.state is State.OPEN
            pair.primary.fault = None
        assert "gone" in str(pair.guard.health())
        await pair.regain()

    with_a_pair(story)
    assert log_levels(caplog) == [logging.WARNING, logging.INFO]


@pytest.mark.parametrize(("takes_s", "trips"), [(0.0995, False), (0.1015, True)])
def test_a_slow_claim_opens_it_and_its_verdicts_count(takes_s: float, trips: bool) -> None:
    async def story(pair: Pair) -> None:
        assert await pair.claim(CLAIM) == [FRESH]
        pair.primary.takes_s = takes_s
        assert await pair.claim(OTHER_CLAIM, CLAIM) == [REUSED, FRESH]
        assert (pair.state is State.OPEN) is trips
        pair.primary.takes_s = 0.0
        asked = len(pair.primary.batches)
        # What the slow batch has claimed, the spare knows as well.
        assert await pair.claim(OTHER_CLAIM, CLAIM._replace(nonce="other")) == [REUSED, FRESH]
        assert (len(pair.primary.batches) == asked) is trips
        if trips:
            assert pair.guard.status().reason is Reason.CLAIM_SLOW
            assert "took 102 ms" in str(pair.guard.health())

    with_a_pair(story)


def test_a_slow_probe_voids_the_health_that_was_seen() -> None:
    async def story(pair: Pair) -> None:
        await pair.lose(CLAIM)
        await pair.probed()
        await pair.probed(20)
        pair.primary.takes_s = 0.06  # above the lower threshold, below the upper one
        await pair.probed()
        assert pair.guard.status()[::2] == (State.HALF_OPEN, NONCE_LIMITS.stable_us)
        pair.primary.takes_s = 0.12
        await pair.probed()
        assert pair.guard.status()[:2] == (State.OPEN, Reason.CLAIM_SLOW)
        assert "took 120 ms" in str(pair.guard.health())
        pair.primary.takes_s = 0.0
        await pair.regain()

    with_a_pair(story)


def test_a_probe_that_hangs_is_the_only_one_and_in_nobodys_way() -> None:
    async def story(pair: Pair) -> None:
        await pair.lose(CLAIM)
        pair.primary.may_answer.clear()
        pair.clock.now_s += 0.002
        await until(lambda: len(pair.primary.batches) == 2)
        for _ in range(5):
            pair.clock.now_s += 10
            assert await asyncio.wait_for(pair.claim(CLAIM, OTHER_CLAIM), 1) == [FRESH, REUSED]
        assert len(pair.primary.batches) == 2
        # And closing the guard ends it: see with_a_pair.

    with_a_pair(story)


def test_a_late_answer_from_before_the_trip_is_no_health() -> None:
    async def story(pair: Pair) -> None:
        pair.primary.may_answer.clear()
        first, second = (asyncio.ensure_future(pair.claim(one)) for one in (CLAIM, OTHER_CLAIM))
        await until(lambda: len(pair.primary.batches) == 2)
        pair.guard._lose_primary("the test says so")
        pair.primary.may_answer.set()
        assert await first + await second == [FRESH, REUSED]
        assert pair.guard.status() == Status(State.OPEN, Reason.CLAIM_FAULTS, NONCE_LIMITS.stable_us)

    with_a_pair(story)


# --- nonces across the switch -----------------------------------------------------------------------------


def test_on_a_good_day_the_spare_is_never_asked() -> None:
    async def story(pair: Pair) -> None:
        for number in range(3):
            await pair.claim(Claim(1, f"nonce-{number}", BET))
        assert pair.spare.batches == []

    with_a_pair(story)


def test_a_nonce_of_an_outage_stays_used_after_it() -> None:
    async def story(pair: Pair) -> None:
        await pair.lose(CLAIM)
        await pair.claim(Claim(7, "the newest", BET))  # the probes take this one along, and not CLAIM
        await pair.regain()
        assert await pair.claim(OTHER_CLAIM, CLAIM, Claim(7, "new", BET)) == [REUSED, FRESH, FRESH]
        pair.spare.verdict = SHED
        assert await pair.claim(Claim(7, "newer", BET)) == [FRESH], "a spare that is full says nothing"
        pair.clock.now_s += LIFE_S
        asked = len(pair.spare.batches)
        assert await pair.claim(Claim(7, "newest", BET)) == [FRESH]
        assert len(pair.spare.batches) == asked, "no nonce of the outage lives any more"

    with_a_pair(story)


def test_no_claims_ask_nobody_whatever_the_state() -> None:
    async def story(pair: Pair) -> None:
        async def nobody_is_asked() -> None:
            before = [len(store.batches) for store in (pair.primary, pair.spare)]
            assert await pair.claim() == []
            assert [len(store.batches) for store in (pair.primary, pair.spare)] == before

        await nobody_is_asked()
        pair.primary.fault = AWAY
        await nobody_is_asked()
        assert pair.guard.health() is None, "nobody was asked, so nobody was missed"
        await pair.lose(CLAIM)
        await nobody_is_asked()
        await pair.regain()
        await nobody_is_asked()
        asked = len(pair.primary.batches)
        assert await pair.claim(OTHER_CLAIM) == [REUSED]
        assert len(pair.primary.batches) == asked, "what the spare has refused leaves nothing to ask"

    with_a_pair(story)


def test_to_reach_a_store_that_is_away_or_slow_opens_the_breaker() -> None:
    async def story(pair: Pair) -> None:
        await pair.guard.reach()
        assert pair.primary.batches == [[]]
        pair.primary.takes_s = 0.101
        await pair.guard.reach()
        assert pair.state is State.OPEN
        asked = len(pair.primary.batches)
        await pair.guard.reach()
        assert len(pair.primary.batches) == asked, "probes look after it"

    with_a_pair(story)


def test_a_probe_makes_the_store_write_what_the_newest_batch_was_allowed() -> None:
    async def story(pair: Pair) -> None:
        await pair.lose()
        await pair.probed()
        assert pair.primary.batches[-1] == []
        await pair.claim(CLAIM, OTHER_CLAIM, Claim(8, NONCE, BET))
        await pair.claim()  # a batch of settlements
        await pair.probed()
        assert pair.primary.batches[-1] == [CLAIM, Claim(8, NONCE, BET)]

    with_a_pair(story)
