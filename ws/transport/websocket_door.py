"""uvicorn's WebSocket protocol with the bounds that it leaves open, each of which a stranger could use.

Without them a handshake that the WebSocket library refuses is never answered; control frames are answered
into memory while their sender reads nothing; a message may have fragments without number; and a socket whose
peer does not read is never given up, closed or not. `tests/test_wire_hostile.py`, `test_wire_floods.py` and
`test_wire_slow.py` do all of this. The figures and their reasons: docs/adr/0017. What comes before the
handshake: `ws/transport/http_door.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.protocol import State

from ws.effects import CloseCode
from ws.transport.shares import Shares
from ws.transport.traffic import ABNORMAL, Traffic
from ws.transport.turns import Turns
from ws.wire.allowance import REFUSED_COST, Allowance

Take = Callable[[str], bool]
"""Carries out a text message and returns True, or leaves it to the queue and returns False."""

FAST_LANE: Final = "solidgreen.fast_lane"
"""Where the scope's extensions have the `WebSocketDoor` itself."""

FRAGMENTS_MAX: Final = 4096
"""Fragments of one message: 64 bytes each in a frame of the largest size."""

BUFFER_BYTES: Final = 262_144
"""What one socket may have waiting here for its reader; beyond it the socket is closed with 4429. With
`KERNEL_BYTES` it is more than the answers to `Limits.in_flight` bets, which is 300 KB."""

KERNEL_BYTES: Final = 212_992
"""What the kernel is asked to keep beside it: its own default for the most that one may ask for. Left
alone it would grow to 4 MiB for whoever reads slowly."""

STALL_S: Final = 4.5
"""How long a reader may take from too much (64 KiB wait here) to little (16 KiB): to be closed within 5 s."""

SLOW_WORDS: Final = "reading too slowly; reconnect and resume"

LEAVE_S: Final = 5.0
"""From our close frame, or the peer's, until the connection is dropped with whatever it has not read."""

PING_EVERY_S: Final = 15.0
PONG_WITHIN_S: Final = 15.0
"""A peer that has gone without a word is found within the two together, 30 s; 40 s are promised."""

PONG_AGAIN_S: Final = 1.0
"""Until the next look for a pong that may lie behind what is not read yet."""

SLICE_BYTES: Final = 8192
"""What one socket may cost in one turn of the event loop: a window of 40 bets, 1 ms."""

PIECE_BYTES: Final = 2048
"""What is parsed before its cost is looked at: at most 340 frames, 7 ms. To look costs who sends 40 bets at a
time 0.1 us a bet."""

FRAME_BYTES: Final = 180
"""What a frame that is no bet costs beyond its size, which may be 6 bytes: as a bet in a frame of its own."""


class WebSocketDoor(WebSocketsSansIOProtocol):
    """A WebSocket that takes its turns, reads no more while its peer does not, and gives a dead one up.

    What one read brings is parsed in slices, with a turn of the event loop between them, and only while
    nothing waits for the session: a read of 256 KB can hold 40,000 frames.

    Beside ASGI's queue and coroutines it has a fast lane, which spares both for what needs no waiting:
    `take` is asked first for each text, `write` sends one at once, and `end` closes (docs/performance.md).

    However a socket ends, `LEAVE_S` later nothing of it is left: a close waits for nobody.
    """

    take: Take | None = None
    """Whoever carries out text messages at once; None until a session says so."""

    is_stalled = False
    """Whether too much waits for the peer to read it."""

    _dear = 0
    """Frames that took longer than their size says, since that was last counted."""

    _was_open = False
    _is_due = False
    _stall_timer: asyncio.TimerHandle | None = None
    _leave_timer: asyncio.TimerHandle | None = None

    def __init__(self, *given: Any, turns: Turns, shares: Shares, traffic: Traffic, **named: Any) -> None:
        """`turns`, `traffic`: of all sockets of this event loop. `shares`: where HTTP has counted them. The
        others are uvicorn's."""
        super().__init__(*given, **named)
        self._turns = turns
        self._shares = shares
        self._traffic = traffic

    def connection_made(self, transport: Any) -> None:
        self.allowance = Allowance(time.monotonic())
        self._held = bytearray()
        self._extensions: Any = {}
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._shares.leave(self.transport)
        if self._was_open:
            self._traffic.socket_ended(self._code_of_the_end())
        for timer in (self._stall_timer, self._leave_timer):
            if timer is not None:
                timer.cancel()
        # Circles would keep this socket, and all that it holds, until the next full collection.
        self._stall_timer = self._leave_timer = None
        self._extensions.clear()

    def _code_of_the_end(self) -> int:
        """What the side that began to close has said; 1006 (RFC 6455, section 7.1.5): neither has."""
        said = self.conn.close_sent or self.conn.close_rcvd  # whoever answers a close repeats its code
        return ABNORMAL if said is None else said.code

    def eof_received(self) -> None:
        super().eof_received()
        self._leave()  # the transport closes by itself, once what waits is read: by nobody, perhaps

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._leave()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._extensions = self.scope["extensions"]
            self._extensions[FAST_LANE] = self

    def send_receive_event_to_app(self) -> None:
        # What waits in the queue came before: nothing may overtake it.
        if self.take is not None and self.curr_msg_data_type == "text" and self.queue.empty():
            try:
                text = b"".join(self.frames).decode()
            except UnicodeDecodeError:
                pass  # uvicorn closes with 1007
            else:
                if not self.close_sent and self.take(text):
                    self.frames = []
                    return
        self._dear += 1
        try:
            super().send_receive_event_to_app()
        except InvalidState:
            # No UTF-8, and the peer's own close came in the same read: it is answered already, so that 1007
            # cannot be said any more.
            return

    # -- for the session

    def write(self, text: bytes) -> None:
        """Send a text message now, behind what still waits; to a socket that is closing, or has gone, nothing
        is owed."""
        if not self.is_over:
            self.conn.send_text(text)
            self.transport.write(b"".join(self.conn.data_to_send()))

    def unsent(self) -> int:
        """Bytes that wait here for the peer to read what was sent before."""
        return self.transport.get_write_buffer_size()

    async def room(self) -> bool:
        """Wait until little is unsent; False: the socket is closing, or has gone."""
        await self.writable.wait()
        return not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.close_sent or self.disconnected or self.conn.state is not State.OPEN

    def end(self, code: CloseCode, reason: str) -> None:
        """Send a close frame behind what still waits, end the session, and give the peer `LEAVE_S` to read
        all of it. Must not wait, so that neither a stop nor an expiry depends on who reads."""
        if self.is_over or self.transport.is_closing():
            self._leave()
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.writable.set()  # whoever waits for room need not wait any longer
        self.stop_keepalive()  # a pong that is missing would cut off what is still to be read
        self._leave()
        # Not closed at once: unread input would become a reset, which overtakes the last answers.
        self.close_timer = self.loop.call_later(LEAVE_S, self.transport.abort)
        self.read_paused = False
        self._go_on()

    # -- turns

    def data_received(self, data: bytes) -> None:
        size = len(data)
        if self._held or size > SLICE_BYTES or not self._turns.may_take(size):
            self._held += data
            self.transport.pause_reading()
            self._go_on()
        elif size <= PIECE_BYTES:
            self._parse(data)
            if self._dear:
                self._turns.charge(self._dear * FRAME_BYTES)
                self._dear = 0
        else:
            self._held += data
            self._turns.charge(self._take_slice() - size)
            if self._held and not self.transport.is_closing():
                self.transport.pause_reading()
                self._go_on()

    def _go_on(self) -> None:
        """Parse the next slice soon, or read again if all is parsed; unless somebody else is first."""
        if self._is_due or self.read_paused or self.transport.is_closing():
            return
        if self.is_stalled and not self.close_sent:
            return  # once we have closed nothing is answered, and all is read up to the peer's close
        if self._held:
            self._is_due = True
            self._turns.ask(self)
        else:
            self.transport.resume_reading()

    def take_turn(self) -> int:
        """Parse a slice of what is held; what it cost."""
        self._is_due = False
        try:
            cost = self._take_slice()
        except Exception:
            self.transport.abort()  # as uvloop does where it calls `data_received`
            raise
        self._go_on()
        return cost

    def _take_slice(self) -> int:
        """Parse what is held, in pieces, until that has cost a slice."""
        cost = 0
        while self._held and cost < SLICE_BYTES and not self.transport.is_closing():
            piece = bytes(self._held[:PIECE_BYTES])
            del self._held[:PIECE_BYTES]
            self._parse(piece)
            cost += len(piece) + self._dear * FRAME_BYTES
            self._dear = 0
        return cost

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.allowance.tokens < 0 and not self.allowance.holds(time.monotonic()):
            self.end(CloseCode.TOO_MUCH, "too many messages; reconnect and resume")
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # uvicorn waits for a request that the library has given up on.
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._go_on()
        return message

    async def send(self, message: Any) -> None:
        await self.writable.wait()
        if self.close_sent:
            # Closed by the protocol itself (a frame too big, no UTF-8), and what is buffered still leaves:
            # to the session the peer has gone. uvicorn would call it a bug of ours.
            raise ClientDisconnected
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # by an answer that refuses it: uvicorn would log that as a fault
        self._was_open = self._was_open or self.conn.state is State.OPEN
        if self.close_sent:
            self._go_on()  # to the peer's close, which may lie behind what is not parsed yet

    # -- frames that are no messages

    def handle_cont(self, event: Any) -> None:
        self._no_message()
        if self.close_sent:
            return
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX:
            self.conn.fail(CloseCode.TOO_MUCH, "too many fragments")
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        self._no_message()
        if self.close_sent:
            self.conn.data_to_send()  # it wants no answer any more
        else:
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        self._no_message()
        super().handle_pong(event)

    def _no_message(self) -> None:
        """A frame of which no session hears is paid for here."""
        self.allowance.tokens -= REFUSED_COST
        self._dear += 1

    # -- who does not read, and who has gone

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_stalled = True
        if not self.close_sent:
            self.transport.pause_reading()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALL_S, self._end_stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_stalled = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self._go_on()

    def _end_stalled(self) -> None:
        self.end(CloseCode.TOO_MUCH, SLOW_WORDS)

    def keepalive_timeout(self) -> None:
        if self.read_paused or self.is_stalled or self._held:
            # The pong may be there, unread: who is slow is not dead, and who is dead does not stay slow.
            self.pong_timer = self.loop.call_later(PONG_AGAIN_S, self.keepalive_timeout)
            return
        # close() would wait for what is buffered to be read, and this peer does not read.
        super().keepalive_timeout()
        self.transport.abort()

    def _leave(self) -> None:
        if self._leave_timer is None and not self.disconnected:
            self._leave_timer = self.loop.call_later(LEAVE_S, self.transport.abort)
