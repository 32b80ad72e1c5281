"""How the server does, second by second: the messages. Pure."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from ws.wire.fields import Id, Reply, Request


class FiguresFollow(Request, tag="figures.follow"):
    id: Id


class BetsCounted(msgspec.Struct, gc=False):
    """Bets that were answered. `rejected`: by code, those codes that there were."""

    confirmed: int
    replayed: int
    rejected: dict[str, int]


class Quantiles(msgspec.Struct, gc=False):
    """Milliseconds; null where there was nothing."""

    p50: float | None
    p99: float | None


class BatchesCounted(msgspec.Struct, gc=False):
    """Batches that came to their end, and how many commands they had."""

    batches: int
    p50: float | None
    p99: float | None


class QueueShown(msgspec.Struct, gc=False):
    """Commands that wait for a batch, and since when the oldest of them does."""

    length: int
    oldest_ms: int


class BreakerShown(msgspec.Struct, gc=False):
    """Whether bets are taken; `remaining_ms`: the health still missing before it closes."""

    state: str
    reason: str | None
    remaining_ms: int


class NoncesShown(msgspec.Struct, gc=False):
    """The nonce store. `state`, `remaining_ms`: of the breaker in front of it, null where there is none."""

    status: str
    why: str | None
    state: str | None
    remaining_ms: int | None


class Totals(msgspec.Struct, gc=False):
    """Bets that were answered since the server was started."""

    confirmed: int
    replayed: int
    rejected: int


class Figures(Reply, tag="figures", kw_only=True):
    """What the last `over_ms` have brought, up to `at`. A reply has the `id` of its request, a push
    has none."""

    id: str | UnsetType = UNSET
    at: int
    over_ms: int
    bets: BetsCounted
    commands: int
    """Commands that were answered and are no bets."""
    latency_ms: Quantiles
    """From a bet's arrival until all of its batch were told."""
    batch: BatchesCounted
    commit_ms: Quantiles
    queue: QueueShown
    wal_bytes: int | None
    sockets: int
    breaker: BreakerShown
    nonces: NoncesShown
    storage_failed: str | None
    stopping: bool
    totals: Totals
