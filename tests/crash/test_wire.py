"""The client that the proofs stand on: which message goes to whom, against a server that says as told."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from harness.wire import SUBPROTOCOL, SocketClosed, Wire, bet, connect, new_bet_id

Json = dict[str, Any]
WELCOME = {"type": "welcome", "user_id": 7}


def against(
    server: Callable[[ServerConnection], Awaitable[None]],
    client: Callable[[Wire], Awaitable[None]],
    **options: Any,
) -> None:
    """Run `client` on a socket to `server`, which has said its welcome."""

    async def welcome_and(socket: ServerConnection) -> None:
        await socket.send(json.dumps(WELCOME))
        await server(socket)

    async def both() -> None:
        async with serve(
            welcome_and, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], compression=None
        ) as listener:
            port = listener.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/ws", "a-token", within_s=2, **options) as wire:
                await client(wire)

    asyncio.run(both())


async def read(socket: ServerConnection) -> Any:
    return json.loads(await socket.recv())


def test_replies_find_their_requests_in_any_order_and_in_frames_of_one_or_many() -> None:
    async def server(socket: ServerConnection) -> None:
        first, second = await read(socket)
        third = await read(socket)
        pending = [{"type": "bet.pending", "id": asked["id"]} for asked in (first, second)]
        await socket.send(json.dumps([{"type": "pong", "id": third["id"]}, *pending]))
        await socket.send(json.dumps({"type": "bet.rejected", "id": second["id"]}))
        await socket.send(json.dumps({"type": "bet.confirmed", "id": first["id"]}))

    async def client(wire: Wire) -> None:
        assert wire.welcome == WELCOME
        first, second = await wire.send(bet(1), bet(2) | {"id": "mine"})
        assert (await wire.ask({"type": "ping"}))["type"] == "pong"
        assert await second.answer() == {"type": "bet.rejected", "id": "mine"}
        assert (await first.answer())["type"] == "bet.confirmed"
        assert [reply["type"] for reply in first.replies] == ["bet.pending", "bet.confirmed"]

    against(server, client)


def test_what_answers_nobody_is_a_push_or_a_stray() -> None:
    async def server(socket: ServerConnection) -> None:
        (asked,) = await read(socket)
        pushes = [
            {"type": "wallet.entry", "seq": 1},
            {"type": "balance", "seq": 2},
            {"type": "wallet.entry", "seq": 3},
        ]
        await socket.send(
            json.dumps([*pushes, {"type": "error", "id": None}, {"type": "pong", "id": asked["id"]}])
        )
        await socket.send(json.dumps({"type": "pong", "id": asked["id"]}))

    async def client(wire: Wire) -> None:
        assert len(await wire.ask_all({"type": "ping"})) == 1
        assert await wire.push("balance") == {"type": "balance", "seq": 2}
        assert [(await wire.push())["seq"], (await wire.push())["seq"]] == [1, 3]
        assert await wire.stray() == {"type": "error", "id": None}
        assert (await wire.stray("pong"))["type"] == "pong"  # answered twice: the second answers nobody

    against(server, client)


def test_everybody_who_waits_hears_that_the_socket_was_closed() -> None:
    async def server(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.close(4429, "too many")

    async def client(wire: Wire) -> None:
        heard = await asyncio.gather(wire.ask({"type": "ping"}), wire.push(), return_exceptions=True)
        assert [getattr(fault, "code", None) for fault in heard] == [4429, 4429]
        assert await wire.close_code() == 4429
        with pytest.raises(SocketClosed, match="4429 too many"):
            await wire.ask({"type": "ping"})

    against(server, client)


def test_a_fault_of_the_observer_ends_the_socket_instead_of_passing_unseen() -> None:
    async def server(socket: ServerConnection) -> None:
        await socket.wait_closed()

    def observe(message: Json) -> None:
        raise ZeroDivisionError(message["type"])

    async def client(wire: Wire) -> None:
        raise AssertionError("no welcome can have been read")

    with pytest.raises(ZeroDivisionError, match="welcome"):
        against(server, client, on_message=observe)


def test_the_token_goes_with_the_handshake_or_as_first_message() -> None:
    heard: list[Any] = []

    async def server(socket: ServerConnection) -> None:
        assert socket.request is not None
        heard.append(socket.request.headers.get("Authorization"))
        heard.append(await read(socket))

    async def ping(wire: Wire) -> None:
        await wire.send({"type": "ping", "id": "1"})
        await wire.close_code()

    against(server, ping)
    against(server, ping, by_message=True)
    assert heard == [
        "Bearer a-token",
        {"type": "ping", "id": "1"},
        None,
        {"type": "auth", "token": "a-token"},
    ]


def test_one_id_cannot_wait_twice() -> None:
    async def server(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def client(wire: Wire) -> None:
        await wire.send({"type": "ping", "id": "1"})
        with pytest.raises(ValueError, match="'1' already waits"):
            await wire.send({"type": "ping", "id": "1"})

    against(server, client)


def test_a_new_bet_id_is_a_uuid_of_version_7_and_its_own() -> None:
    ids = {new_bet_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(uuid.UUID(made).version, uuid.UUID(made).variant) for made in ids} == {(7, uuid.RFC_4122)}
    assert all(str(uuid.UUID(made)) == made for made in ids)
