"""The messages about the circuit breaker: whether bets are taken, and if not, when to come back. Pure."""

from __future__ import annotations

from ws.wire.fields import Id, Reply, Request


class CircuitGet(Request, tag="circuit.get"):
    id: Id


class CircuitShown(Reply, tag="circuit"):
    id: str
    state: str
    reason: str | None
    """Why bets are held back; null while closed."""
    remaining_ms: int | None
    """Unbroken health still missing before it closes; null where only a restart helps."""
    retry_after_ms: int | None
    """When a bet that is refused now may come back; null as above."""
