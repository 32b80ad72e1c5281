"""Tokens that expire, and stops, while commits take long or hang: who hears what, and how soon it is over.

Needs a C compiler for the slow disk (`disk.c`), so it runs with `make test-all`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from harness.process import Server, seed
from harness.wire import Exchange, SocketClosed, Wire, bet, connect
from tests.faults.failing_disk import Disk, books
from tests.server_fixture import RawSocket, mint

pytestmark = pytest.mark.long

STOPPED_WITHIN_S = 10.0
SOCKETS = 100


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


async def until(wall_s: float) -> None:
    while (left_s := wall_s - time.time()) > 0:
        await asyncio.sleep(left_s)


def test_an_expired_token_waits_for_the_commit_and_loses_no_answer(tmp_path: Path, disk: Disk) -> None:
    """The commit takes 0.7 s, 0.2 s of it before the token expires."""
    (player,) = seed(tmp_path / "books.db", 1, balance=1000)

    async def scenario(server: Server) -> None:
        expires_s = int(time.time()) + 3
        async with connect(server.ws, mint(player["id"], exp=expires_s)) as wire:
            assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"
            await until(expires_s - 0.2)
            disk.becomes("slow")
            (inside,) = await wire.send(bet(100))
            await until(expires_s + 0.26)  # the look that finds it expired, each quarter of a second, is over
            late = await wire.ask(bet(10))
            assert (late["type"], late["code"]) == ("error", "UNAUTHORIZED")
            assert (await inside.answer())["type"] == "bet.confirmed"
            assert await wire.close_code() == 4401
            assert expires_s + 0.3 < time.time() < expires_s + 2
        disk.becomes("well")
        async with connect(server.ws, player["token"]) as wire:
            assert wire.welcome["balance"] == 899

    with Server(tmp_path / "books.db") as server:
        asyncio.run(scenario(server))


def test_an_expired_token_waits_less_than_a_second_and_the_truth_can_be_asked(
    tmp_path: Path, disk: Disk
) -> None:
    """The bet stands behind another commit: 1.4 s."""
    (player,) = seed(tmp_path / "books.db", 1, balance=1000)

    async def scenario(server: Server) -> None:
        expires_s = int(time.time()) + 3
        request = bet(10)
        async with connect(server.ws, mint(player["id"], exp=expires_s)) as wire:
            await until(expires_s - 0.1)
            disk.becomes("slow")
            await wire.send(bet(100))
            await asyncio.sleep(0.05)
            (behind,) = await wire.send(request)
            with pytest.raises(SocketClosed, match="4401"):
                await behind.answer()
            assert expires_s < time.time() < expires_s + 1.3, "only when the commit was over"
        disk.becomes("well")
        async with connect(server.ws, player["token"]) as wire:
            while (state := await wire.ask({"type": "bet.get", "bet_id": request["bet_id"]}))[
                "state"
            ] == "pending":
                await asyncio.sleep(0.02)
            assert state["state"] == "confirmed"

    with Server(tmp_path / "books.db") as server:
        asyncio.run(scenario(server))


def confirmed_in(db: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM transactions WHERE kind = 'BET'")}


async def stopped(
    server: Server, disk: Disk, state: str, tokens: list[str], *signals: signal.Signals
) -> tuple[set[str], set[object]]:
    """Signal the server while each of these has bets in flight on such a disk; the bets that were confirmed,
    and what else was heard of the others: codes, and how the socket was closed."""
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connect(server.ws, token)) for token in tokens]
        disk.becomes(state)
        exchanges = [exchange for wire in wires for exchange in await in_flight(wire)]
        for number in signals:
            assert server.process is not None
            server.process.send_signal(number)
            await asyncio.sleep(0.05)
        told: set[str] = set()
        others: set[object] = set()
        for exchange in exchanges:
            try:
                answer = await exchange.answer()
            except SocketClosed as closed:
                others.add(closed.code)
                continue
            if answer["type"] == "bet.confirmed":
                told.add(answer["bet_id"])
            else:
                others.add(answer["code"])
        others |= {await wire.close_code() for wire in wires}
    return told, others


async def in_flight(wire: Wire) -> list[Exchange]:
    """Five bets, in frames of their own, of which the server has seen the last."""
    exchanges = [(await wire.send(bet(1)))[0] for _ in range(5)]
    await wire.ask({"type": "ping"})
    return exchanges


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_waits_for_slow_commits_and_tells_everybody(
    tmp_path: Path, disk: Disk, number: signal.Signals
) -> None:
    db = tmp_path / "books.db"
    players = seed(db, SOCKETS + 1)
    with (
        Server(db) as server,
        RawSocket(server.port, token=players[-1]["token"], receive_buffer=4096) as deaf,
    ):
        deaf.send_frame('[{"type":"resume","id":"r","from_seq":0}]')
        tokens = [player["token"] for player in players[:SOCKETS]]
        began = time.monotonic()
        told, others = asyncio.run(stopped(server, disk, "slow", tokens, number))
        assert server.process is not None
        assert server.process.wait(timeout=STOPPED_WITHIN_S) == 0
        # Connecting took its time as well.
        assert time.monotonic() - began < 2 * STOPPED_WITHIN_S
    assert others <= {1001, "TIMED_OUT"}, "each bet has been confirmed, or surely not executed"
    assert told
    assert told == confirmed_in(db)
    disk.is_replaced()
    assert books(db)["ok"] is True


@pytest.mark.parametrize("times", [1, 2])
def test_a_commit_that_hangs_does_not_keep_the_server(tmp_path: Path, disk: Disk, times: int) -> None:
    """Nobody hears "confirmed" of it, all hear 1001, and the status says that the disk does not answer.
    Whoever waits behind it hears that he is late, unless the stop is hurried."""
    db = tmp_path / "books.db"
    players = seed(db, 20)
    with Server(db) as server:
        began = time.monotonic()
        told, others = asyncio.run(
            stopped(server, disk, "hang", [player["token"] for player in players], *[signal.SIGTERM] * times)
        )
        assert server.process is not None
        assert server.process.wait(timeout=STOPPED_WITHIN_S) == 1
        took_s = time.monotonic() - began
        assert took_s < (STOPPED_WITHIN_S if times == 1 else 6)
        assert server.log is not None
        assert "the disk does not answer" in server.log.read_text()
    assert told == set()
    assert others == ({1001, "TIMED_OUT"} if times == 1 else {1001})
    disk.is_replaced()
    with Server(db) as server:
        assert server.stop() == 0
    assert books(db)["ok"] is True
