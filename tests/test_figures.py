"""What each second has brought: the differences, in their units, told to all who follow and made once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.breaker import Reason, State, Status
from batcher.memory_nonces import MemoryGuard
from engine.histograms import Histogram
from engine.outcomes import Code
from ws.sockets.hub import Hub
from ws.watching import figures as module
from ws.watching.figures import Seconds
from ws.watching.sizes import Gauge
from ws.wire.figures import BatchesCounted, BetsCounted, Figures, NoncesShown, Quantiles, Totals


class Guard(MemoryGuard):
    """A nonce guard in front of which a breaker is open."""

    def health(self) -> str | None:
        return "Redis is away"

    def status(self) -> Any:
        return Status(State.HALF_OPEN, Reason.CLAIM_SLOW, 29_999_001)


class Socket:
    """Whoever follows."""

    def __init__(self) -> None:
        self.heard: list[Figures] = []
        self.has_heard = asyncio.Event()

    def push(self, message: Any) -> None:
        self.heard.append(message)
        self.has_heard.set()


class House:
    """The parts that figures are made of, with nobody in it."""

    def __init__(self, path: Path, guard: MemoryGuard | None = None) -> None:
        self.store: Any = SimpleNamespace(path=path, commit_times=Histogram())
        guard = guard or MemoryGuard()
        self.batcher, self.hub = Batcher(self.store, guard), Hub()
        self.seconds = Seconds(self.store, self.batcher, guard, self.hub, Gauge(self.store))

    def socket(self) -> Any:
        one: Any = Socket()
        self.hub.enter(one)
        return one


def test_without_a_second_there_is_nothing_but_how_it_stands(tmp_path: Path) -> None:
    async def look() -> None:
        house = House(tmp_path / "books.db")
        house.batcher.tally.confirmed = 5
        (tmp_path / "books.db-wal").write_bytes(b"x" * 321)
        told = house.seconds.newest("r")
        assert (told.id, told.over_ms, told.commands, told.wal_bytes, told.sockets) == ("r", 0, 0, 321, 0)
        assert told.bets == BetsCounted(0, 0, {})
        assert told.latency_ms == told.commit_ms == Quantiles(None, None)
        assert told.batch == BatchesCounted(0, None, None)
        assert told.totals == Totals(5, 0, 0)
        assert told.nonces == NoncesShown("ok", None, None, None)
        assert (told.breaker.state, told.breaker.reason, told.breaker.remaining_ms) == ("closed", None, 0)
        assert (told.storage_failed, told.stopping) == (None, False)

    asyncio.run(look())


def test_a_second_is_what_came_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)

    async def follow() -> None:
        house = House(tmp_path / "books.db", Guard())
        tally, hub = house.batcher.tally, house.hub
        tally.confirmed, tally.replayed = 100, 10
        tally.refused[Code.OVERLOADED] = 3
        tally.waits.add_all([400] * 50)
        making = asyncio.create_task(house.seconds.run())
        first, second = house.socket(), house.socket()
        hub.follow_figures(first)
        hub.follow_figures(second)
        await asyncio.sleep(0)  # it counts what there was
        tally.confirmed += 7
        tally.refused[Code.INSUFFICIENT_FUNDS] += 2
        tally.others["DEPOSIT", "done"] += 4
        tally.waits.add_all([1_500] * 7)
        tally.batches.add(1)
        house.store.commit_times.add(800)
        await first.has_heard.wait()
        told = first.heard[0]
        assert second.heard == first.heard[:1], "made once for both"
        assert second.heard[0] is told
        assert told.bets == BetsCounted(7, 0, {"INSUFFICIENT_FUNDS": 2}), "and no code that there was before"
        assert (told.commands, told.sockets) == (4, 2)
        assert told.latency_ms == Quantiles(1.75, 2.485), "of 7 between 1 and 2.5 ms, evenly"
        assert told.batch == BatchesCounted(1, 1.0, 1.0), "no batch has less than one"
        assert told.commit_ms == Quantiles(0.75, 0.995)
        assert told.totals == Totals(107, 10, 5)
        assert 50 <= told.over_ms < 5_000
        assert told.nonces == NoncesShown("degraded", "Redis is away", "half_open", 30_000)
        assert house.seconds.newest("r") == Figures(
            **{name: getattr(told, name) for name in told.__struct_fields__} | {"id": "r"}
        )
        assert not isinstance(told.id, str)

        # Nobody follows: nothing is made. Somebody again: from then on.
        for socket in (first, second):
            hub.leave(socket, None, None)
        tally.confirmed += 1_000
        while house.seconds._newest is not None:
            await asyncio.sleep(0.01)
        third = house.socket()
        hub.follow_figures(third)
        await third.has_heard.wait()
        assert third.heard[0].bets.confirmed == 0
        making.cancel()
        await asyncio.wait([making])

    asyncio.run(asyncio.wait_for(follow(), 20))


def test_who_has_left_is_not_followed(tmp_path: Path) -> None:
    async def leave() -> None:
        house = House(tmp_path / "books.db")
        one = house.socket()
        house.hub.leave(one, None, None)
        house.hub.follow_figures(one)
        assert not house.hub.is_followed

    asyncio.run(leave())


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    async def look() -> None:
        house = House(tmp_path / "books.db")
        for _ in range(3):
            house.batcher._breaker.commit_failed(house.batcher._clock())
        told = house.seconds.newest("r")
        assert (told.breaker.state, told.breaker.reason) == ("open", "commits failed")
        assert told.breaker.remaining_ms == 30_000
        house.batcher._pipeline.failure = "a COMMIT is unknown"
        assert house.seconds.newest("r").storage_failed == "a COMMIT is unknown"
        await house.batcher.drain()
        assert house.seconds.newest("r").stopping

    asyncio.run(look())
