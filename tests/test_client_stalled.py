"""The client in Python when the server, made up here, takes no more, or wants no more of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from harness.wire import SUBPROTOCOL
from tests.test_client import play
from ws.client import MemoryJournal, NotAuthenticated, Wallet, link
from ws.wire.payouts import Payout, PayoutAdd, PayoutWinner

ITEMS, REQUESTS = 1000, 250
"""6 MB of requests: more than the kernel takes for a reader that has stopped."""
WELCOME = {
    "type": "welcome", "user_id": 42, "role": "player", "server_time": 1_760_000_000_000, "limits": {},
    "currency": "EUR", "balance": 1000, "held": 0, "available": 1000, "seq": 917,
}  # fmt: skip

Handler = Callable[[ServerConnection, int], Awaitable[None]]


async def with_server(handler: Handler, scene: Callable[[str], Awaitable[None]]) -> int:
    """Play a scene with a server whose connections, counted from 1, are handled so. Returns how many came."""
    count = 0

    async def welcomed(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        await connection.send(json.dumps(WELCOME))
        await handler(connection, count)

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    async with serve(welcomed, sock=listening, subprotocols=[SUBPROTOCOL], max_queue=1):
        await scene(f"ws://127.0.0.1:{listening.getsockname()[1]}/ws")
    return count


def payout(asked: dict[str, Any]) -> dict[str, Any]:
    """What answers a `payout.add`."""
    told = {"payout_id": 7, "state": "collecting", "items": ITEMS, "total": ITEMS, "done": 0, "suspended": 0}
    return {"type": "payout", "id": asked["id"], **told}


@pytest.mark.long
def test_a_server_that_takes_no_more_is_left_for_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it to take a frame would not see that nothing is heard of it."""
    monkeypatch.setattr(link, "SEND_WITHIN_S", 0.5)
    ended = asyncio.Event()

    async def handler(connection: ServerConnection, number: int) -> None:
        if number == 1:
            await ended.wait()
            return
        async for frame in connection:
            asked = json.loads(frame)
            answers = [payout(each) for each in (asked if isinstance(asked, list) else [asked])]
            await connection.send(json.dumps(answers))

    async def scene(url: str) -> None:
        async with Wallet(url, "token", within_s=50) as wallet:
            adds = [
                PayoutAdd("", f"key-{number}", 7, number * ITEMS, [PayoutWinner(1, 1)] * ITEMS)
                for number in range(REQUESTS)
            ]
            answers = await asyncio.gather(*(wallet.ask(add, Payout) for add in adds))
            assert len(answers) == REQUESTS
        ended.set()

    async def whole() -> None:
        assert await with_server(handler, scene) == 2

    play(whole)


def test_a_bet_that_never_left_is_no_riddle_when_the_client_has_given_up() -> None:
    journal = MemoryJournal()

    async def handler(connection: ServerConnection, number: int) -> None:
        await connection.close(4401)

    async def scene(url: str) -> None:
        async with Wallet(url, "the only token", journal=journal) as wallet:
            with pytest.raises(NotAuthenticated):
                await anext(aiter(wallet.entries()))
            with pytest.raises(NotAuthenticated):
                await wallet.place(1)

    async def whole() -> None:
        assert await with_server(handler, scene) == 1

    play(whole)
    assert journal.kept() == []
