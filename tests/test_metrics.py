"""`/metrics` as Prometheus scrapes it from a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_fixture import World

from batcher.batcher import Batcher
from batcher.memory_nonces import MemoryGuard
from engine.histograms import Histogram
from harness.wire import bet, connect
from ws.beside import Beside
from ws.house import House
from ws.hub import Hub
from ws.metrics import Parts
from ws.self_check import SelfCheck
from ws.sizes import Gauge
from ws.traffic import Traffic


def made_up(path: Path, **of_batcher: Any) -> House:
    """A house that nobody lives in."""
    store: Any = SimpleNamespace(
        path=path, commits=0, checkpoints=0, transaction_times=Histogram(), commit_times=Histogram()
    )
    guard = MemoryGuard()
    batcher = Batcher(store, guard, **of_batcher)
    return House(store, batcher, guard, Hub(), SelfCheck(path, 0), Beside(), Traffic(), Gauge(store))


Key = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module", autouse=True)
def sound_in_the_end(world: World) -> Iterator[None]:
    yield
    world.assert_sound()


def scraped(world: World) -> dict[Key, float]:
    answer = httpx.get(f"{world.server.http}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def named(name: str, **labels: str) -> Key:
    return f"solidgreen_{name}", frozenset(labels.items())


def test_a_server_that_is_well(world: World) -> None:
    found = scraped(world)
    states = {
        state: found[named("breaker_state", breaker="storage", state=state)]
        for state in ("closed", "open", "half_open")
    }
    assert states == {"closed": 1, "open": 0, "half_open": 0}
    for name in (
        "storage_failed", "stopping", "queue_commands", "queue_oldest_seconds", "clock_jumped_seconds",
        "nonces_degraded",
    ):  # fmt: skip
        assert found[named(name)] == 0, name
    assert found[named("breaker_remaining_seconds", breaker="storage")] == 0


def test_what_was_answered_is_counted_by_code_and_sockets_while_they_are_open(world: World) -> None:
    _, token = world.player()
    before = scraped(world)

    async def play() -> dict[Key, float]:
        async with connect(world.server.ws, token) as wire:
            once = bet(1)
            await wire.ask(once)
            assert (await wire.ask(once))["replayed"] is True
            assert (await wire.ask(bet(10**9)))["code"] == "INSUFFICIENT_FUNDS"
            return await asyncio.to_thread(scraped, world)

    during = asyncio.run(play())

    def grown(key: Key) -> float:
        return during[key] - before.get(key, 0.0)

    assert grown(named("commands_total", outcome="accepted")) == 2
    assert grown(named("commands_total", outcome="INSUFFICIENT_FUNDS")) == 1
    assert grown(named("sockets")) == 1
    wal = world.server.db.with_name(f"{world.server.db.name}-wal")
    assert 0 < during[named("wal_bytes")] <= wal.stat().st_size


def test_nobody_is_named(world: World) -> None:
    labels = {name for _, labels in scraped(world) for name, _ in labels}
    assert {"breaker", "outcome", "route"} < labels
    assert labels <= {
        *("breaker", "state", "outcome", "command", "why", "table", "task", "status", "route", "code", "le"),
        *("version", "python", "sqlite"),
    }


def test_a_log_that_cannot_be_looked_at_costs_no_other_figure(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    names = {each.name for each in Parts(made_up(in_the_way / "books.db")).collect()}
    assert "solidgreen_wal_bytes" not in names
    assert {"solidgreen_sockets", "solidgreen_commands"} < names


def test_a_wall_clock_that_is_not_followed_is_told_with_how_far_it_is_off() -> None:
    wall = [1_800_000_000_000_000]
    house = made_up(Path("books.db"), clock=lambda: 0, wall_clock=lambda: wall[0])
    wall[0] -= 3_600_000_000
    told = {each.name: each.samples[0].value for each in Parts(house).collect() if each.samples}
    assert told["solidgreen_clock_jumped_seconds"] == -3600
