"""A stop under load: clients that go on sending still read their answers and the 1001."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from harness.process import Server, seed
from harness.wire import bet
from tests.server_fixture import RawSocket
from ws import app, server
from ws.beside import heads

SOCKETS = 30
IN_FLIGHT = 40
STOPPED_WITHIN_S = 10.0
UVICORN_S = 0.2
"""Its look for a signal, and the pause of its own shutdown."""
PYTHON_S = 0.25
"""Until the process is gone."""
FINAL = ("bet.confirmed", "bet.rejected", "error")


async def play(server: Server, token: str, answered: asyncio.Event) -> int | None:
    """Keep bets in flight until the server ends the socket; returns the close code that was seen."""
    auth = {"Authorization": f"Bearer {token}"}
    async with connect(
        server.ws,
        subprotocols=[Subprotocol("wallet.v1")],
        additional_headers=auth,
        compression=None,
        max_queue=None,  # or the client stops reading now and then, and may never see the end
    ) as socket:

        async def send(count: int) -> None:
            try:
                for _ in range(count):
                    await socket.send(json.dumps(bet(1, id="r")))
            except ConnectionClosed:
                pass  # what counts is what can still be read

        await send(IN_FLIGHT)
        try:
            while True:
                frame = json.loads(await socket.recv())
                final = [m for m in (frame if isinstance(frame, list) else [frame]) if m["type"] in FINAL]
                if final:
                    answered.set()
                await send(len(final))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def test_a_storage_that_fails_while_the_file_is_being_closed_is_told(tmp_path: Path) -> None:
    """The service manager must see that something was wrong, and whoever reads the log what."""
    db = tmp_path / "books.db"
    seed(db, 1, balance=1000)
    with Server(db, module="tests.broken.late_fault") as server:
        assert server.stop() == 1
        assert server.log is not None
        assert "failed while the file was being closed: COMMIT failed" in server.log.read_text()


def test_who_sends_until_the_end_still_reads_the_end(tmp_path: Path) -> None:
    async def run(server: Server) -> Counter[int | None]:
        answered = [asyncio.Event() for _ in players]
        plays = [
            asyncio.create_task(play(server, player["token"], event))
            for player, event in zip(players, answered, strict=True)
        ]
        await asyncio.wait_for(asyncio.gather(*[event.wait() for event in answered]), 10)
        assert server.process is not None
        server.process.terminate()
        return Counter(await asyncio.wait_for(asyncio.gather(*plays), 10))

    players = seed(tmp_path / "books.db", SOCKETS, balance=10**9)
    with Server(tmp_path / "books.db") as server:
        assert asyncio.run(run(server)) == {1001: SOCKETS}
        assert server.process is not None
        assert server.process.wait(timeout=10) == 0


def test_who_shakes_hands_while_the_others_are_sent_away_hears_1001_as_well(tmp_path: Path) -> None:
    """Connections that were taken before the stop began and have said nothing yet."""
    first, *others = seed(tmp_path / "books.db", 6)
    with Server(tmp_path / "books.db") as server, contextlib.ExitStack() as open_:
        stays = open_.enter_context(RawSocket(server.port, token=first["token"]))
        stays.read_messages()
        late = [open_.enter_context(RawSocket(server.port, upgrade=False)) for _ in others]
        for raw in late:  # the server has taken each of them
            raw.send(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            raw.read_head()
        assert server.process is not None
        server.process.terminate()
        # Does not send its own close, so the server waits for it as long as it waits for anybody.
        assert stays.close_code() == 1001
        for raw, player in zip(late, others, strict=True):
            raw.shake_hands(token=player["token"])
        assert [raw.status for raw in late] == [101] * len(others)
        assert [raw.messages_and_close_code() for raw in late] == [([], 1001)] * len(others)
        assert server.process.wait(timeout=10) == 0


def test_all_that_may_hang_at_a_stop_hangs_for_less_than_was_promised() -> None:
    """A COMMIT, a peer that reads slowly, a session, a self-check, the keeper of heads, and the disk."""
    steps = (
        server.DRAIN_S,
        server.READ_S,
        UVICORN_S,
        server.GRACE_S,
        app.BESIDE_S,
        heads.STOP_S,
        app.CLOSE_S,
    )
    assert sum(steps) + PYTHON_S <= STOPPED_WITHIN_S
