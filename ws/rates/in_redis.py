"""Counts in Redis, shared by whoever uses the same one and kept over a restart; in memory while Redis is not
well.

A request never waits for Redis for longer than `BUDGET_S`, and after one that has, none waits: a task beside
the requests looks for Redis until it has been well for a while (docs/adr/0024). What was counted in one place
is not known in the other: an outage begins with fresh windows, and so does its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from limits import parse
from limits.aio.storage import RedisStorage
from limits.errors import ConfigurationError

from batcher.lateness import Lateness
from ws.rates.rates import Check, Counted, Counts, Refusal

log = logging.getLogger("solidgreen.rates")

BUDGET_S: Final = 0.05
"""How long one request waits for Redis, for all of its counts: some seventy times what three take on
loopback."""

UNDER_WAY_MAX: Final = 8
"""Requests that may wait for Redis at a time, each on a connection of its own; one more is counted in memory.
Two thousand that come at once would otherwise wait for each other, and it would be Redis that seems slow."""

PROBE_EVERY_S: Final = 1.0
WELL_PROBES: Final = 5
"""Probes in a row that have to succeed in time: one that flutters must not cost a request its budget each
second."""

REDIS_PORT: Final = 6379

PREFIX: Final = "sg:rate"

PROBE: Final = [Check("probe", parse("1000000/second"), "probe")]


def redis_storage(url: str) -> RedisStorage:
    """The library's storage in the Redis at `url`, which is not reached yet.

    Raises `ValueError` for a URL that makes no sense.
    """
    try:
        return RedisStorage(
            _as_the_library_has_it(url),
            implementation="redispy",
            key_prefix=PREFIX,
            protocol=2,
            max_connections=UNDER_WAY_MAX + 1,
        )
    except ConfigurationError:  # its words may have the whole URL, password included
        raise ValueError("the Redis URL names no host") from None


def _as_the_library_has_it(url: str) -> str:
    """It wants a port where there is a host, and another name for a Unix socket."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"async+redis+{url}"
    netloc = parts.netloc if parts.port is not None else f"{parts.netloc}:{REDIS_PORT}"
    return f"async+{urlunsplit(parts._replace(netloc=netloc))}"


class RedisCounts:
    """Counts in Redis, or in `spare` while Redis is away or slow. Raises nothing."""

    def __init__(
        self,
        storage: RedisStorage,
        spare: Counts,
        clock: Callable[[], float] = time.monotonic,
        probe_every_s: float = PROBE_EVERY_S,
        budget_s: float = BUDGET_S,
    ) -> None:
        """`clock`: monotonic, in seconds. `budget_s`: how long one request waits for Redis."""
        self._budget_s = budget_s
        self._storage = storage
        self._primary = Counted(storage)
        self._spare = spare
        self._clock = clock
        self._probe_every_s = probe_every_s
        self._reason: str | None = None  # why Redis is not asked; None: it is
        self._away_since_s = 0.0
        self._under_way = 0
        self._probing: asyncio.Task[None] | None = None

    async def count(self, checks: Sequence[Check]) -> Refusal | None:
        """Count in Redis if it answers in time, else in the spare."""
        if self._reason is None and self._under_way < UNDER_WAY_MAX and checks:
            self._under_way += 1
            try:
                return await self._in_time(checks)
            except Exception as fault:  # of a reply that is none, the driver makes ValueError and others
                self._lose(fault)
            finally:
                self._under_way -= 1
        return await self._spare.count(checks)

    def health(self) -> str | None:
        """Since when requests have been counted in memory, and why."""
        if self._reason is None:
            return self._spare.health()
        return f"requests have been counted in memory for {self._away_s():.0f} s: {self._reason}"

    async def close(self) -> None:
        """Stop looking for Redis, and close the connections."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        with contextlib.suppress(Exception):  # it may be away; there is nothing to lose
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]
        await self._spare.close()

    async def _in_time(self, checks: Sequence[Check]) -> Refusal | None:
        async with asyncio.timeout(self._budget_s) as limit:
            with Lateness(limit):  # a loop that is busy must not look like a Redis that is away
                return await self._primary.count(checks)

    def _lose(self, fault: Exception) -> None:
        if self._reason is not None:  # several are under way when it goes
            return
        self._reason = self._words(fault)
        self._away_since_s = self._clock()
        log.warning("requests are counted in memory from now on: %s", self._reason)
        self._probing = asyncio.create_task(
            self._probe_until_back(),
            name="look for the Redis of the rates",
            context=Context(),  # else what it logs had the name of the request that found Redis away
        )

    async def _probe_until_back(self) -> None:
        well = 0
        while well < WELL_PROBES:
            await asyncio.sleep(self._probe_every_s)
            try:
                await self._in_time(PROBE)
                well += 1
            except Exception as fault:  # whatever it is, Redis is not back; health() says which
                self._reason = self._words(fault)
                well = 0
        self._reason = None
        log.info("requests are counted in Redis again after %.1f s", self._away_s())

    def _away_s(self) -> float:
        return self._clock() - self._away_since_s

    def _words(self, fault: Exception) -> str:
        if isinstance(fault, TimeoutError):
            return (
                f"no answer within {self._budget_s * 1000:.0f} ms; is Redis reachable, and is it overloaded?"
            )
        return str(fault).rstrip(".") or repr(fault)
