"""Sockets in virtual time: the real `Session` at one end, a client of the simulation at the other.

`Link` stands for a WebSocket over one connection. Each direction keeps its order and takes its time;
different links overtake each other. A cut loses what is on its way; a peer that vanishes is not noticed for a
while; a reader that stalls lets what is sent to it pile up, first in the kernel and then in the server. To
the session it is Starlette's WebSocket and the `WebSocketDoor` of `ws/transport/websocket_door.py`: the same
bounds and timers, the former smaller (`scaled`), since a seed does not send so much. What parses bytes, and
takes turns at it, is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Protocol
from unittest import mock

from tests.sim.loop import Loop, Scheduler
from tests.sim.weather import Weather
from ws.effects import CloseCode
from ws.sockets import outbox
from ws.transport.websocket_door import (
    BUFFER_BYTES,
    FAST_LANE,
    KERNEL_BYTES,
    LEAVE_S,
    PING_EVERY_S,
    PONG_WITHIN_S,
    SLOW_WORDS,
    STALL_S,
    Take,
)
from ws.wire.allowance import Allowance

LATE_US: Final = (50_000, 3_000_000)
DEAD_PEER_US: Final = round((PING_EVERY_S + PONG_WITHIN_S) * 1_000_000)
"""After so long a peer that vanished is found out: by a ping that nobody answers."""

STALL_US: Final = (1_000_000, 9_000_000)
"""How long a reader that stalls does: some longer than `STALL_S`."""

HIGH_BYTES: Final = 65_536
LOW_BYTES: Final = 16_384
"""asyncio's water marks: beyond the first a reader is stalled, and he is no more from the second on."""


@contextlib.contextmanager
def scaled(scale: int) -> Iterator[None]:
    """Meanwhile sessions reckon with a `scale`-th of their bounds."""
    bounds = ("BUFFER_BYTES", "FRAME_REPLIES_MAX", "LONG_REPLIES_MAX")
    with mock.patch.multiple(outbox, **{name: getattr(outbox, name) // scale for name in bounds}):
        yield


class Client(Protocol):
    """The far end of a link."""

    def heard(self, link: Link, text: str) -> None: ...

    def lost(self, link: Link, code: int) -> None: ...


class Tap(Protocol):
    """Who listens at the server's door, to frames as they come in and as they leave."""

    def arrived(self, link: Link, text: str) -> None: ...

    def told(self, request_id: str) -> None: ...

    def emitted(self, link: Link, text: str) -> None: ...

    def ended(self, link: Link, code: int) -> None: ...


class Link:
    """One connection, from its acceptance to its end. `serial` names it."""

    def __init__(
        self,
        serial: int,
        client: Client,
        tap: Tap,
        scheduler: Scheduler,
        weather: Weather,
        rng: random.Random,
        loop: Loop,
        scale: int = 40,
    ) -> None:
        """`scale`: what the real bounds in bytes are divided by, as with `scaled`."""
        self.serial = serial
        self.is_open = True
        """Whether the client takes it for alive."""
        self.is_cut = False
        """Whether nothing comes through any more."""
        self.is_stalled = False
        """Whether too much waits for the peer to read it."""
        self.has_gone = False
        """Whether the server has nothing of it any more."""
        self.scope: dict[str, Any] = {"extensions": {FAST_LANE: self}, "client": ("192.0.2.1", 50_000)}
        self.take: Take | None = None
        self.allowance = Allowance(time.monotonic())
        self._client = client
        self._tap = tap
        self._scheduler = scheduler
        self._weather = weather
        self._rng = rng
        self._loop = loop
        self._kernel_bytes, self._buffer_bytes, self._high_bytes, self._low_bytes = (
            each // scale for each in (KERNEL_BYTES, BUFFER_BYTES, HIGH_BYTES, LOW_BYTES)
        )
        self._latency_us = rng.randint(100, 15_000)
        self._last_in_us = self._last_out_us = 0
        self._held: deque[str] = deque()
        self._queue: deque[dict[str, Any]] = deque()
        self._come = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._unread = 0
        self._close_sent = False
        self._is_due = False
        self._read_paused = False
        self._reads_again_us = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self._leave_timer: asyncio.TimerHandle | None = None

    # -- the client's end

    def send(self, text: str) -> None:
        """Send a text frame, unless the link has been lost."""
        if not self.is_open or self.is_cut:
            return
        if self._weather.strikes("connection cut"):
            self.cut(self._rng.choice((1_000, 500_000)))
            return
        if self._weather.strikes("peer vanishes"):
            self.cut(DEAD_PEER_US)
            return
        if self._weather.strikes("reader stalls"):
            self.linger(self._rng.randint(*STALL_US))
        self._last_in_us = max(self._last_in_us, self._scheduler.now_us + self._delay_us())
        self._scheduler.at(self._last_in_us, self._come_in, text)

    def linger(self, duration_us: int) -> None:
        """Read nothing for so long."""
        self._reads_again_us = max(self._reads_again_us, self._scheduler.now_us + duration_us)

    def cut(self, server_learns_us: int) -> None:
        """Lose the link: what is on its way is lost, and the server learns of it that much later."""
        if self.is_cut:
            return
        self.is_cut = True
        self._scheduler.after(server_learns_us, self._connection_lost)
        self._scheduler.after(self._rng.randint(1_000, 2_000_000), self._lose, 1006)

    def server_died(self) -> None:
        """Nobody is there any more: the client learns of it soon, if it can."""
        self.is_cut = True
        self._scheduler.after(self._rng.randint(500, 400_000), self._lose, 1006)

    # -- the server's end: what a session uses, as in `WebSocketDoor`

    def write(self, text: bytes) -> None:
        """Send a text frame now, behind what still waits."""
        if not self.is_over:
            self._go_out(text.decode())

    def unsent(self) -> int:
        """Bytes that wait in the server for the peer to read."""
        return 0 if self.has_gone else max(self._unread - self._kernel_bytes, 0)

    async def room(self) -> bool:
        """Wait until little is unsent; False: the socket is closing, or has gone."""
        await self._writable.wait()
        return not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._close_sent or self.has_gone

    def end(self, code: CloseCode, reason: str) -> None:
        """Close behind what still waits; the peer has `LEAVE_S` to read all of it."""
        if not self.is_over:
            self._tap.ended(self, int(code))
            self._close_sent = True
            self._last_out_us = max(self._last_out_us, self._arrives_us())
            self._scheduler.at(self._last_out_us, self._close_came, int(code))
            self._put({"type": "websocket.disconnect", "code": int(code), "reason": reason})
            self._writable.set()
            self._read_paused = False
            self._go_on()
        if self._leave_timer is None and not self.has_gone:
            self._leave_timer = self._loop.call_later(LEAVE_S, self.abort)

    def abort(self) -> None:
        """Drop the connection, with whatever has not been read."""
        if not self.has_gone:
            self.is_cut = True
            self._scheduler.after(self._latency_us, self._lose, 1006)
            self._connection_lost()

    async def receive_message(self) -> dict[str, Any]:
        while not self._queue:
            self._come.clear()
            await self._come.wait()
        message = self._queue.popleft()
        if self._read_paused and not self._queue:
            self._read_paused = False
            self._go_on()
        return message

    def told(self, request_id: str) -> None:
        """The session has been given the answer to this request; it may leave later."""
        self._tap.told(request_id)

    # -- on the way in

    def _delay_us(self) -> int:
        late_us = self._rng.randint(*LATE_US) if self._weather.strikes("frame late") else 0
        return self._latency_us + self._rng.randint(0, 2_000) + late_us

    def _come_in(self, text: str) -> None:
        if not (self.is_cut or self.has_gone or self._loop.is_dead):
            self._held.append(text)
            self._go_on()

    def _go_on(self) -> None:
        """Read the next frame soon, unless the session is to come first, or the peer is to read."""
        if self._is_due or self._read_paused or self.has_gone or not self._held:
            return
        if not self.is_stalled or self._close_sent:
            self._is_due = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_due = False
        if not self.has_gone:
            self._parse(self._held.popleft())
            self._go_on()

    def _parse(self, text: str) -> None:
        if self._close_sent:
            return
        self._tap.arrived(self, text)
        # What waits in the queue came before: nothing may overtake it.
        if self._queue or self.take is None or not self.take(text):
            self._put({"type": "websocket.receive", "text": text})
            self._read_paused = True
        if self.allowance.tokens < 0 and not self.allowance.holds(time.monotonic()):
            self.end(CloseCode.TOO_MUCH, "too many messages; reconnect and resume")

    def _put(self, message: dict[str, Any]) -> None:
        self._queue.append(message)
        self._come.set()

    def _connection_lost(self) -> None:
        if self.has_gone or self._loop.is_dead:
            return
        self.has_gone = True
        for timer in (self._stall_timer, self._leave_timer):
            if timer is not None:
                timer.cancel()
        self._put({"type": "websocket.disconnect", "code": 1006})
        self._writable.set()

    # -- on the way out

    def _arrives_us(self) -> int:
        return max(self._scheduler.now_us + self._delay_us(), self._reads_again_us)

    def _go_out(self, text: str) -> None:
        self._tap.emitted(self, text)
        self._last_out_us = max(self._last_out_us, self._arrives_us())
        self._unread += len(text)
        if self.unsent() > self._high_bytes and not self.is_stalled:
            self.is_stalled = True
            self._writable.clear()
            if self._stall_timer is None:
                self._stall_timer = self._loop.call_later(STALL_S, self._end_stalled)
        self._scheduler.at(self._last_out_us, self._come_out, text)

    def _come_out(self, text: str) -> None:
        if self.is_cut:  # nor is it ever read: it stays in the buffers
            return
        self._unread -= len(text)
        if self.is_stalled and self.unsent() <= self._low_bytes and not self.has_gone:
            self.is_stalled = False
            self._writable.set()
            if self._stall_timer is not None:
                self._stall_timer.cancel()
                self._stall_timer = None
            self._go_on()
        if self.is_open:
            self._client.heard(self, text)

    def _end_stalled(self) -> None:
        self.end(CloseCode.TOO_MUCH, SLOW_WORDS)

    def _close_came(self, code: int) -> None:
        if not self.is_cut:
            self._lose(code)
            self._scheduler.after(self._latency_us, self._connection_lost)  # its own close came back

    def _lose(self, code: int) -> None:
        if self.is_open:
            self.is_open = False
            self._client.lost(self, code)


class ServerEnd:
    """The link as the session's `WebSocket`."""

    def __init__(self, link: Link) -> None:
        self.scope = link.scope
        self.receive = link.receive_message
