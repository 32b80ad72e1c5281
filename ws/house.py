"""The parts of a running server, for whoever reports on them: `/metrics` and `/health/ready`."""

from __future__ import annotations

from dataclasses import dataclass

from batcher.batcher import Batcher
from batcher.nonces import NonceGuard
from engine.store import Store
from ws.beside import Beside
from ws.hub import Hub
from ws.rates import Rates
from ws.self_check import SelfCheck
from ws.sizes import Gauge
from ws.traffic import Traffic


@dataclass(frozen=True, slots=True)
class House:
    """What is looked at, and never changed."""

    store: Store
    batcher: Batcher
    guard: NonceGuard
    hub: Hub
    self_check: SelfCheck
    beside: Beside
    traffic: Traffic
    gauge: Gauge
    rates: Rates
