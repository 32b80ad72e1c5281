"""What a monitoring system sees: `/metrics`, in Prometheus' text form.

Everything is read when it is asked for, from what the parts keep anyway, so that no bet pays for it. Nothing
is told by user, wallet or socket: whoever may look at the load may not look at players.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batcher.batcher import Batcher
from batcher.breaker import State, Status
from batcher.nonces import NonceGuard
from engine.store import Store
from ws.hub import Hub


class Parts(Collector):
    """Reads the parts of a server. Called on the event loop."""

    def __init__(self, store: Store, batcher: Batcher, guard: NonceGuard, hub: Hub) -> None:
        self._wal = store.path.with_name(f"{store.path.name}-wal")
        self._batcher = batcher
        self._guard = guard
        self._hub = hub

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The state of this moment, and what was counted since the start."""
        yield from self._breakers()
        batcher = self._batcher
        yield _gauge("storage_failed", "1: no money is taken until a restart", batcher.failure is not None)
        yield _gauge("stopping", "1: the server is draining", batcher.is_stopping)
        yield _gauge("queue_commands", "Commands that wait for a batch", batcher.queue_length())
        yield _gauge("queue_oldest_seconds", "Wait of the oldest of them", batcher.oldest_wait_us() / 1e6)
        jumped_us = batcher.books_clock.status().jumped_us
        yield _gauge("clock_jumped_seconds", "How far the wall clock is off; 0: followed", jumped_us / 1e6)
        yield _gauge("nonces_degraded", "1: the nonce store is away", self._guard.health() is not None)
        yield _gauge("sockets", "Open WebSockets", len(self._hub))
        with contextlib.suppress(OSError):  # a disk that fails must not cost the other figures
            yield _gauge("wal_bytes", "Size of the write-ahead log", self._wal_bytes())
        answered = CounterMetricFamily(
            "solidgreen_commands", "Commands answered, by code where refused", labels=["outcome"]
        )
        answered.add_metric(["accepted"], batcher.accepted)
        for code, count in batcher.refused.items():
            answered.add_metric([code.name], count)
        yield answered

    def _breakers(self) -> Iterator[GaugeMetricFamily]:
        known = {"storage": self._batcher.breaker_status()}
        of_nonces = self._guard.status()
        if of_nonces is not None:
            known["nonces"] = of_nonces
        yield _states(known)
        remaining = GaugeMetricFamily(
            "solidgreen_breaker_remaining_seconds",
            "Unbroken health still missing before it closes",
            labels=["breaker"],
        )
        for name, status in known.items():
            remaining.add_metric([name], status.remaining_us / 1e6)
        yield remaining

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0


def _gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"solidgreen_{name}", help_, value=float(value))


def _states(known: dict[str, Status]) -> GaugeMetricFamily:
    states = GaugeMetricFamily(
        "solidgreen_breaker_state", "1 for the state that it is in", labels=["breaker", "state"]
    )
    for name, status in known.items():
        for state in State:
            states.add_metric([name, state.value], float(status.state is state))
    return states


def metrics_route(store: Store, batcher: Batcher, guard: NonceGuard, hub: Hub) -> Route:
    """`GET /metrics`."""
    registry = CollectorRegistry()
    registry.register(Parts(store, batcher, guard, hub))

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)
