"""A session at a socket that is made up, whose peer reads when a test says so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.process import JWT_SECRET
from ws.beside.checks import Checks
from ws.effects import Identity
from ws.sockets.hub import Hub
from ws.sockets.session import Door, Session
from ws.transport.websocket_door import FAST_LANE
from ws.wire.allowance import Allowance
from ws.wire.messages import Limits, WalletEntry

FAR_S = 2**40


class MadeUpWire:
    """A peer that reads when it is told to."""

    is_stalled = False
    is_over = False

    def __init__(self) -> None:
        self.allowance = Allowance(0.0)
        self.messages: list[dict[str, Any]] = []
        self.code: int | None = None
        self.reads = asyncio.Event()

    def write(self, frame: bytes) -> None:
        content = json.loads(frame)
        self.messages += content if isinstance(content, list) else [content]

    def unsent(self) -> int:
        return 0

    async def room(self) -> bool:
        await self.reads.wait()
        self.reads.clear()
        return not self.is_over

    def end(self, code: int, reason: str) -> None:
        self.code = code
        self.is_over = True
        self.reads.set()


def made(wire: MadeUpWire, store: object = None) -> Session:
    """A session of a stranger who says nothing."""
    submitted = SimpleNamespace(submit=lambda *_: None)
    checks = Checks.of(Path("none.db"))
    door = Door(cast(Any, store), cast(Any, submitted), Hub(), JWT_SECRET, Limits(), checks, cast(Any, None))
    websocket = SimpleNamespace(scope={"extensions": {FAST_LANE: wire}}, receive=asyncio.Event().wait)
    return Session(cast(Any, websocket), door)


def opened(wire: MadeUpWire) -> Session:
    """A session of an operator that has been welcomed."""
    session = made(wire)
    session._conversation.welcome(Identity(1, "operator", FAR_S), None, 0)
    return session


def entry(seq: int) -> WalletEntry:
    return WalletEntry(seq, seq - 1, seq, "BET", -1, 0, 0)
