"""Nonce guards: a fast filter in front of the ledger that turns a reused nonce away.

A nonce belongs to one user and, for 90 s, to one `bet_id` (DESIGN, "Nonces and idempotency are two things").
Money never depends on it: a `bet_id` cannot move money twice whatever a guard says, because SQLite forbids
it. A guard may therefore be lost, restarted or replaced at any time, and the batcher never hears an
exception from it.

    NonceGuard                 the contract
      MemoryGuard              memory_nonces.py: bounded, for one process
      RedisGuard               redis_nonces.py: survives a restart; raises NonceStoreAway
      FallbackGuard            the second of two guards while the first is not well; raises nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from batcher.breaker import Breaker, BreakerLimits, Reason, State, Status
from batcher.lateness import Lateness
from engine.errors import SolidGreenError

log = logging.getLogger("solidgreen.nonces")

LIFE_S = 90.0
"""How long a nonce is kept: longer than `sent_at` lets a request live, which is 80 s (DESIGN)."""

NONCE_LIMITS = BreakerLimits(
    commit_faults=1,  # each one makes a batch wait for a time-out
    commit_upper_us=100_000,
    commit_lower_us=50_000,
    probes_max=1,
)
"""Of the breaker in front of a nonce store; a commit is a claim, and nothing queues.

A claim of 1,000 nonces takes 2 ms, one of 5,000 takes 11 ms (redis_nonces.py). A bet waits for the claim that
is under way when it comes, and then for its own. 100 ms for the former (or the breaker opens, and the spare
decides the latter) and 150 ms for the latter (`redis_nonces.BUDGET_S`): no bet waits longer than 250 ms.
What the event loop itself is late (lateness.py) is not counted: it is not the store's.
"""


class Claim(Protocol):
    """One request's wish to use a nonce: a `PlaceBet`, or whatever else says these three things."""

    @property
    def user_id(self) -> int: ...

    @property
    def nonce(self) -> str: ...

    @property
    def bet_id(self) -> str: ...


class Verdict(Enum):
    """What a guard says to a claim."""

    FRESH = "FRESH"
    """Never seen, or seen with the same `bet_id`: a retry keeps its nonce."""

    REUSED = "REUSED"
    """Held by another `bet_id` of the same user."""

    SHED = "SHED"
    """Never seen, and there is no room to remember it: the bet has to come back later."""


class NonceStoreAway(SolidGreenError):
    """A guard's store cannot answer now. Some of the claims may have been recorded nevertheless.

    `str()` is one sentence: the operation, what went wrong, and a hint what to do about it.
    """

    def __init__(self, operation: str, cause: str, hint: str) -> None:
        super().__init__(f"{operation}: {cause}; {hint}")


class NonceGuard(Protocol):
    """Remembers which `bet_id` a user's nonce belongs to."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """One verdict for each claim, in order, as if they had been made one after the other.

        Claiming again with the same `bet_id` is FRESH again and does not prolong the nonce's life. No claims
        are answered at once, by nobody: a batch of settlements has no reason to wait for a store.

        Raises `NonceStoreAway`, and nothing else, when the guard cannot answer in time.
        """
        ...

    async def reach(self) -> None:
        """Find out whether the guard's store is there, without a claim. Raises `NonceStoreAway` if not."""
        ...

    def health(self) -> str | None:
        """None when all is well, else one sentence for `/health/ready`."""
        ...

    def status(self) -> Status | None:
        """The breaker in front of the guard's store, now; None if there is none."""
        ...

    async def close(self) -> None:
        """Let go of sockets and tasks. The guard is not used afterwards."""
        ...


class FallbackGuard:
    """Asks the primary guard while the breaker in front of it is closed, else the spare one. Raises nothing.

    The batch that finds the primary away, or slow, pays for it; none after it does, until the primary has
    been well for `limits.stable_us` without a break. A task of this guard's own tries it beside the batches,
    never in their way, once every `limits.cool_off_us`: with what the newest batch has claimed, so that the
    primary has to write, and learns some of what it missed. So an idle server recovers as well. One outage
    is one warning and one line of info, however often the primary comes and goes meanwhile.

    What the primary has seen before an outage, the spare does not know: telling it would cost every batch of
    every good day. The other way it costs only after an outage: for the life of a nonce, both are asked.
    """

    def __init__(
        self,
        primary: NonceGuard,
        spare: NonceGuard,
        clock: Callable[[], float],
        limits: BreakerLimits = NONCE_LIMITS,
    ) -> None:
        """`clock` is in monotonic seconds. Of `limits`, a commit is a claim, and a single fault opens."""
        assert limits.commit_faults == 1
        self._primary = primary
        self._spare = spare
        self._clock = clock
        self._breaker = Breaker(limits)
        self._reason: str | None = None  # why the primary is not asked; None: it is
        self._away_since_us = 0
        self._both_until_us = 0  # until then the spare knows nonces that the primary may not
        self._newest: tuple[Sequence[Claim], Sequence[Verdict]] = ((), ())  # of the spare
        self._probing: asyncio.Task[None] | None = None

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """The primary's verdicts; the spare's while it is away; both's for the life of a nonce after that."""
        if not claims:
            return []
        if self._reason is not None:
            return await self._ask_spare(claims)
        if self._now_us() >= self._both_until_us:
            return await self._ask_primary(claims)
        # The spare first, for what it refuses must not become the primary's truth.
        known = await self._spare.claim(claims)
        to_ask = _let_through(claims, known)
        said = iter(await self._ask_primary(to_ask) if to_ask else ())
        return [verdict if verdict is Verdict.REUSED else next(said) for verdict in known]

    async def reach(self) -> None:
        """Look whether the primary is there, unless it is away for all that is known; `health` tells."""
        if self._reason is None:
            await self._ask_primary(())

    def health(self) -> str | None:
        """The primary's health, or since when it is away and why."""
        if self._reason is None:
            return self._primary.health()
        now_us = self._now_us()
        away_s = (now_us - self._away_since_us) / 1e6
        said = [f"nonces have been checked in memory for {away_s:.0f} s: {self._reason}"]
        if (spare := self._spare.health()) is not None:
            said.append(spare)
        return "; ".join(said)

    def status(self) -> Status:
        """The breaker in front of the primary: while it is not CLOSED, the spare decides."""
        status = self._breaker.status(self._now_us())
        return status if status.reason is None else status._replace(reason=_OF_CLAIMS[status.reason])

    async def close(self) -> None:
        """Stop trying, and close both guards."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        await self._primary.close()
        await self._spare.close()

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)

    async def _ask_primary(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        try:
            verdicts, took_us = await self._claim_of_primary(claims)
        except NonceStoreAway as fault:
            self._lose_primary(str(fault))
        except Exception as fault:  # a bug in a guard must not stop the writer either, and must not hide
            log.exception("a nonce guard broke its contract")
            self._lose_primary(repr(fault))
        else:
            now_us = self._now_us()
            self._breaker.commit_succeeded(now_us, took_us)
            if self._breaker.status(now_us).state is not State.CLOSED:  # too slow, or lost by another batch
                self._lose_primary(_slow(took_us))
                await self._ask_spare(_let_through(claims, verdicts))  # to have it know
            return verdicts
        return await self._ask_spare(claims)

    async def _claim_of_primary(self, claims: Sequence[Claim]) -> tuple[Sequence[Verdict], int]:
        """Its verdicts, and how many microseconds they took it, as far as this process can tell; without
        claims it is only reached."""
        verdicts: Sequence[Verdict] = ()
        began_us = self._now_us()
        with Lateness() as loop:
            if claims:
                verdicts = await self._primary.claim(claims)
            else:
                await self._primary.reach()
        return verdicts, max(self._now_us() - began_us - round(loop.late_s * 1e6), 0)

    async def _ask_spare(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        verdicts = await self._spare.claim(claims)
        if claims and self._reason is not None:
            self._newest = claims, verdicts
        return verdicts

    def _lose_primary(self, reason: str) -> None:
        now_us = self._now_us()
        if self._breaker.status(now_us).state is State.CLOSED:
            self._breaker.commit_failed(now_us)
        if self._reason is not None:  # two batches can be under way when the store goes
            return
        self._reason = reason
        self._away_since_us = now_us
        log.warning("nonces are checked in memory from now on: %s", reason)
        self._probing = asyncio.create_task(self._probe_until_back(), name="nonce store probe")

    async def _probe_until_back(self) -> None:
        while self._reason is not None:
            await asyncio.sleep(self._breaker.retry_after_us(self._now_us()) / 1e6)
            if self._breaker.admit(self._now_us()):
                try:
                    await self._probe()
                finally:
                    self._breaker.probe_done()

    async def _probe(self) -> None:
        # Claims, and not an empty batch: a store that is full or read-only answers when it need not write.
        # Those only that the spare has let through: what it refused must not become the primary's truth.
        try:
            _, took_us = await self._claim_of_primary(_let_through(*self._newest))
        except Exception as fault:  # whatever it is, the primary is not back; health() says which
            self._reason = str(fault) or repr(fault)
            self._breaker.commit_failed(self._now_us())
            return
        now_us = self._now_us()
        self._breaker.commit_succeeded(now_us, took_us)
        match self._breaker.status(now_us).state:
            case State.OPEN:
                self._reason = _slow(took_us)
            case State.CLOSED:
                self._reason = None
                self._newest = (), ()
                self._both_until_us = now_us + round(LIFE_S * 1e6)
                log.info("the nonce store is back after %.1f s", (now_us - self._away_since_us) / 1e6)


_OF_CLAIMS = {Reason.COMMIT_FAULTS: Reason.CLAIM_FAULTS, Reason.COMMIT_SLOW: Reason.CLAIM_SLOW}


def _slow(took_us: int) -> str:
    return f"a claim took {took_us / 1000:.0f} ms; is the store overloaded, or far away?"


def _let_through(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> list[Claim]:
    return [claim for claim, verdict in zip(claims, verdicts, strict=True) if verdict is not Verdict.REUSED]
