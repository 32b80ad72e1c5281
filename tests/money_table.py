"""A player and an operator at a real server: bets, holds, and each message that moves money."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from harness.wire import Wire, bet, connect
from tests.operating import move
from tests.server_fixture import Json, World

FEES = 3
"""The fees book of the file's first currency (docs/wire.md)."""

MOST = 2**53 - 1


@dataclass
class Table:
    """A player's socket and an operator's."""

    world: World
    user_id: int
    token: str
    player: Wire
    operator: Wire

    async def move(self, type_: str, **fields: object) -> Json:
        """The operator's message, under a new key unless told."""
        return await move(self.operator, type_, **fields)

    async def bet(self, stake: int, **fields: object) -> str:
        """The id of a bet that is confirmed."""
        request = bet(stake, **fields)
        confirmed = await self.player.ask(request)
        assert confirmed["type"] == "bet.confirmed", confirmed
        return str(request["bet_id"])

    async def settle(self, bet_id: str, result: str, payout: int | None = None) -> Json:
        fields: Json = {} if payout is None else {"payout": payout}
        return await self.move("bet.settle", bet_id=bet_id, result=result, **fields)

    async def hold(self, amount: int, **fields: object) -> int:
        """The id of a hold on the player's wallet."""
        held = await self.move("wallet.hold", user_id=self.user_id, amount=amount, **fields)
        assert (held["type"], held["hold_state"], held["hold_left"]) == ("wallet.moved", "open", amount), held
        return int(held["hold_id"])

    async def wallet(self) -> tuple[int, int, int]:
        """Balance, held, available."""
        told = await self.player.ask({"type": "balance.get"})
        return told["balance"], told["held"], told["available"]

    async def state(self, bet_id: str) -> tuple[str, int]:
        """State and payout, as the player sees them."""
        told = await self.player.ask({"type": "bet.get", "bet_id": bet_id})
        return told["state"], told["payout"]

    async def pushed(self) -> tuple[str, int, int, str | None]:
        """Kind, amount, balance and bet of the next push to the player."""
        told = await self.player.push("wallet.entry")
        return told["kind"], told["amount"], told["balance"], told.get("bet_id")


Play = Callable[[Table], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def seated(world: World) -> AsyncIterator[Table]:
    user_id, token = world.player()
    url = world.server.ws
    async with connect(url, token) as player, connect(url, world.operator) as operator:
        yield Table(world, user_id, token, player, operator)
        assert player.pushes == [], "a push that no test has looked at"
        assert operator.pushes == [], "an operator follows no wallet"


def play(world: World, scenario: Play) -> None:
    async def run() -> None:
        async with seated(world) as table:
            await scenario(table)

    asyncio.run(run())


async def each_message(table: Table) -> list[tuple[Json, Json]]:
    """Each message of operators that would succeed, and what makes another request of it."""
    user_id, other_id = table.user_id, world_player(table)
    bets = [await table.bet(250) for _ in range(3)]
    settled = await table.bet(250)
    await table.settle(settled, "lost")
    holds = [await table.hold(100) for _ in range(2)]
    legs = [{"user_id": user_id, "amount": -10}, {"user_id": other_id, "amount": 10}]
    return [
        ({"type": "bet.settle", "bet_id": bets[0], "result": "lost"}, {"result": "void"}),
        ({"type": "bet.unsettle", "bet_id": settled}, {"bet_id": bets[1]}),
        ({"type": "bet.rollback", "bet_id": bets[1]}, {"stake": 250}),
        ({"type": "bet.cashout", "bet_id": bets[2], "stake": 10, "payout": 0}, {"payout": 1}),
        ({"type": "wallet.deposit", "user_id": user_id, "amount": 5}, {"amount": 6}),
        ({"type": "wallet.withdraw", "user_id": user_id, "amount": 5}, {"for_approval": True}),
        ({"type": "wallet.hold", "user_id": user_id, "amount": 5}, {"expires_at": MOST}),
        ({"type": "hold.capture", "hold_id": holds[0], "amount": 1}, {"amount": 2}),
        ({"type": "hold.release", "hold_id": holds[1]}, {"hold_id": holds[0]}),
        ({"type": "wallet.transfer", "legs": legs}, {"legs": legs[::-1]}),
        ({"type": "wallet.status", "user_id": user_id, "status": "blocked"}, {"status": "open"}),
    ]


def world_player(table: Table) -> int:
    return table.world.player()[0]
