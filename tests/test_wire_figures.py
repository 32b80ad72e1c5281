"""The figures of each second at a real server: what was placed is what is counted, by whoever follows."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from harness.wire import Wire, bet, connect
from tests.server_fixture import World

FOLLOW = {"type": "figures.follow"}


async def seconds_until(wire: Wire, confirmed: int) -> list[dict[str, Any]]:
    """What is pushed until so many bets were confirmed in all."""
    heard = []
    async with asyncio.timeout(20):
        while not heard or heard[-1]["totals"]["confirmed"] < confirmed:
            heard.append(await wire.push("figures"))
    return heard


def test_what_was_placed_is_counted_once(world: World) -> None:
    async def scenario() -> None:
        async with (
            connect(world.server.ws, world.operator) as first,
            connect(world.server.ws, world.auditor) as second,
            connect(world.server.ws, world.player()[1]) as player,
        ):
            before = await first.ask(FOLLOW)
            assert (before["over_ms"], before["bets"]) == (
                0,
                {"confirmed": 0, "replayed": 0, "rejected": {}},
            )
            assert before["latency_ms"] == {"p50": None, "p99": None}
            was = before["totals"]["confirmed"]
            await first.push("figures")  # from here on whole seconds
            bets = [bet(10) for _ in range(50)]
            await player.ask_all(*bets, bets[0], bet(10**9), bet(10**9), {"type": "balance.get"})
            heard = await seconds_until(first, was + 50)
            assert all("id" not in each for each in heard)
            assert all(900 <= each["over_ms"] < 10_000 for each in heard)
            assert sum(each["bets"]["confirmed"] for each in heard) == 50
            assert sum(each["bets"]["replayed"] for each in heard) == 1
            refused = sum((Counter(each["bets"]["rejected"]) for each in heard), Counter[str]())
            assert refused == {"INSUFFICIENT_FUNDS": 2}
            (busy, *_) = [each for each in heard if each["bets"]["confirmed"]]
            assert busy["batch"]["batches"] >= 1
            assert 0 < busy["latency_ms"]["p50"] <= busy["latency_ms"]["p99"]
            assert 0 < busy["commit_ms"]["p50"] <= busy["commit_ms"]["p99"]
            assert (busy["breaker"]["state"], busy["nonces"]["status"]) == ("closed", "ok")
            assert busy["wal_bytes"] > 0
            assert busy["sockets"] >= 3
            assert busy["queue"] == {"length": 0, "oldest_ms": 0}
            assert busy["stopping"] is False

            # Whoever comes later hears the newest second at once, then the same as all others.
            at_once = await second.ask(FOLLOW)
            assert at_once["over_ms"] >= 900
            mine, its = await first.push("figures"), await second.push("figures")
            while mine["at"] < its["at"]:
                mine = await first.push("figures")
            assert mine == its
            again = await second.ask(FOLLOW)  # a second time does no harm
            assert again["type"] == "figures"

    asyncio.run(scenario())


def test_it_takes_no_other_fields(world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.ws, world.operator) as wire:
            refused = await wire.ask(FOLLOW | {"every_ms": 10})
            assert (refused["code"], refused["message"]) == ("INVALID_REQUEST", "every_ms: unknown field")
            assert wire.pushes == []

    asyncio.run(scenario())
