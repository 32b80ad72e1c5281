"""The door of a WebSocket at a transport that is made up: what it parses in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.peer import Peer
from tests.server_fixture import CONTINUATION, PING, PONG, frame
from ws.effects import CloseCode
from ws.transport.shares import Shares
from ws.transport.traffic import Traffic
from ws.transport.turns import SMALL_ROOM, TURN_BYTES, Turns
from ws.transport.websocket_door import FRAME_BYTES, PIECE_BYTES, SLICE_BYTES, WebSocketDoor

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CROWD = 40
DEAREST = PIECE_BYTES // 6 * (FRAME_BYTES + 6)
"""What one piece may cost, and so the most by which a slice is over."""


class Counting(WebSocketDoor):
    """Counts its frames."""

    seen = 0

    def handle_pong(self, event: Any) -> None:
        super().handle_pong(event)
        self.seen += 1

    def handle_ping(self) -> None:
        super().handle_ping()
        self.seen += 1

    def handle_cont(self, event: Any) -> None:
        super().handle_cont(event)
        self.seen += 1

    def handle_text(self, event: Any) -> None:
        super().handle_text(event)
        self.seen += 1


async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def opened(turns: Turns, ping_every_s: float | None = None) -> Counting:
    config = uvicorn.Config(app, ws_ping_interval=ping_every_s, lifespan="off", log_config=None)
    config.load()
    door = Counting(config, ServerState(), {}, turns=turns, shares=Shares(), traffic=Traffic())
    door.connection_made(Peer())
    door.data_received(HANDSHAKE)
    while not door.handshake_complete:
        await asyncio.sleep(0)
    return door


FRAMES = {
    "pongs": frame(b"", PONG),
    "pings": frame(b"", PING),
    "continuations": frame(b"", CONTINUATION, fin=False),
    "texts": frame("x"),
}


@pytest.mark.parametrize("size", [PIECE_BYTES, SLICE_BYTES, 2 * SLICE_BYTES])
@pytest.mark.parametrize("kind", FRAMES)
def test_small_frames_do_not_make_a_turn_long(kind: str, size: int) -> None:
    """In 32 KiB are 5,000 of them: 40 sockets of one user who sent nothing else had others wait for 0.9 s."""

    async def run() -> None:
        turns = Turns()
        doors = [await opened(turns) for _ in range(CROWD)]
        await asyncio.sleep(0)
        count = size // len(FRAMES[kind])
        for door in doors:
            if kind == "continuations":
                door.data_received(frame(b"x", fin=False))
            door.data_received(FRAMES[kind] * count)
        expected = count + (kind == "continuations")
        longest = total = 0
        while total < CROWD * expected:
            before = total
            total = sum(door.seen for door in doors)
            longest = max(longest, total - before)
            await asyncio.sleep(0)
        assert longest * FRAME_BYTES <= TURN_BYTES + SMALL_ROOM + SLICE_BYTES + DEAREST
        assert all(isinstance(door.transport, Peer) and door.transport.is_read for door in doors)
        for door in doors:
            door.connection_lost(None)
        await asyncio.sleep(0)

    asyncio.run(run())


def test_who_is_sent_away_has_his_time_to_read_though_a_pong_is_missing() -> None:
    """It lies behind what he has not read; its timer cut him off, close frame and all."""

    async def run() -> None:
        door = await opened(Turns(), ping_every_s=60)
        door.send_keepalive_ping()
        missing = door.pong_timer
        assert missing is not None
        door.end(CloseCode.STOPPING, "bye")
        assert missing.cancelled()
        assert not door.transport.is_closing()
        door.connection_lost(None)
        await asyncio.sleep(0)

    asyncio.run(run())
