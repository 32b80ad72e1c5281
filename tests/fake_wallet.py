"""Wallets that answer as a test wants them to, for the load drivers to be measured against."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection, serve

WELCOME = json.dumps({"type": "welcome", "user_id": 42})

Answer = Callable[[list[dict[str, Any]], ServerConnection], Awaitable[None]]
"""Called with the bets of each frame."""

Result = TypeVar("Result")


def confirmed(tag: str) -> dict[str, Any]:
    return {"type": "bet.confirmed", "id": tag, "bet_id": "0199", "stake": 250, "replayed": False}


def pending(tag: str) -> dict[str, Any]:
    return {"type": "bet.pending", "id": tag, "bet_id": "0199"}


def rejected(tag: str, code: str) -> dict[str, Any]:
    return {"type": "bet.rejected", "id": tag, "code": code}


def compact(*objects: dict[str, Any]) -> bytes:
    """As the server writes: an object, or an array where there are several."""
    return json.dumps(objects if len(objects) > 1 else objects[0], separators=(",", ":")).encode()


async def confirm(asked: list[dict[str, Any]], socket: ServerConnection) -> None:
    """The simplest wallet: every bet is confirmed at once."""
    await socket.send(compact(*(confirmed(bet["id"]) for bet in asked)), text=True)


def tokens(connections: int) -> list[str]:
    """What the fake wallet takes."""
    return [f"t{number}" for number in range(connections)]


def driven(answer: Answer, drive: Callable[[str], Awaitable[Result]]) -> Result:
    """What `drive` returns, given the URL of a wallet whose every frame goes to `answer`."""

    async def wallet(socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.headers["Authorization"] in {f"Bearer {each}" for each in tokens(100)}
        assert socket.subprotocol == "wallet.v1"
        await socket.send(WELCOME)
        async for text in socket:
            asked = json.loads(text)
            await answer(asked if isinstance(asked, list) else [asked], socket)

    async def scene() -> Result:
        async with serve(wallet, "127.0.0.1", 0, subprotocols=["wallet.v1"], compression=None) as server:  # type: ignore[list-item]
            port = next(iter(server.sockets)).getsockname()[1]
            return await drive(f"ws://127.0.0.1:{port}/ws")

    return asyncio.run(scene())
