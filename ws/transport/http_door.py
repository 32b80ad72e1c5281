"""uvicorn's HTTP protocol with the bounds that it leaves open, each of which a stranger could use.

Without them a header line without end is kept whole, and copied anew with each read; half a request, or a
reader of the answer, is waited for without end; requests are queued without end behind one that is not
answered; a turn of the loop parses headers and chunks of a byte without number; and connections are taken
until no file can be opened. `tests/test_http_door.py`, `test_http_framing.py`, `test_wire_hostile.py` and
`test_wire_descriptors.py` do all of this. The figures and their reasons: docs/adr/0017.

And where it reads a request otherwise than a proxy in front of it would, or its sender meant it: the body
beside an `Upgrade` that it does not know, trailers, an answer out of order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import Any, ClassVar, Final

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from engine.outcomes import Code
from ws.http.answers import of_status, raw
from ws.http.problems import problem
from ws.transport import descriptors
from ws.transport.shares import Shares
from ws.transport.turns import Turns

log = logging.getLogger("solidgreen.ws")

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

ANSWERED_WITHIN_S: Final = 10.0
"""From the connection, or the last answer, until the next request begins, and from then until its answer is
written or a handshake begins: twice what auth may take, and more than an idle connection is kept for
(uvicorn: 5 s)."""

PROXY_IDLE_S: Final = 150
"""How long a connection of a trusted proxy is kept while nothing is asked on it: longer than nginx and AWS do
(60 s), Traefik (90 s) and Caddy (120 s). Whoever sends has to be who closes: else a request now and then
meets the close, and no proxy sends a POST again. Whole seconds."""

ANSWERED_CROWDED_S: Final = 1.0
"""The same where descriptors are few: sixteen connections that say nothing must not keep health from being
told."""

WAITING_BYTES: Final = 65_536
"""What may wait for a reader before the protocols are told: asyncio's own figure for a plain socket."""

PIPELINED_MAX: Final = 16
"""Requests that may wait behind one that is not answered yet. Hardly any client sends a second one before it
has heard the first answer (RFC 9112, section 9.3.2); uvicorn takes a read's worth with each answer."""

REQUEST_BYTES: Final = 4096
"""What a request counts for in its turn: eight are begun in one, which take 2 ms. `/metrics` is one
look for all who ask (ws/watching/metrics.py)."""

NO_HTTP: Final = "Invalid HTTP request received."
"""In uvicorn's words, which `ws/watching/noise.py` knows."""

REFUSALS_TOLD_S: Final = 60.0
"""From one line in the log about refused connections to the next."""


class HttpDoor(HttpToolsProtocol):
    """HTTP whose request heads are bounded in bytes, and whose connections are dropped when no request is
    answered for a while: because it does not end, or because nobody reads. Requests take turns, and so does
    what comes in large reads: those of four hundred connections, begun in one turn of the event loop, would
    have each batch of bets wait for them.

    Where few file descriptors are left, or the peer's network has its share of them, it serves short requests
    and refuses sockets; where hardly any are, it drops the connection at once.
    """

    _head_bytes = 0
    _fields = 0
    _pieces = 0
    _is_in_head = False
    _is_in_body = False
    _head_again: bytes | None = None
    _last_words: bytes | None = None
    _next: tuple[RequestResponseCycle, Any] | None = None
    _begun: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None
    _begins_within_s = ANSWERED_WITHIN_S
    _is_due = False
    _is_crowded = False
    _is_over_its_share = False
    _told_s: ClassVar[float] = float("-inf")

    def __init__(self, *given: Any, turns: Turns, shares: Shares, **named: Any) -> None:
        """`turns`: of all HTTP of this event loop, and not those of the sockets. `shares`: of both. The
        others are uvicorn's."""
        super().__init__(*given, **named)
        self._turns = turns
        self._shares = shares

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = FlowControl(self)  # type: ignore[arg-type]  # it pauses and resumes, and no more
        self._held = bytearray()
        descriptor = transport.get_extra_info("socket").fileno()
        left = descriptors.left(descriptor)
        # Of whoever has connected: what a proxy says of its clients comes later, and this one is its own.
        host = str((transport.get_extra_info("peername") or ("",))[0])
        over = self._shares.enter(transport, host, descriptor, descriptors.for_clients())
        if self._shares.is_proxy(host):
            self.timeout_keep_alive = PROXY_IDLE_S
            self._begins_within_s = PROXY_IDLE_S + ANSWERED_WITHIN_S
        # The loop's own limits, but for TLS: there it would let 512 KiB wait before it says so.
        transport.set_write_buffer_limits(WAITING_BYTES)
        self._is_over_its_share = over > 0
        self._is_crowded = left < descriptors.FOR_FILES + descriptors.FOR_HEALTH or over > 0
        if left < descriptors.FOR_FILES or over > descriptors.FOR_HEALTH:
            self._tell_of_refusals()
            transport.abort()
            return
        self._restart_timer(self._begins_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._held.clear()
        self._shares.leave(self.transport)
        super().connection_lost(exc)
        if self._begun is not None:
            # uvicorn tells the request that was read last, and not the one before it that is being answered:
            # that would write to who has gone, and a stranger could fill the log with tracebacks.
            self._begun.disconnected = True
            self._begun.message_event.set()
            self._begun = None

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

    def _take_slice(self) -> int:
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

    # -- turns

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._next = cycle, app  # the only one: those behind it wait in the pipeline
        self._turns.ask(self)

    def take_turn(self) -> int:
        """Begin the request that waits, if whoever sent it is still there, or parse a slice; what it cost."""
        if self._next is None:
            return self._take_slice()
        cycle, app = self._next
        self._next = None
        if self.transport.is_closing():
            return 0
        self._begun = cycle
        self._restart_timer(ANSWERED_WITHIN_S)  # all of it, however long the connection was idle
        super()._start_asgi_task(cycle, app)
        return REQUEST_BYTES

    def on_response_complete(self) -> None:
        is_the_last = not self.pipeline
        super().on_response_complete()
        self._restart_timer(self._begins_within_s)
        if is_the_last and self._last_words is not None and not self.transport.is_closing():
            self._end(self._last_words)
        if self._is_crowded:
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        if self._is_crowded:
            self._tell_of_refusals()
            self._refuse(raw(problem(Code.OVERLOADED, "all sockets are in use", 1000)))
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.send_400_response("a handshake must wait for the answers before it")
            return
        self._stop_timer()
        super().handle_websocket_upgrade()
        # It has done its work, and would keep this object alive, as this object keeps it.
        self.parser = None  # type: ignore[assignment]

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

    def _tell_of_refusals(self) -> None:
        now_s = time.monotonic()
        if now_s - HttpDoor._told_s < REFUSALS_TOLD_S:
            return
        HttpDoor._told_s = now_s
        network, held = self._shares.of(self.transport)
        if self._is_over_its_share:
            log.warning("sockets of %s are refused: it has %d connections, its share", network, held)
        else:
            log.warning("sockets are refused: all file descriptors but a reserve are in use")

    def _restart_timer(self, within_s: float) -> None:
        self._stop_timer()
        within_s = ANSWERED_CROWDED_S if self._is_crowded else within_s
        self._timer = self.loop.call_later(within_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
