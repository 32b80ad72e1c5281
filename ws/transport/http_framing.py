"""What the bytes of an HTTP connection say: uvicorn's reader of requests, with bounds, and as a proxy in
front of it reads them.

Without the bounds a header line without end is kept whole, and copied anew with each read; requests are
queued without end behind one that is not answered; and a turn of the loop parses headers and chunks of a byte
without number. Read otherwise than by a proxy, or than it was meant, was the body beside an `Upgrade` that
is not offered, a trailer, and an answer out of order. `tests/test_http_framing.py` and `test_http_door.py` do
all of this; docs/adr/0017.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engine.outcomes import Code
from ws.http.answers import of_status, raw
from ws.http.problems import problem
from ws.transport.turns import Turns

HEAD_BYTES_MAX: Final = 65_536
"""A request's line and headers: what uvicorn's other HTTP parser, h11, takes."""

FIELDS_MAX: Final = 128
"""Header lines of a request, trailers included: what the WebSocket library takes. Of empty ones 64 KiB hold
13,000, which cost 30 ms."""

PIECES_MAX: Final = 4096
"""Chunks, or slices, that one body comes in: 64 bytes each in the largest, as fragments of a message."""

SLICE_BYTES: Final = 8192
"""What one connection may have parsed in one turn of the event loop: as much as a socket. A read of 256 KB
can hold 43,000 chunks of a byte, which cost 27 ms; those of forty connections cost a second."""

PIPELINED_MAX: Final = 16
"""Requests that may wait behind one that is not answered yet. Hardly any client sends a second one before it
has heard the first answer (RFC 9112, section 9.3.2); uvicorn takes a read's worth with each answer."""

NO_HTTP: Final = "Invalid HTTP request received."
"""In uvicorn's words, which `ws/watching/noise.py` knows."""


class HttpFraming(HttpToolsProtocol):
    """HTTP whose requests are bounded in bytes, header lines, chunks and number. What comes in large reads is
    parsed in slices, in turns with other connections; what is refused is answered in its order."""

    _head_bytes = 0
    _fields = 0
    _pieces = 0
    _is_in_head = False
    _is_in_body = False
    _head_again: bytes | None = None
    _last_words: bytes | None = None
    _is_due = False

    def __init__(self, *given: Any, turns: Turns, **named: Any) -> None:
        """`turns`: of all HTTP of this event loop. The others are uvicorn's."""
        super().__init__(*given, **named)
        self._turns = turns
        self._held = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = FlowControl(self)  # type: ignore[arg-type]  # it pauses and resumes, and no more

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.clear()
        super().connection_lost(exc)
        self.flow = None  # type: ignore[assignment]  # each would keep the other alive

    # -- what comes, in slices

    def data_received(self, data: bytes) -> None:
        if self._held or len(data) > SLICE_BYTES or not self._turns.may_take(len(data)):
            self._held += data
            self.transport.pause_reading()
            self._go_on()
        else:
            self._parse(data)

    def pause_reading(self) -> None:
        """For uvicorn's flow control: enough waits for the application."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Likewise: no more does, so read on, once what is held is parsed."""
        if not self._held:
            self.transport.resume_reading()

    def _go_on(self) -> None:
        """Parse the next slice soon, or read again if all is parsed."""
        if self._is_due or self.parser is None or self.transport.is_closing():
            return
        if self._held:
            self._is_due = True
            self._turns.ask(self)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def take_turn(self) -> int:
        """Parse a slice of what is held; of how many bytes."""
        self._is_due = False
        piece = bytes(self._held[:SLICE_BYTES])
        del self._held[:SLICE_BYTES]
        if piece and not self.transport.is_closing():
            try:
                self._parse(piece)
            except Exception:
                self.transport.abort()  # as uvloop does where it calls `data_received`
                raise
        self._go_on()
        return len(piece)

    def _parse(self, data: bytes) -> None:
        if self._last_words is not None:
            return  # behind what was no HTTP nothing is
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._head_again is None:
                self._held.clear()  # who asks for a socket waits for the answer
                self.transport.resume_reading()
                self.handle_websocket_upgrade()
            else:
                self._parse(self._head_again + data[upgrade.args[0] :])
        except HttpParserError:
            self.logger.warning(NO_HTTP)
            if self._fields > FIELDS_MAX:
                self._refuse(raw(of_status(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)))
            else:
                self.send_400_response(NO_HTTP)
        else:
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(raw(of_status(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)))

    # -- called by the parser, which stops where they raise: then the answer is a refusal

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MAX:
            raise OverflowError("too many requests at a time")
        self._fields = self._pieces = 0
        self._is_in_head, self._is_in_body = True, False
        self._head_again = None
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > FIELDS_MAX:
            raise OverflowError("too many header lines")
        # Not a trailer, for which a proxy does not look where it looks for `X-Forwarded-For` (RFC 9110,
        # section 6.5.1): the headers are those before the body.
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self._is_in_head = False
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            # RFC 9112, section 3.2. Of two a proxy may go by the one, and who may connect by the other.
            raise ValueError("not one Host")
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._head_again = self._without_upgrade()
        else:
            super().on_headers_complete()
            self._is_in_body = True

    def _without_upgrade(self) -> bytes:
        """The head of a request that asks for an upgrade which is not offered, as it would be if it did not.

        A server may ignore it (RFC 9110, section 7.8), and programs in Java ask for HTTP/2 so each time. But
        the parser ends such a request with its head, and takes its body for the next request: whoever gets
        one past a proxy so has the answer to it given to whom the proxy serves next.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError("no proxy")
        lines = [b"%s: %s\r\n" % line for line in self.headers if line[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(lines))

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        self._pieces += 1
        if self._pieces > PIECES_MAX:
            raise OverflowError("too many chunks")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        self._is_in_body = False
        if self._head_again is None:
            super().on_message_complete()

    # -- answers

    def on_response_complete(self) -> None:
        is_the_last = not self.pipeline
        super().on_response_complete()
        if is_the_last and self._last_words is not None and not self.transport.is_closing():
            self._end(self._last_words)

    def send_400_response(self, msg: str) -> None:
        self._refuse(raw(problem(Code.INVALID_REQUEST, msg)))

    def _refuse(self, answer: bytes) -> None:
        """Say so and close: behind the answers that are owed, since the first that comes is taken for that of
        the first request, and whoever placed a bet with that would hear that he has not."""
        is_answered = self.cycle is None or self.cycle.response_complete  # then so are those before it
        if self._is_in_body and is_answered:
            self.transport.close()  # nor may it be taken for the answer to the next one
        elif self._is_in_body and self.pipeline:
            self.pipeline.popleft()  # it is the newest: this is its answer
            self._last_words = answer
        elif self._is_in_body or is_answered:
            self._end(answer)
        else:
            self._last_words = answer

    def _end(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()
