"""A stop while bets come over HTTP: what was answered stands, and what was refused moved nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx

from engine.reconcile import reconcile
from harness.process import Server, seed
from harness.wire import new_bet_id
from tests.asking import bearing

CLIENTS = 20


async def play(server: Server, token: str, answered: asyncio.Event) -> Sequence[tuple[str, int]]:
    """Place bets one after the other until the server takes no more; each that was answered, and how."""
    told = []
    async with httpx.AsyncClient(base_url=server.http, headers=bearing(token), trust_env=False) as http:
        while True:
            bet_id = new_bet_id()
            try:
                answer = await http.post("/v1/bets", json={"bet_id": bet_id, "stake": 1})
            except httpx.TransportError:  # it was never answered, or nobody listens any more
                return told
            told.append((bet_id, answer.status_code))
            answered.set()
            if answer.status_code != 201:
                return told


def test_what_was_answered_before_the_stop_stands(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    players = seed(db, CLIENTS, 100_000)

    async def run() -> list[tuple[str, int]]:
        answered = [asyncio.Event() for _ in players]
        playing = [
            asyncio.create_task(play(server, player["token"], event))
            for player, event in zip(players, answered, strict=True)
        ]
        for event in answered:
            await event.wait()
        assert await asyncio.to_thread(server.stop) == 0
        return [each for told in await asyncio.gather(*playing) for each in told]

    with Server(db) as server:
        told = asyncio.run(run())
    assert {status for _, status in told} <= {201, 503}
    with closing(sqlite3.connect(db)) as connection:
        placed = {key for (key,) in connection.execute("SELECT key FROM transactions WHERE kind = 'BET'")}
    confirmed = {bet_id for bet_id, status in told if status == 201}
    assert len(confirmed) >= CLIENTS
    assert confirmed <= placed
    assert placed.isdisjoint(bet_id for bet_id, status in told if status == 503)
    assert reconcile(db).findings == []
    assert server.log is not None
    log = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in log, log[-3000:]
    assert "ERROR" not in log, log[-3000:]
