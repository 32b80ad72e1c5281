"""A person with wallets, bonus money and free bets at a real server, and an operator who grants them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.process import seed
from harness.wire import Wire, bet, connect
from tests.operating import move
from tests.server_fixture import Json, World, mint, running


@contextlib.contextmanager
def serving_two_currencies(folder: Path, players: int) -> Iterator[World]:
    """A server whose `players` have wallets in EUR, and whose house has books in USD as well."""
    seed(folder / "wallet.db", 1, currency="USD")
    with running(folder, players) as live:
        yield live
        live.assert_sound()


def rejected(answer: Json, code: str) -> bool:
    """Whether a bet was refused for good."""
    return (answer["type"], answer.get("code"), answer.get("retryable")) == ("bet.rejected", code, False)


@dataclass
class Table:
    """A player's socket and an operator's."""

    world: World
    user_id: int
    player: Wire
    operator: Wire

    async def move(self, type_: str, **fields: object) -> Json:
        """What the operator's message has done."""
        answer = await move(self.operator, type_, **fields)
        assert answer["type"] != "error", answer
        return answer

    async def grant(self, amount: int, spend: str = "first", **fields: object) -> int:
        """The number of the bonus wallet, after a grant."""
        granted = await self.move("bonus.grant", user_id=self.user_id, amount=amount, spend=spend, **fields)
        return int(granted["user_id"])

    async def free_bet(self, amount: int, **fields: object) -> int:
        """The number of a new free bet."""
        granted = await self.move("free_bet.grant", user_id=self.user_id, amount=amount, **fields)
        return int(granted["free_bet_id"])

    async def bet(self, stake: int, **fields: object) -> Json:
        """A bet that is confirmed."""
        answer = await self.player.ask(bet(stake, **fields))
        assert answer["type"] == "bet.confirmed", answer
        return answer

    async def pushed(self) -> tuple[str, int, int]:
        """Kind, amount and balance of the next push to the player's wallet."""
        return shown(await self.player.push("wallet.entry"))

    async def balances(self) -> dict[int, int]:
        """What is in each of the person's wallets, by its number."""
        listed = await self.player.ask({"type": "wallet.list"})
        return {wallet["user_id"]: wallet["balance"] for wallet in listed["wallets"]}

    async def free_bets(self) -> list[int]:
        """The free bets that the player sees."""
        listed = await self.player.ask({"type": "wallet.list"})
        return [each["free_bet_id"] for each in listed["free_bets"]]

    def wallet(self, user_id: int) -> contextlib.AbstractAsyncContextManager[Wire]:
        """A socket of another wallet, as a player."""
        return connect(self.world.server.ws, mint(user_id))


def shown(push: Json) -> tuple[str, int, int]:
    """Kind, amount and balance of a `wallet.entry`."""
    return push["kind"], push["amount"], push["balance"]


@contextlib.asynccontextmanager
async def seated(world: World) -> AsyncIterator[Table]:
    user_id, token = world.player()
    url = world.server.ws
    async with connect(url, token) as player, connect(url, world.operator) as operator:
        yield Table(world, user_id, player, operator)
        assert player.pushes == [], "a push that no test has looked at"
        assert operator.pushes == [], "an operator follows no wallet"


def play(world: World, scenario: Callable[[Table], Coroutine[Any, Any, None]]) -> None:
    """A scenario with a player whose wallet no other has touched."""

    async def run() -> None:
        async with seated(world) as table:
            await scenario(table)

    asyncio.run(run())
