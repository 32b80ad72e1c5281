"""`circuit.get`: whether bets are taken, for anybody who asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from batcher.batcher import UNTIL_RESTART
from engine.outcomes import Code
from harness.wire import connect
from tests.batches import FULL, IO_ERROR, S, bet, world
from tests.batches import World as Batches
from tests.server_fixture import World
from ws.asking.lookups import look_up
from ws.effects import Identity
from ws.wire.circuit import CircuitGet

ANYBODY = Identity(7, "player", 2**40)
CLOSED = {
    "type": "circuit",
    "id": "c",
    "state": "closed",
    "reason": None,
    "remaining_ms": 0,
    "retry_after_ms": 0,
}


@pytest.mark.parametrize("role", ["player", "operator", "auditor"])
def test_any_role_may_ask(world: World, role: str) -> None:
    token = world.player()[1] if role == "player" else getattr(world, role)

    async def ask() -> None:
        async with connect(world.server.ws, token) as wire:
            assert await wire.ask({"type": "circuit.get", "id": "c"}) == CLOSED
            refused = await wire.ask({"type": "circuit.get", "id": "d", "why": 1})
            assert refused["code"] == "INVALID_REQUEST"

    asyncio.run(ask())


async def shown(this: Batches) -> dict[str, object]:
    (reply,) = await look_up(this, CircuitGet("c"), ANYBODY)
    told: dict[str, object] = msgspec.to_builtins(reply)
    return told


def test_it_says_why_and_when_to_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(FULL, FULL, FULL)
            for number in range(3):
                assert await this.submit(bet(number)).code() is Code.OVERLOADED
            why = {"state": "open", "reason": "commits failed", "remaining_ms": 30_000}
            assert await shown(this) == CLOSED | why | {"retry_after_ms": 1000}
            this.clock.now_us += S // 2 + 1
            assert (await shown(this))["retry_after_ms"] == 500  # rounded up
            this.clock.now_us += S // 2
            assert await this.submit(bet(3)).code() is None
            this.clock.now_us += 10 * S
            why |= {"state": "half_open", "remaining_ms": 20_000}
            assert await shown(this) == CLOSED | why | {"retry_after_ms": 1000}
            this.clock.now_us += 20 * S
            assert await shown(this) == CLOSED | why | {"remaining_ms": 0, "retry_after_ms": 1000}
            assert await this.submit(bet(4)).code() is None
            assert await shown(this) == CLOSED

    asyncio.run(run())


def test_where_only_a_restart_helps_it_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as this:
            this.disk.fail(IO_ERROR)
            assert await this.submit(bet(1)).code() is Code.OUTCOME_UNKNOWN
            assert await shown(this) == CLOSED | {
                "state": "open",
                "reason": UNTIL_RESTART,
                "remaining_ms": None,
                "retry_after_ms": None,
            }

    asyncio.run(run())
