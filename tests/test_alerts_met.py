"""Each alert beside what a server in that state really tells at `/metrics`: its names, labels and values, as
Prometheus would scrape them, go through `promtool`, and the rules say who is to be told.

That each fires at its threshold, and not before, is shown with made-up series in
deploy/prometheus/alerts_test.yml.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.core import Metric

from batcher.policy import BatchLimits, Queue
from engine.outcomes import Code
from engine.sizes import sizes
from tests.books_open import seed
from tests.test_alerts import NAME, RULES, alerts, promtool
from tests.test_metrics import made_up
from ws.asking import lookups
from ws.asking.signers import Signers
from ws.beside.checks import Checks, Verdict
from ws.beside.heads import Heads
from ws.effects import Identity
from ws.watching.house import House
from ws.watching.metrics import Parts, Process
from ws.watching.sizes import Disk, Gauge
from ws.wire.messages import Error
from ws.wire.receipts import HeadGet

ASKED = set(NAME.findall(RULES.read_text(encoding="utf-8")))
SCRAPES = 150
"""A minute apart: longer than any alert waits."""

Sample = tuple[str, dict[str, str], float]
State = Callable[[House, Path], House | None]


def scraped(house: House) -> list[Sample]:
    """What the alerts ask for, of all that is told."""
    families: list[Metric] = [*Parts(house).collect(), *Process().collect()]
    now_s = time.time()
    return [
        # The clock of `promtool` begins at 0.
        (each.name, each.labels, each.value - (now_s if each.name.endswith("_timestamp_seconds") else 0))
        for family in families
        for each in family.samples
        if each.name in ASKED
    ]


def series(state: str, before: list[Sample], after: list[Sample]) -> list[str]:
    """Of a server of that name, as `promtool` has them: as if with each scrape came what has come between
    these two."""
    grown = {(name, *labels.items()): value for name, labels, value in after}
    lines = named("up", {}, state, f"1x{SCRAPES}")
    for name, labels, value in before:
        step = grown[(name, *labels.items())] - value if name.endswith(("_total", "_bucket")) else 0
        lines += named(name, labels, state, f"{value:.6f}{step:+.6f}x{SCRAPES}")
    return lines


def named(name: str, labels: dict[str, str], instance: str, values: str) -> list[str]:
    """One of them, with the labels that Prometheus adds."""
    all_labels = {**labels, "instance": instance, "job": "solidgreen"}
    written = ", ".join(f"{label}={json.dumps(each)}" for label, each in all_labels.items())
    return [f"      - series: '{name}{{{written}}}'", f"        values: '{values}'"]


def fired(folder: Path, told: dict[str, list[str]]) -> set[tuple[str, str]]:
    """The servers, and the alerts that fire for each, after all scrapes. `told`: series, by the seconds from
    one scrape to the next."""
    lines = [f"rule_files: [{RULES}]", "evaluation_interval: 1m", "tests:"]
    for interval_s, each in told.items():
        lines += [f"  - interval: {interval_s}s", "    input_series:", *each, "    promql_expr_test:"]
        lines += ['      - expr: count by (alertname, instance) (ALERTS{alertstate="firing"})']
        # Nothing is what it never is, so it fails, and says what there is.
        lines += [f"        eval_time: {SCRAPES * int(interval_s)}s", "        exp_samples: []"]
    path = folder / "met.yml"
    path.write_text("\n".join(lines), encoding="utf-8")
    done = promtool("test", "rules", path)
    said = (done.stdout + done.stderr).replace("\\", "")
    assert said.count("got:") == len(told), said
    return {(name, alert) for alert, name in re.findall(r'{alertname="(\w+)", instance="([^"]+)"}', said)}


# -- states, and how a server comes into each of them


def storage_failed(house: House, folder: Path) -> None:
    house.batcher._pipeline._stop("COMMIT failed: disk I/O error", 3)


def breaker_open(house: House, folder: Path) -> None:
    for _ in range(3):
        house.batcher._breaker.commit_failed(time.monotonic_ns() // 1000)


def clock_jumped(house: House, folder: Path) -> House:
    wall_us = [time.time_ns() // 1000]
    jumped = made_up(folder / "books.db", wall_clock=lambda: wall_us[0])
    wall_us[0] -= 3_600_000_000
    return jumped


def nonces_in_memory(house: House, folder: Path) -> House:
    guard: Any = SimpleNamespace(health=lambda: "nonces have been checked in memory", status=lambda: None)
    return replace(house, guard=guard)


def task_died(house: House, folder: Path) -> None:
    async def dies() -> None:
        raise RuntimeError("a bug")

    async def run() -> None:
        house.beside.start("self-check", dies())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())


def check_without_verdict(house: House, folder: Path) -> None:
    house.self_check.newest = Verdict(0, 0, [], "the file could not be read")


def check_with_findings(house: House, folder: Path) -> None:
    house.self_check.newest = Verdict(10, 1, [{"check": "balance"}])


def archive_under_way(house: House, folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for table in ("transactions", "transaction_ledger", "blocks"):
            connection.execute(f"CREATE TABLE {table} (id)")
        columns = "moved_transaction_id, upto_transaction_id, moved_entry_id, upto_entry_id"
        connection.execute(f"CREATE TABLE archives (state, {columns})")
        connection.execute("INSERT INTO archives VALUES ('moving', 5, 9, 5, 9)")
        house.gauge.newest = sizes(connection)


def long_log(house: House, folder: Path) -> None:
    with (folder / "books.db-wal").open("wb") as log:
        log.truncate(65 * 1024 * 1024)


def disk_nearly_full(house: House, folder: Path) -> House:
    class Full(Gauge):
        def disk(self) -> Disk:
            return Disk(1000, 50)

    return replace(house, gauge=Full(house.store))


def heads_not_kept(house: House, folder: Path) -> House:
    def away(line: bytes) -> None:
        raise OSError("the disk of the heads is away")

    seed(folder / "wallet.db", 1)
    heads = Heads(folder / "wallet.db", away)
    heads._look()
    return replace(house, heads=heads)


def certificate_ends(house: House, folder: Path) -> House:
    shown: Any = SimpleNamespace(ends_at=datetime.now(UTC) + timedelta(days=10))
    return replace(house, certificate=shown)


SET: dict[str, State] = {
    "SolidGreenStorageFailed": storage_failed,
    "SolidGreenBreakerOpen": breaker_open,
    "SolidGreenClockJumped": clock_jumped,
    "SolidGreenNoncesDegraded": nonces_in_memory,
    "SolidGreenTaskDied": task_died,
    "SolidGreenSelfCheckFailed": check_without_verdict,
    "SolidGreenSelfCheckFindings": check_with_findings,
    "SolidGreenArchiveWaits": archive_under_way,
    "SolidGreenLogTooLong": long_log,
    "SolidGreenDiskFull": disk_nearly_full,
    "SolidGreenHeadsNotKept": heads_not_kept,
    "SolidGreenCertificateEnds": certificate_ends,
}


async def fail_to_read(house: House) -> None:
    """As a socket asks."""

    async def read(look: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    store: Any = SimpleNamespace(read=read)
    checks, signers = Checks.of(house.gauge.path), Signers()
    sources: Any = SimpleNamespace(store=store, batcher=house.batcher, checks=checks, signers=signers)
    asker = Identity(7, "player", 2**40)
    for _ in range(3):
        (reply,) = await lookups.told(sources, HeadGet(id="r-1"), asker, lambda why: None)
        assert isinstance(reply, Error)
        assert reply.code == "INTERNAL"


GROWS: dict[str, Callable[[House], None]] = {
    "SolidGreenErrors": lambda house: house.batcher.tally.refused.update({Code.INTERNAL: 20}),
    "SolidGreenHttpErrors": lambda house: house.traffic.requests.update({("/v1/auth/login", "503"): 20}),
    "SolidGreenReadsFail": lambda house: asyncio.run(fail_to_read(house)),
    "SolidGreenSlow": lambda house: house.batcher.tally.waits.add_all([1_200_000] * 20),
}


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    """As few as are in use now, and a tenth."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as opened:
        for _ in range(200):
            opened.enter_context(Path(os.devnull).open())
        used = len([*Path("/proc/self/fd").iterdir()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(used * 1.1), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
def test_each_state_of_a_server_fires_its_own_alert_and_no_other(tmp_path: Path) -> None:
    told: list[str] = []

    def well(name: str) -> tuple[House, Path]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "books.db.backed-up").touch()
        house = made_up(folder / "books.db")
        house.batcher.tally.confirmed += 100
        house.batcher.tally.waits.add_all([5_000] * 100)
        house.traffic.answered("/v1/auth/login", "200", 5_000)
        house.traffic.requests["/v1/auth/login", "503"] += 0
        return house, folder

    house, folder = well("nothing")
    told += series("nothing", text := scraped(house), text)
    (folder / "books.db.backed-up").unlink()
    told += series("SolidGreenBackupOld", text := scraped(house), text)
    for alert, state in SET.items():
        house, folder = well(alert)
        text = scraped(state(house, folder) or house)
        told += series(alert, text, text)
    for alert, grow in GROWS.items():
        house, folder = well(alert)
        before = scraped(house)
        grow(house)
        told += series(alert, before, scraped(house))
    before = scraped(well("SolidGreenBusy")[0])
    cpu = "process_cpu_seconds_total"
    busy = [(name, labels, value + 54 * (name == cpu)) for name, labels, value in before]
    told += series("SolidGreenBusy", before, busy)
    house, folder = well("SolidGreenDescriptors")
    with few_descriptors():
        told += series("SolidGreenDescriptors", text := scraped(house), text)

    loads = {"much to do": 0.97, "a little too much": 1.03, "SolidGreenQueueAges": 1.5}
    queues = [line for name, load in loads.items() for line in ages(name, load)]

    found = fired(tmp_path, {"60": told, "15": queues})
    assert ("a little too much", "SolidGreenQueueAges") in found
    found.remove(("a little too much", "SolidGreenQueueAges"))
    assert {(name, alert) for name, alert in found if name != alert} == set()
    # Of those two a server tells nothing.
    assert {alert for _, alert in found} == set(alerts()) - {"SolidGreenDown", "SolidGreenRestarts"}


class Bet:
    """What waits."""

    is_bet = True

    def __init__(self, arrived_us: int, asker: int) -> None:
        self.arrived_us = arrived_us
        self.asker = asker


def ages(name: str, load: float, a_second: int = 4000) -> list[str]:
    """How old a real queue is seen before a writer that takes so many bets a second and is sent `load` times
    as many, by 200 players: in a time of its own, and more often than Prometheus would look."""
    queue: Queue[Bet] = Queue(BatchLimits())
    seen: list[str] = []
    now_us, sent = 0, 0
    while len(seen) <= SCRAPES:
        batch, _ = queue.close_batch(now_us)
        now_us += 3000 + len(batch) * 1_000_000 // a_second
        while (arrives_us := int(sent * 1_000_000 / (a_second * load))) <= now_us:
            queue.offer(Bet(arrives_us, sent % 200))
            sent += 1
            if arrives_us > 12_000_000 + len(seen) * 70_000:  # when it stands, and in step with nothing
                seen.append(f"{queue.oldest_age_us(arrives_us) / 1e6:.4f}")
    return named("solidgreen_queue_oldest_seconds", {}, name, " ".join(seen))
