"""The parts of a running server, for whoever reports on them: `/metrics` and `/health/ready`."""

from __future__ import annotations

from dataclasses import dataclass

from batcher.batcher import Batcher
from batcher.nonces import NonceGuard
from engine.store import Store
from ws.beside.checks import Check
from ws.beside.heads import Heads
from ws.beside.tasks import Beside
from ws.rates.rates import Rates
from ws.sockets.hub import Hub
from ws.tls import Shown
from ws.transport.traffic import Traffic
from ws.watching.sizes import Gauge


@dataclass(frozen=True, slots=True)
class House:
    """What is looked at, and never changed."""

    store: Store
    batcher: Batcher
    guard: NonceGuard
    hub: Hub
    self_check: Check
    beside: Beside
    traffic: Traffic
    gauge: Gauge
    rates: Rates
    certificate: Shown | None = None
    """None: it does not serve TLS itself."""
    heads: Heads | None = None
    """None: nobody keeps them."""
