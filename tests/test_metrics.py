"""`/metrics` as Prometheus scrapes it from a running server."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from batcher.batcher import Batcher
from batcher.memory_nonces import MemoryGuard
from engine.histograms import Histogram
from engine.outcomes import Code
from harness.wire import bet, connect
from tests.checking import made
from tests.server_fixture import CLOSE, RawSocket, World
from ws.beside.checks import Check
from ws.beside.tasks import Beside
from ws.rates.rates import Counted, RateLimits, Rates
from ws.rates.windows import Windows
from ws.sockets.hub import Hub
from ws.transport.traffic import Traffic
from ws.watching.house import House
from ws.watching.metrics import SCRAPED_EVERY_S, Parts, Process, Scrapes
from ws.watching.sizes import Gauge


def made_up(path: Path, **of_batcher: Any) -> House:
    """A house that nobody lives in."""
    store: Any = SimpleNamespace(
        path=path, commits=0, checkpoints=0, transaction_times=Histogram(), commit_times=Histogram()
    )
    guard = MemoryGuard()
    batcher = Batcher(store, guard, **of_batcher)
    return House(
        store,
        batcher,
        guard,
        Hub(),
        Check("verify", path),
        Beside(),
        Traffic(),
        Gauge(store),
        Rates(RateLimits(), Counted(Windows())),
    )


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

    assert grown(named("bets_total", outcome="confirmed")) == 1
    assert grown(named("bets_total", outcome="replayed")) == 1
    assert grown(named("bets_total", outcome="INSUFFICIENT_FUNDS")) == 1
    assert grown(named("confirmation_seconds_count")) == grown(named("batch_commands_sum")) == 3
    assert grown(named("batch_commands_count")) == 3
    assert 0 < grown(named("confirmation_seconds_sum")) < 60
    assert grown(named("nonce_claim_seconds_count")) == 3
    # The refusal is recorded, which is a commit as well; the replay writes nothing.
    assert grown(named("commits_total")) == 2
    assert grown(named("commit_seconds_count")) == grown(named("sync_seconds_count")) == 2
    assert grown(named("sync_seconds_sum")) < grown(named("commit_seconds_sum"))
    assert grown(named("ledger_rows_total", table="transactions")) == 1
    assert grown(named("ledger_rows_total", table="transaction_ledger")) == 2
    assert grown(named("ledger_rows_total", table="blocks")) == 1
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
        *("version", "python", "sqlite", "rule"),
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


def test_the_counts_are_those_of_the_file_whoever_asks_again(world: World) -> None:
    """Bets of several sockets at once, each sent twice, and commands of an operator between them."""

    async def play() -> None:
        async def player(token: str) -> None:
            async with connect(world.server.ws, token) as wire:
                bets = [bet(1) for _ in range(40)]
                for _ in range(2):
                    await asyncio.gather(*(wire.ask(each) for each in bets))

        await asyncio.gather(*(player(world.player()[1]) for _ in range(3)))

    asyncio.run(play())
    told = scraped(world)
    ((bets,),) = world.query("SELECT count(*) FROM transactions WHERE kind = 'BET'")
    assert told[named("bets_total", outcome="confirmed")] == bets >= 120
    assert told[named("bets_total", outcome="replayed")] >= 120
    ((rows,),) = world.query("SELECT count(*) FROM transactions")
    assert told[named("ledger_rows_total", table="transactions")] == rows
    assert told[named("ledger_rows_total", table="transaction_ledger")] == world.entries()
    assert told[named("batch_commands_sum")] == told[named("confirmation_seconds_count")]
    assert "a bet was decided" not in world.log()


def test_commands_of_operators_are_counted_by_kind_and_apart_from_bets(world: World) -> None:
    user_id, _ = world.player()
    before = scraped(world)

    async def work() -> None:
        async with connect(world.server.ws, world.operator) as wire:
            deposit = {"type": "wallet.deposit", "user_id": user_id, "amount": 5, "key": "d-watched"}
            assert (await wire.ask(deposit | {"id": "1"}))["type"] == "wallet.moved"
            await wire.ask(deposit | {"id": "2"})
            await wire.ask(deposit | {"id": "3", "amount": 6})

    asyncio.run(work())
    after = scraped(world)
    ended = {
        key: after[key] - before.get(key, 0)
        for key in after
        if key[0] == "solidgreen_operations_total" and ("command", "deposit") in key[1]
    }
    assert ended == {
        named("operations_total", command="deposit", outcome="done"): 1,
        named("operations_total", command="deposit", outcome="replayed"): 1,
        named("operations_total", command="deposit", outcome="IDEMPOTENCY_CONFLICT"): 1,
    }
    accepted = named("commands_total", outcome="accepted")
    assert after[accepted] - before[accepted] == 2
    confirmed = named("bets_total", outcome="confirmed")
    assert after[confirmed] == before[confirmed]


def test_a_nonce_of_another_bet_is_counted(world: World) -> None:
    _, token = world.player()
    before = scraped(world)

    async def play() -> None:
        async with connect(world.server.ws, token) as wire:
            first = bet(1)
            await wire.ask(first)
            assert (await wire.ask(bet(1, nonce=first["nonce"])))["code"] == "NONCE_REUSED"

    asyncio.run(play())
    after, reused = scraped(world), named("nonces_refused_total", why="reused")
    assert after[reused] - before[reused] == 1


def test_every_code_is_told_before_it_was_given(world: World) -> None:
    told = scraped(world)
    for code in Code:
        assert named("bets_total", outcome=code.name) in told
        assert named("commands_total", outcome=code.name) in told


def test_what_the_process_and_its_disk_have(world: World) -> None:
    told = scraped(world)
    assert told["process_resident_memory_bytes", frozenset()] > 10e6
    assert told["process_cpu_seconds_total", frozenset()] > 0
    assert told[named("db_bytes")] > 0
    assert 0 < told[named("disk_free_bytes")] <= told[named("disk_bytes")]
    assert told[named("self_check", status="never")] == 1
    assert told[named("task_died", task="self-check")] == 0
    assert told[named("archives", state="moved")] == 0
    (built,) = (dict(labels) for name, labels in told if name == "solidgreen_build_info")
    assert built["sqlite"] == sqlite3.sqlite_version


def test_requests_are_counted_by_route_and_never_by_path(world: World) -> None:
    before = scraped(world)
    for path in ("/health/live", "/wallet/7", "/wallet/8", "/health/live?user=7"):
        httpx.get(f"{world.server.http}{path}", trust_env=False)
    httpx.post(f"{world.server.http}/health/live", trust_env=False)
    after = scraped(world)
    grown = {
        (labels["route"], labels["status"]): after[key] - before.get(key, 0)
        for key in after
        if key[0] == "solidgreen_http_requests_total" and (labels := dict(key[1]))
    }
    assert grown["/health/live", "200"] == 2
    assert grown["/health/live", "405"] == 1
    assert grown["none", "404"] == 2
    assert {route for route, _ in grown} <= {"none", "/ws", "/metrics", "/health/live", "/health/ready"}
    took = named("http_request_seconds_count", route="/health/live")
    assert after[took] - before.get(took, 0) == 3


def test_the_ends_of_sockets_are_counted_by_code(world: World) -> None:
    before = scraped(world)
    _, token = world.player()

    def ended(code: str) -> float:
        key = named("sockets_ended_total", code=code)
        return scraped(world).get(key, 0) - before.get(key, 0)

    def wait_for(code: str) -> None:
        deadline = time.monotonic() + 5
        while ended(code) < 1:  # the server hears of the end behind us
            assert time.monotonic() < deadline, code
            time.sleep(0.01)

    for own, counted in ((1000, "1000"), (4999, "other")):
        with RawSocket(world.server.port, token=token) as raw:
            raw.read_messages()
            raw.send_frame(own.to_bytes(2, "big"), CLOSE)
            raw.close_code()
        wait_for(counted)
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        raw.reset()
    wait_for("1006")
    with RawSocket(world.server.port, token="nonsense") as raw:
        assert raw.close_code() == 4401
    wait_for("4401")
    with RawSocket(world.server.port, "Origin: https://evil.example") as refused:
        assert refused.status == 403
    key = named("http_requests_total", route="/ws", status="403")
    assert scraped(world)[key] - before.get(key, 0) == 1
    assert sum(ended(code) for code in ("1000", "other", "1006", "4401", "1005")) == 4


def test_the_process_is_looked_at_once_a_second() -> None:
    now_s = [0.0]
    process = Process(clock=lambda: now_s[0])
    first = process.collect()
    now_s[0] = 0.9
    assert process.collect() is first
    now_s[0] = 1.0
    assert process.collect() is not first


def test_what_the_self_check_has_found_is_told_after_it(world: World) -> None:
    house = made_up(world.server.db)
    before = {each.name for each in Parts(house).collect()}
    asyncio.run(made(house.self_check))
    after = {each.name: each for each in Parts(house).collect()}
    assert set(after) - before == {
        "solidgreen_self_check_timestamp_seconds",
        "solidgreen_self_check_findings",
        "solidgreen_table_rows",
    }
    assert after["solidgreen_self_check_findings"].samples[0].value == 0
    states = {each.labels["status"]: each.value for each in after["solidgreen_self_check"].samples}
    assert states == {"never": 0, "ok": 1, "findings": 0, "failed": 0}
    rows = {each.labels["table"]: each.value for each in after["solidgreen_table_rows"].samples}
    ((bets,),) = world.query("SELECT count(*) FROM bets")
    assert rows["bets"] == bets > 0


def test_scrapes_that_come_together_are_one_look_and_none_is_older_than_its_question() -> None:
    async def run() -> None:
        house = made_up(Path("books.db"))
        looks = []

        class Counted(Parts):
            def collect(self) -> Iterator[Metric]:
                looks.append(time.monotonic())
                return super().collect()

        async def read() -> None:
            pass

        object.__setattr__(house, "gauge", SimpleNamespace(
            read=read, disk=lambda: None, log_bytes=lambda: 0, file_bytes=lambda: 0, newest=None,
            backed_up_at_s=lambda: 0,
        ))  # fmt: skip
        scrapes = Scrapes(house)
        scrapes._collectors = [Counted(house)]
        together = await asyncio.gather(*(scrapes.answer() for _ in range(50)))
        assert len(looks) == 1
        assert len(set(together)) == 1
        house.batcher.tally.confirmed += 1
        asked = [asyncio.create_task(scrapes.answer()) for _ in range(20)]
        await asyncio.sleep(0)
        asked[0].cancel()  # who goes away ends it for nobody
        answers = await asyncio.gather(*asked[1:])
        assert b'solidgreen_bets_total{outcome="confirmed"} 1.0' in answers[0]
        assert len(looks) == 2
        assert looks[1] - looks[0] >= SCRAPED_EVERY_S

    asyncio.run(run())
