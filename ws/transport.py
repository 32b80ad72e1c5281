"""uvicorn's two protocols with the bounds that it leaves open, each of which a stranger could use.

Without them a header line without end is kept whole, and copied anew with each read; half a handshake is
waited for without end, and one that the WebSocket library refuses is never answered; control frames are
answered into memory while their sender reads nothing; a message may have fragments without number; and a
socket whose peer does not read is never given up. `tests/test_wire_hostile.py` and `test_wire_floods.py` do
all of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from ws.protocol import CloseCode

Take = Callable[[str], bool]
"""Carries out a text message and returns True, or leaves it to the queue and returns False."""

FAST_LANE: Final = "solidgreen.fast_lane"
"""Where the scope's extensions have the `WebSocketDoor` itself."""

HEAD_BYTES_MAX: Final = 65_536
"""A request's line and headers: what uvicorn's other HTTP parser, h11, takes."""

HEAD_WITHIN_S: Final = 10.0
"""From the connection to the end of the first request's headers: twice what auth may take."""

FRAGMENTS_MAX: Final = 4096
"""Fragments of one message: 64 bytes each in a frame of the largest size."""

SLICE_BYTES: Final = 8192
"""What is parsed in one turn of the event loop: at most 1,400 frames, some 30 ms; a window of 40 bets."""


class HttpDoor(HttpToolsProtocol):
    """HTTP whose request heads are bounded in bytes and, on a new connection, in time."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_is_over()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # It has done its work, and would keep this object alive, as this object keeps it.
        self.parser = None  # type: ignore[assignment]

    def _head_is_over(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class WebSocketDoor(WebSocketsSansIOProtocol):
    """A WebSocket that takes its turns, reads no more while its peer does not, and gives a dead one up.

    What one read brings is parsed in slices, with a turn of the event loop between them, and only while
    nothing waits for the session: a read of 256 KB can hold 40,000 frames.

    Beside ASGI's queue and coroutines it has a fast lane, which spares both for what needs no waiting:
    `take` is asked first for each text, and `write` sends one at once (docs/performance.md).
    """

    take: Take | None = None
    """Whoever carries out text messages at once; None until a session says so."""

    _is_stalled = False
    _is_due = False

    def connection_made(self, transport: Any) -> None:
        self._held = bytearray()
        self._extensions: Any = {}
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # A circle would keep this socket, and all that it holds, until the next full collection.
        self._extensions.clear()

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
        super().send_receive_event_to_app()

    def write(self, text: bytes) -> bool:
        """Send a text message now, unless what was sent before still waits for the peer to read it.

        To a socket that is closing, or has gone, nothing is owed: that is True too.
        """
        if self._is_stalled:
            return False
        if not (self.close_sent or self.disconnected or self.conn.state is not State.OPEN):
            self.conn.send_text(text)
            self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def data_received(self, data: bytes) -> None:
        if self._held or len(data) > SLICE_BYTES:
            self._held += data
            self.transport.pause_reading()
            self._go_on()
        else:
            self._parse(data)

    def _go_on(self) -> None:
        """Parse the next slice soon, or read again if all is parsed; unless somebody else is first."""
        if self._is_due or self.read_paused or self._is_stalled or self.transport.is_closing():
            return
        if self._held:
            self._is_due = True
            self.loop.call_soon(self._parse_held)
        else:
            self.transport.resume_reading()

    def _parse_held(self) -> None:
        self._is_due = False
        if not self.transport.is_closing():
            data = bytes(self._held[:SLICE_BYTES])
            del self._held[:SLICE_BYTES]
            self._parse(data)
            self._go_on()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # uvicorn waits for a request that the library has given up on.
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()

    def handle_cont(self, event: Any) -> None:
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX and not self.close_sent:
            self.conn.fail(CloseCode.TOO_MUCH, "too many fragments")
            self.handle_parser_exception()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_stalled = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_stalled = False
        self._go_on()

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
        if self.close_sent:
            self._go_on()  # to the peer's close, which may lie behind what is not parsed yet

    def keepalive_timeout(self) -> None:
        # close() would wait for what is buffered to be read, and this peer does not read.
        super().keepalive_timeout()
        self.transport.abort()
