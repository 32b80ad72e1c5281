"""The client in Python when the server, made up here, takes no more, or wants no more of it."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from harness.wire import SUBPROTOCOL
from tests.test_client import play
from ws.client import (
    BetConfirmed,
    GivenUp,
    MemoryJournal,
    NotAuthenticated,
    NotPlaced,
    Unresolved,
    Wallet,
    link,
    new_bet_id,
)
from ws.client.state import Phase
from ws.wire.payouts import Payout, PayoutAdd, PayoutWinner

ITEMS, REQUESTS = 1000, 250
"""6 MB of requests: more than the kernel takes for a reader that has stopped."""
WELCOME = {
    "type": "welcome", "user_id": 42, "role": "player", "server_time": 1_760_000_000_000, "limits": {},
    "currency": "EUR", "balance": 1000, "held": 0, "available": 1000, "seq": 917,
}  # fmt: skip

UNANSWERED_S = 0.1
"""How long a call waits for what never comes."""

Handler = Callable[[ServerConnection, int], Awaitable[None]]


async def with_server(handler: Handler, scene: Callable[[str], Awaitable[None]], **limits: int) -> int:
    """Play a scene with a server whose connections, counted from 1, are handled so. Returns how many came."""
    count = 0

    async def welcomed(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        await connection.send(json.dumps(WELCOME | {"limits": limits}))
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
            depths = set()
            for _ in range(3):
                with pytest.raises(NotAuthenticated) as refused:
                    await wallet.place(1)
                depths.add(len(traceback.extract_tb(refused.value.__traceback__)))
            assert len(depths) == 1, "it keeps the frames of all that have heard it"

    async def whole() -> None:
        assert await with_server(handler, scene) == 1

    play(whole)
    assert journal.kept() == []


def confirmed(bet: dict[str, Any], *, replayed: bool = False) -> dict[str, Any]:
    moved = {"transaction_id": 88, "block": 4, "seq": 918, "balance": 999, "held": 0, "available": 999}
    asked = {name: bet[name] for name in ("id", "bet_id", "stake")}
    return {"type": "bet.confirmed", **asked, **moved, "replayed": replayed}


def test_an_answer_that_comes_too_late_is_kept_until_somebody_is_told() -> None:
    """Else a process that ends then leaves a bet that is placed, and that nobody ever heard of."""
    journal, given_up = MemoryJournal(), asyncio.Event()
    late = {"type": "payout.progress", "payout_id": 7, "state": "paid", "items": 1, "total": 1, "done": 1}

    async def handler(connection: ServerConnection, number: int) -> None:
        asked = json.loads(await connection.recv())
        await given_up.wait()
        await connection.send(json.dumps([confirmed(asked), late | {"suspended": 0}]))
        await connection.wait_closed()

    async def scene(url: str) -> None:
        told = asyncio.Queue[object]()
        async with Wallet(url, "token", journal=journal, on_push=told.put_nowait) as wallet:
            await told.get()  # the welcome
            with pytest.raises(Unresolved) as unresolved:
                await wallet.place(1, within_s=UNANSWERED_S)
            given_up.set()
            await told.get()
            bet_id = unresolved.value.bet_id
            assert bet_id is not None
            assert wallet.unresolved() == [bet_id] == [each.bet.bet_id for each in journal.kept()]
            assert isinstance(await wallet.resolve(bet_id), BetConfirmed)
            assert wallet.unresolved() == []
            with pytest.raises(KeyError):
                await wallet.resolve(bet_id)

    async def whole() -> None:
        assert await with_server(handler, scene) == 1

    play(whole)


def test_that_a_bet_never_arrived_is_known_to_whoever_comes_back_later() -> None:
    """Each of his looks is shorter than the time in which it might still arrive."""

    async def handler(connection: ServerConnection, number: int) -> None:
        async for frame in connection:
            asked = json.loads(frame)
            if asked["type"] == "bet.get":
                refused = {"code": "NOT_FOUND", "message": "…", "retryable": False}
                await connection.send(json.dumps({"type": "error", "id": asked["id"], **refused}))

    async def scene(url: str) -> None:
        async with Wallet(url, "token", within_s=UNANSWERED_S) as wallet:
            with pytest.raises(Unresolved):
                await wallet.place(1)
            (bet_id,) = wallet.unresolved()
            looks = 0
            async with asyncio.timeout(10):
                while wallet.unresolved():
                    looks += 1
                    try:
                        assert await wallet.resolve(bet_id) == NotPlaced(bet_id)
                    except Unresolved:
                        continue
            assert looks > 1

    async def whole() -> None:
        assert await with_server(handler, scene, nonce_window_ms=400) == 1

    play(whole)


def test_a_call_that_is_cancelled_before_its_bet_has_left_leaves_nothing_behind() -> None:
    async def handler(connection: ServerConnection, number: int) -> None:
        await connection.close(1001)  # not before 0.5 s it is asked again

    async def scene(url: str) -> None:
        async with Wallet(url, "token") as wallet:
            while wallet._link.state.phase is not Phase.OFFLINE:
                await asyncio.sleep(0)
            call = asyncio.create_task(wallet.place(1))
            while not wallet._link._waiters:
                await asyncio.sleep(0)
            assert len(wallet.unresolved()) == 1
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert wallet.unresolved() == []

    async def whole() -> None:
        assert await with_server(handler, scene) == 1

    play(whole)


def test_a_server_that_never_answers_the_handshake_is_left_however_patient_the_caller_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "OPEN_WITHIN_S", 0.3)

    async def scene() -> None:
        came = 0

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal came
            came += 1
            await reader.read()  # until it is left
            writer.close()

        async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(GivenUp, match="in 2 s"):
                async with Wallet(f"ws://127.0.0.1:{port}/ws", "token", within_s=2):
                    pytest.fail("nobody answers")
        assert came > 1

    play(scene)


def test_a_bet_that_another_call_still_has_placed_is_not_forgotten_by_one_that_gave_up() -> None:
    journal, bet_id = MemoryJournal(), new_bet_id()

    async def handler(connection: ServerConnection, number: int) -> None:
        if number == 1:
            await connection.close(1001)
            return
        await connection.send(json.dumps(confirmed(json.loads(await connection.recv()))))
        await connection.wait_closed()

    async def scene(url: str) -> None:
        async with Wallet(url, "token", journal=journal) as wallet:
            while wallet._link.state.phase is not Phase.OFFLINE:
                await asyncio.sleep(0)
            first = asyncio.create_task(wallet.place(1, bet_id=bet_id, within_s=UNANSWERED_S))
            while not wallet._link._waiters:
                await asyncio.sleep(0)
            again = asyncio.create_task(wallet.place(1, bet_id=bet_id))
            with pytest.raises(Unresolved) as unresolved:
                await first
            assert unresolved.value.was_sent is False
            assert wallet.unresolved() == [bet_id]
            assert isinstance(await again, BetConfirmed)
            assert wallet.unresolved() == []

    async def whole() -> None:
        assert await with_server(handler, scene) == 2

    play(whole)
