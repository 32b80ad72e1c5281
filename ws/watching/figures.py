"""What each second has brought: made once for all who follow it, and only while somebody does.

Everything is the difference of what the parts count anyway since the start, so no bet pays for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final, NamedTuple

import msgspec

from batcher.batcher import Batcher
from batcher.nonces import NonceGuard
from batcher.tally import Tally
from engine.histograms import SIZES, TIMES_US, quantile
from engine.outcomes import Code
from engine.store import Store
from ws.sockets.hub import Hub
from ws.watching.sizes import Gauge
from ws.wire.figures import (
    BatchesCounted,
    BetsCounted,
    BreakerShown,
    Figures,
    NoncesShown,
    Quantiles,
    QueueShown,
    Totals,
)
from ws.wire.outcomes import in_ms

EVERY_S: Final = 1.0


class Counted(NamedTuple):
    """All counts of one moment, since the start. `at_s`: of a monotonic clock."""

    at_s: float
    confirmed: int
    replayed: int
    refused: Counter[Code]
    others: int
    waits: list[int]
    batches: list[int]
    commits: list[int]


class Seconds:
    """Makes the figures. `run` it as a task."""

    def __init__(self, store: Store, batcher: Batcher, guard: NonceGuard, hub: Hub, gauge: Gauge) -> None:
        self._store = store
        self._batcher = batcher
        self._guard = guard
        self._hub = hub
        self._gauge = gauge
        self._newest: Figures | None = None

    def newest(self, request_id: str) -> Figures:
        """The figures of the newest second, as a reply; of no time at all where nobody followed them."""
        if self._newest is not None:
            return msgspec.structs.replace(self._newest, id=request_id)
        now = self._count()
        figures = self._between(now, now)
        figures.id = request_id
        return figures

    async def run(self) -> None:
        """Tell all who follow, each second; for ever."""
        while True:
            await self._hub.figures_wanted()
            before = self._count()
            while self._hub.is_followed:
                await asyncio.sleep(EVERY_S)
                now = self._count()
                self._newest = self._between(before, now)
                self._hub.tell_figures(self._newest)
                before = now
            self._newest = None

    def _count(self) -> Counted:
        tally: Tally = self._batcher.tally
        return Counted(
            time.monotonic(),
            tally.confirmed,
            tally.replayed,
            tally.refused.copy(),
            tally.others.total(),
            tally.waits.counts(),
            tally.batches.counts(),
            self._store.commit_times.counts(),
        )

    def _between(self, before: Counted, now: Counted) -> Figures:
        rejected = now.refused - before.refused
        batches = _less(now.batches, before.batches)
        return Figures(
            at=time.time_ns() // 1_000_000,
            over_ms=round((now.at_s - before.at_s) * 1000),
            bets=BetsCounted(
                now.confirmed - before.confirmed,
                now.replayed - before.replayed,
                {code.name: count for code, count in rejected.items()},
            ),
            commands=now.others - before.others,
            latency_ms=_in_ms(_less(now.waits, before.waits)),
            batch=BatchesCounted(
                sum(batches),
                _rounded(quantile(SIZES, batches, 0.5, least=1)),
                _rounded(quantile(SIZES, batches, 0.99, least=1)),
            ),
            commit_ms=_in_ms(_less(now.commits, before.commits)),
            queue=QueueShown(self._batcher.queue_length(), self._batcher.oldest_wait_us() // 1000),
            wal_bytes=self._gauge.log_bytes(),
            sockets=len(self._hub),
            breaker=self._breaker(),
            nonces=self._nonces(),
            storage_failed=self._batcher.failure,
            stopping=self._batcher.is_stopping,
            totals=Totals(now.confirmed, now.replayed, now.refused.total()),
        )

    def _breaker(self) -> BreakerShown:
        status = self._batcher.breaker_status()
        reason = None if status.reason is None else status.reason.value
        return BreakerShown(status.state.value, reason, in_ms(status.remaining_us) or 0)

    def _nonces(self) -> NoncesShown:
        why, status = self._guard.health(), self._guard.status()
        return NoncesShown(
            "ok" if why is None else "degraded",
            why,
            None if status is None else status.state.value,
            None if status is None else in_ms(status.remaining_us),
        )


def _less(now: list[int], before: list[int]) -> list[int]:
    return [later - earlier for later, earlier in zip(now, before, strict=True)]


def _in_ms(counts: list[int]) -> Quantiles:
    """Of a histogram of microseconds."""
    return Quantiles(*(_rounded(quantile(TIMES_US, counts, share), 1000) for share in (0.5, 0.99)))


def _rounded(value: float | None, unit: int = 1) -> float | None:
    """To three digits behind the point: the buckets tell no more."""
    return None if value is None else round(value / unit, 3)
