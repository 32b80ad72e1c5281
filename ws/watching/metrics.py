"""What a monitoring system sees: `/metrics`, in Prometheus' text form.

Everything is read when it is asked for, from what the parts keep anyway, so that no bet pays for it. Nothing
is told by user, wallet or socket: whoever may look at the load may not look at players.
"""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batcher.batcher import Batcher
from batcher.breaker import State, Status
from batcher.nonces import NonceGuard
from batcher.tally import DONE, REPLAYED, Tally
from engine.histograms import Histogram
from engine.outcomes import Code
from engine.store import Store
from ws.beside.checks import Check
from ws.rates.rates import RULES
from ws.transport.traffic import Traffic
from ws.watching.house import House
from ws.watching.sizes import Gauge

CONFIRMED: Final = "confirmed"
ACCEPTED: Final = "accepted"

SCRAPED_EVERY_S: Final = 0.1
"""From one look at the parts to the next, which takes 1 to 2 ms: strangers who ask without end get 2 % of the
loop's time. Prometheus asks every 15 s."""

PROCESS_EVERY_S: Final = 1.0
"""How often the process is looked at: with 10,000 sockets the kernel lists their descriptors for 5 ms."""


class Parts(Collector):
    """Reads the parts of a server. Called on the event loop."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._build = build()

    def collect(self) -> Iterator[Metric]:
        """The state of this moment, and what was counted since the start."""
        house, batcher = self._house, self._house.batcher
        built = GaugeMetricFamily("solidgreen_build_info", "What runs: always 1", labels=list(self._build))
        built.add_metric(list(self._build.values()), 1.0)
        yield built
        yield from _breakers(batcher, house.guard)
        yield _gauge("storage_failed", "1: no money is taken until a restart", batcher.failure is not None)
        yield _gauge("stopping", "1: the server is draining", batcher.is_stopping)
        yield _gauge("queue_commands", "Commands that wait for a batch", batcher.queue_length())
        yield _gauge("queue_oldest_seconds", "Wait of the oldest of them", batcher.oldest_wait_us() / 1e6)
        jumped_us = batcher.books_clock.status().jumped_us
        yield _gauge("clock_jumped_seconds", "How far the wall clock is off; 0: followed", jumped_us / 1e6)
        yield _gauge("nonces_degraded", "1: the nonce store is away", house.guard.health() is not None)
        yield _gauge("sockets", "Open WebSockets", len(house.hub))
        yield from _answered(batcher.tally)
        yield from _timed(batcher.tally, house.store)
        yield from _files(house.store, house.gauge)
        yield from _checked(house.self_check)
        yield _labelled(
            "task_died", "1: a task beside the bets has ended", "task", house.beside.died().items()
        )
        failed = house.heads is not None and house.heads.health()["status"] == "failed"
        yield _gauge("heads_failed", "1: the newest head of the chain is not kept elsewhere", failed)
        yield from _doors(house.traffic)
        if house.certificate is not None:
            ends_at_s = house.certificate.ends_at.timestamp()
            yield _gauge("certificate_expires_timestamp_seconds", "When that of TLS is no good", ends_at_s)
        refused = {rule: house.rates.refused[rule] for rule in RULES}
        yield _counted("rates_refused", "Requests that came too often, by rule", "rule", refused.items())


class Process(Collector):
    """CPU, memory and descriptors of this process, as Prometheus names them everywhere; looked at once in
    `PROCESS_EVERY_S`, however often that is asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        self._clock = clock
        self._looks = ProcessCollector(registry=None)
        self._newest: list[Metric] = []
        self._at_s = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """None where the system does not tell: it is not Linux, or the number of descriptors is unlimited."""
        if self._clock() - self._at_s >= PROCESS_EVERY_S:
            try:
                self._newest = list(self._looks.collect())
            except ValueError:  # of "unlimited" it would make a number
                self._newest = []
            self._at_s = self._clock()
        return self._newest


def build() -> dict[str, str]:
    """What runs, and on what."""
    try:
        ours = version("solidgreen")
    except PackageNotFoundError:  # run from a folder that is not installed
        ours = "unknown"
    return {"version": ours, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}


def metrics_route(house: House) -> Route:
    """`GET /metrics`."""
    scrapes = Scrapes(house)

    async def metrics(request: Request) -> Response:
        return Response(await scrapes.answer(), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)


class Scrapes:
    """Answers whoever asks, however many they are, without costing bets more than a small share of the loop:
    those who come while one waits are told the same, which is as new as if each had been answered by itself.
    """

    def __init__(self, house: House) -> None:
        self._gauge = house.gauge
        self._collectors: list[Collector] = [Parts(house), Process()]
        self._next: asyncio.Task[bytes] | None = None
        self._again_at_s = float("-inf")

    async def answer(self) -> bytes:
        """The figures, read after this was called."""
        if self._next is None:
            self._next = asyncio.create_task(self._scrape(), name="scrape")
        return await asyncio.shield(self._next)  # who goes away must not end it for the others

    async def _scrape(self) -> bytes:
        await asyncio.sleep(self._again_at_s - time.monotonic())
        await self._gauge.read()
        self._next = None
        read = [family for collector in self._collectors for family in collector.collect()]
        self._again_at_s = time.monotonic() + SCRAPED_EVERY_S
        # To write them down takes three times as long as to read them, and needs nothing of the loop's.
        return await asyncio.to_thread(generate_latest, _registry_of(read))


class _Read(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _registry_of(read: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Read(read))
    return registry


def _answered(tally: Tally) -> Iterator[Metric]:
    """Each code from the start, at 0: a rate can be told only of what was there before it grew."""
    bets = {CONFIRMED: tally.confirmed, REPLAYED: tally.replayed}
    bets |= {code.name: tally.refused[code] for code in Code}
    yield _counted("bets", "Bets answered: confirmed, told again, or the code", "outcome", bets.items())
    others = CounterMetricFamily(
        "solidgreen_operations", "Commands answered that are no bets", labels=["command", "outcome"]
    )
    commands = Counter({code.name: tally.refused[code] for code in Code})
    commands[ACCEPTED] = tally.confirmed + tally.replayed
    for (kind, ended), count in tally.others.items():
        others.add_metric([kind, ended], count)
        commands[ACCEPTED if ended in (DONE, REPLAYED) else ended] += count
    yield others
    yield _counted("commands", "Commands answered, by code where refused", "outcome", commands.items())
    yield CounterMetricFamily(
        "solidgreen_looks_failed", "Reads of sockets that could not be answered", value=tally.looks_failed
    )
    refused = {"reused": tally.nonces_reused, "no_room": tally.nonces_shed}
    yield _counted("nonces_refused", "Nonces that a guard has turned away", "why", refused.items())


def _timed(tally: Tally, store: Store) -> Iterator[Metric]:
    yield _histogram("confirmation_seconds", "Bets of a batch, from arrival until told", tally.waits)
    yield _histogram("batch_commands", "Commands in a batch", tally.batches, unit=1)
    yield _histogram("commit_seconds", "Batches, from BEGIN to the end of COMMIT", store.transaction_times)
    yield _histogram("sync_seconds", "COMMIT alone, which syncs the log", store.commit_times)
    yield _histogram("nonce_claim_seconds", "Waits of batches for their nonces", tally.claims)
    yield _histogram("loop_late_seconds", "By how much the event loop is late", tally.lateness)


def _files(store: Store, gauge: Gauge) -> Iterator[Metric]:
    """A disk that fails must not cost the other figures: what it does not tell is left out."""
    of_disk = gauge.disk()
    told = {
        "wal_bytes": ("Size of the write-ahead log", gauge.log_bytes()),
        "db_bytes": ("Size of the database file", gauge.file_bytes()),
        "disk_bytes": ("Size of the disk that it is on", of_disk and of_disk.total),
        "disk_free_bytes": ("Room on that disk", of_disk and of_disk.free),
        "backup_timestamp_seconds": ("When the newest good backup was begun", gauge.backed_up_at_s()),
    }
    for name, (help_, value) in told.items():
        if value is not None:
            yield _gauge(name, help_, value)
    yield CounterMetricFamily("solidgreen_commits", "Transactions committed", value=store.commits)
    yield CounterMetricFamily("solidgreen_checkpoints", "Times the log was written back", store.checkpoints)
    if (newest := gauge.newest) is not None:
        rows = {
            "transactions": newest.transactions,
            "transaction_ledger": newest.entries,
            "blocks": newest.blocks,
        }
        yield _counted("ledger_rows", "Rows ever written, archived ones included", "table", rows.items())
        yield _labelled("archives", "Archives, by how far they are", "state", newest.archives.items())


def _checked(self_check: Check) -> Iterator[Metric]:
    health = self_check.health()
    states = {status: health["status"] == status for status in ("never", "ok", "findings", "failed")}
    yield _labelled("self_check", "1 for what the newest check ended with", "status", states.items())
    if (verdict := self_check.newest) is None:
        return
    yield _gauge("self_check_timestamp_seconds", "When that was", self_check.at_ms / 1000)
    if verdict.why_none is None:
        yield _gauge("self_check_findings", "What it has found", verdict.found)
        yield _labelled("table_rows", "Rows as of the newest check", "table", verdict.rows)


def _doors(traffic: Traffic) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "solidgreen_http_requests", "Requests and handshakes answered", labels=["route", "status"]
    )
    for (route, status), count in traffic.requests.items():
        requests.add_metric([route, status], count)
    yield requests
    times = HistogramMetricFamily("solidgreen_http_request_seconds", "What requests took", labels=["route"])
    for route, histogram in traffic.times.items():
        times.add_metric([route], _buckets(histogram, 1e6), histogram.total / 1e6)
    yield times
    yield _counted("sockets_ended", "Sockets that were closed, by close code", "code", traffic.ended.items())


def _breakers(batcher: Batcher, guard: NonceGuard) -> Iterator[Metric]:
    known: dict[str, Status] = {"storage": batcher.breaker_status()}
    of_nonces = guard.status()
    if of_nonces is not None:
        known["nonces"] = of_nonces
    states = GaugeMetricFamily(
        "solidgreen_breaker_state", "1 for the state that it is in", labels=["breaker", "state"]
    )
    remaining = GaugeMetricFamily(
        "solidgreen_breaker_remaining_seconds",
        "Unbroken health still missing before it closes",
        labels=["breaker"],
    )
    for name, status in known.items():
        for state in State:
            states.add_metric([name, state.value], float(status.state is state))
        remaining.add_metric([name], status.remaining_us / 1e6)
    yield states
    yield remaining


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"solidgreen_{name}", help_, value=float(value))


def _labelled(name: str, help_: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"solidgreen_{name}", help_, labels=[label])
    for each, value in values:
        family.add_metric([each], float(value))
    return family


def _counted(name: str, help_: str, label: str, counts: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"solidgreen_{name}", help_, labels=[label])
    for each, count in counts:
        family.add_metric([each], count)
    return family


def _histogram(name: str, help_: str, counted: Histogram, unit: float = 1e6) -> Metric:
    family = HistogramMetricFamily(f"solidgreen_{name}", help_, labels=())
    family.add_metric((), _buckets(counted, unit), counted.total / unit)
    return family


def _buckets(counted: Histogram, unit: float) -> list[tuple[str, float]]:
    """As Prometheus has them: up to which bound, and how many."""
    bounds = [f"{bound / unit:g}" for bound in counted.bounds]
    return list(zip([*bounds, "+Inf"], map(float, counted.cumulative()), strict=True))
