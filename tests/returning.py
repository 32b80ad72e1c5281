"""Players that come back: a process of its own, so that its work is not the server's, and bare sockets.

Reads `{"port": …, "tokens": […]}` from standard input, has one bet of each player confirmed, and prints
`ready`. When the server drops them, each connects again, as often as it takes, and has one bet more
confirmed. Then it prints how many were served, and how long that took from the first connection that was
taken.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import struct
import sys
import time
from typing import Any

import uvloop

from harness.wire import bet

AGAIN_S = 0.1
"""From one try to the next, give or take half of it."""


class Player:
    """One wallet and its socket."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._chance = random.Random(token)
        self.connected_s = self.served_s = 0.0
        self.closed_with: int | None = None

    async def connect(self) -> None:
        """Until a server takes the connection and welcomes it."""
        while True:
            try:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.connected_s = time.monotonic()
                self._writer.write(self._handshake())
                await self._reader.readuntil(b"\r\n\r\n")
                assert (await self._messages())[0]["type"] == "welcome"
                return
            except (OSError, EOFError):
                await asyncio.sleep(AGAIN_S * self._chance.uniform(0.5, 1.5))

    def _handshake(self) -> bytes:
        lines = [
            "GET /ws HTTP/1.1", f"Host: 127.0.0.1:{self._port}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: wallet.v1", f"Authorization: Bearer {self._token}",
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode()

    async def bet(self) -> None:
        """One bet, confirmed."""
        data = json.dumps(bet(1, id="b")).encode()
        self._writer.write(bytes([0x81, 0xFE]) + struct.pack(">H", len(data)) + bytes(4) + data)
        while (last := (await self._messages())[-1])["type"] != "bet.confirmed":
            assert last["type"] == "bet.pending", last
        self.served_s = time.monotonic()

    async def dropped(self) -> None:
        """Until the server is gone."""
        try:
            while await self._reader.read(4096):
                pass
        except OSError:
            pass
        self._writer.close()

    async def _messages(self) -> list[dict[str, Any]]:
        opcode, length = await self._reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", await self._reader.readexactly(2))
        payload = await self._reader.readexactly(length)
        if opcode != 0x81:
            raise EOFError(payload)
        content = json.loads(payload)
        return content if isinstance(content, list) else [content]


async def come_back(port: int, tokens: list[str]) -> None:
    """All of it."""
    players = [Player(port, token) for token in tokens]

    async def visit(player: Player) -> None:
        await player.connect()
        await player.bet()

    await asyncio.gather(*map(visit, players))
    print("ready", flush=True)
    await asyncio.gather(*(player.dropped() for player in players))
    for player in players:
        player.connected_s = player.served_s = 0.0
    print("dropped", flush=True)
    await asyncio.gather(*map(visit, players))
    first_s = min(player.connected_s for player in players)
    took_s = sorted(player.served_s - first_s for player in players)
    report = {"served": len(took_s), "last_s": took_s[-1], "median_s": took_s[len(took_s) // 2]}
    print(json.dumps({name: round(value, 3) for name, value in report.items()}), flush=True)


def main() -> None:
    """Read the job, one line, and do it."""
    job = json.loads(sys.stdin.readline())
    uvloop.run(come_back(job["port"], job["tokens"]))


if __name__ == "__main__":
    main()
