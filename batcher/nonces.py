"""Nonce guards: a fast filter in front of the ledger that turns a reused nonce away.

A nonce belongs to one user and, for 90 s, to one `bet_id` (DESIGN, "Nonces and idempotency are two things").
Money never depends on it: a `bet_id` cannot move money twice whatever a guard says, because SQLite forbids
it. A guard may therefore be lost, restarted or replaced at any time, and the batcher never hears an
exception from it.

    NonceGuard                 the contract
      MemoryGuard              memory_nonces.py: bounded, for one process
      RedisGuard               redis_nonces.py: survives a restart; raises NonceStoreAway
      FallbackGuard            the first of two guards that answers; raises nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from engine.errors import SolidGreenError

log = logging.getLogger("solidgreen.nonces")

LIFE_S = 90.0
"""How long a nonce is kept: longer than `sent_at` lets a request live, which is 80 s (DESIGN)."""

RETRY_S = 1.0
"""Pause between two attempts to reach a store that is away."""


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
        is a valid batch: it asks whether the guard is there.

        Raises `NonceStoreAway`, and nothing else, when the guard cannot answer in time.
        """
        ...

    def health(self) -> str | None:
        """None when all is well, else one sentence for `/health/ready`."""
        ...

    async def close(self) -> None:
        """Let go of sockets and tasks. The guard is not used afterwards."""
        ...


class FallbackGuard:
    """Asks the primary guard, and a spare one while the primary is away. Raises nothing.

    The batch that finds the primary away waits for its time-out once and is answered by the spare; so are all
    the batches after it, at once, while a task of this guard's own tries the primary every `retry_s` seconds.
    No second batch pays for an outage, and an idle server recovers as well. One outage is one warning and one
    line of info.

    The two guards do not tell each other what they have seen: a nonce used on one side of an outage is
    unknown on the other. That is the price of a filter which must never stop the bets.
    """

    def __init__(
        self, primary: NonceGuard, spare: NonceGuard, clock: Callable[[], float], retry_s: float = RETRY_S
    ) -> None:
        """`clock` is in monotonic seconds and is used only to tell how long an outage has lasted."""
        self._primary = primary
        self._spare = spare
        self._clock = clock
        self._retry_s = retry_s
        self._reason: str | None = None  # why the primary is not asked; None: it is
        self._away_since_s = 0.0
        self._probe: asyncio.Task[None] | None = None

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """The primary's verdicts, or the spare's while the primary is away."""
        if self._reason is None:
            try:
                return await self._primary.claim(claims)
            except NonceStoreAway as fault:
                self._lose_primary(str(fault), claims)
            except Exception as fault:  # a bug in a guard must not stop the writer either, and must not hide
                log.exception("a nonce guard broke its contract")
                self._lose_primary(repr(fault), claims)
        return await self._spare.claim(claims)

    def health(self) -> str | None:
        """The primary's health, or since when it is away and why."""
        if self._reason is None:
            return self._primary.health()
        away_s = self._clock() - self._away_since_s
        sentence = f"nonces have been checked in memory for {away_s:.0f} s: {self._reason}"
        spare = self._spare.health()
        return sentence if spare is None else f"{sentence}; {spare}"

    async def close(self) -> None:
        """Stop trying, and close both guards."""
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe
        await self._primary.close()
        await self._spare.close()

    def _lose_primary(self, reason: str, claims: Sequence[Claim]) -> None:
        if self._reason is not None:  # two batches can be under way when the store goes
            return
        self._reason = reason
        self._away_since_s = self._clock()
        log.warning("nonces are checked in memory from now on: %s", reason)
        self._probe = asyncio.create_task(self._probe_until_back(claims[:1]), name="nonce store probe")

    async def _probe_until_back(self, claims: Sequence[Claim]) -> None:
        # One claim of the batch that failed, not an empty one: a store that is full or read-only answers
        # when it need not write. Claiming it twice does no harm, since the bet_id is the same.
        while True:
            await asyncio.sleep(self._retry_s)
            try:
                await self._primary.claim(claims)
            except Exception as fault:  # whatever it is, the primary is not back; health() says which
                self._reason = str(fault) or repr(fault)
            else:
                break
        self._reason = None
        log.info("the nonce store is back after %.1f s", self._clock() - self._away_since_s)
