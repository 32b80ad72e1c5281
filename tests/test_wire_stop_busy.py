"""A stop while the server is busy beside the bets: an archive is made, a payout paid, its books checked."""

from __future__ import annotations

import asyncio
import itertools
import signal
from pathlib import Path

import pytest

from harness.process import Server, seed, solidgreen
from harness.wire import bet, connect, now_ms
from tests.server_fixture import mint

pytestmark = pytest.mark.long

STOPPED_WITHIN_S = 10.0
BETS = 3_000

_keys = itertools.count(1)


def key() -> str:
    return f"k{next(_keys)}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_ends_what_runs_beside_the_bets_and_the_next_start_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    db = tmp_path / "books.db"
    players = seed(db, 100)

    async def busy(server: Server) -> None:
        async with (
            connect(server.ws, mint(1, "operator")) as operator,
            connect(server.ws, players[0]["token"]) as player,
        ):
            for _ in range(BETS // 1000):
                await player.ask_all(*(bet(1) for _ in range(1000)))
            items = [{"user_id": each["id"], "amount": 1} for each in players]
            opened = await operator.ask({"type": "payout.open", "key": key(), "currency": "EUR"})
            assert opened["type"] == "payout", opened
            payout = {"payout_id": opened["payout_id"]}
            for part in range(50):
                request = {"type": "payout.add", "key": key(), "first": part * 100, "items": items}
                added = await operator.ask(request | payout)
                assert added["type"] == "payout", added
            whole = {"items": 5_000, "total": 5_000}
            started = await operator.ask({"type": "payout.start", "key": key()} | whole | payout)
            assert started["type"] == "payout", started
            begun = await operator.ask({"type": "archive.begin", "key": key(), "before": now_ms() - 5})
            assert begun["type"] == "archive", begun
            in_flight = await player.send(*(bet(1) for _ in range(100)))
            await player.ask({"type": "ping"})
            assert server.process is not None
            server.process.send_signal(number)
            assert {(await each.answer())["type"] for each in in_flight} == {"bet.confirmed"}
            assert await player.close_code() == await operator.close_code() == 1001

    # A look at the books is under way all the time.
    with Server(db, settings={"self_check_s": "1"}) as server:
        asyncio.run(busy(server))
        assert server.process is not None
        assert server.process.wait(timeout=STOPPED_WITHIN_S) == 0
        assert server.log is not None
        assert "Traceback" not in server.log.read_text()
    with Server(db) as server:
        assert server.stop() == 0
    solidgreen("reconcile", "--db", str(db))
