"""uvicorn's HTTP protocol with the bounds of time and number that it leaves open, each of which a stranger
could use.

Without them half a request, or a reader of the answer, is waited for without end, and connections are taken
until no file can be opened. `tests/test_http_door.py`, `test_wire_hostile.py` and `test_wire_descriptors.py`
do all of this. The figures and their reasons: docs/adr/0017. What bounds the bytes of a request is below
this, in `ws/transport/http_framing.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from engine.outcomes import Code
from ws.http.answers import raw
from ws.http.problems import problem
from ws.transport import descriptors
from ws.transport.http_framing import HttpFraming
from ws.transport.shares import Shares
from ws.transport.turns import Turns

log = logging.getLogger("solidgreen.ws")

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

REQUEST_BYTES: Final = 4096
"""What a request counts for in its turn: eight are begun in one, which take 2 ms. `/metrics` is one
look for all who ask (ws/watching/metrics.py)."""

REFUSALS_TOLD_S: Final = 60.0
"""From one line in the log about refused connections to the next."""


class HttpDoor(HttpFraming):
    """HTTP whose connections are dropped when no request is answered for a while: because it does not end, or
    because nobody reads. Requests take turns: those of four hundred connections, begun in one turn of the
    event loop, would have each batch of bets wait for them.

    Where few file descriptors are left, or the peer's network has its share of them, it serves short requests
    and refuses sockets; where hardly any are, it drops the connection at once.
    """

    _next: tuple[RequestResponseCycle, Any] | None = None
    _begun: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None
    _begins_within_s = ANSWERED_WITHIN_S
    _is_crowded = False
    _is_over_its_share = False
    _told_s: ClassVar[float] = float("-inf")

    def __init__(self, *given: Any, turns: Turns, shares: Shares, **named: Any) -> None:
        """`turns`: of all HTTP of this event loop, and not those of the sockets. `shares`: of both. The
        others are uvicorn's."""
        super().__init__(*given, turns=turns, **named)
        self._shares = shares

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
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
        self._shares.leave(self.transport)
        super().connection_lost(exc)
        if self._begun is not None:
            # uvicorn tells the request that was read last, and not the one before it that is being answered:
            # that would write to who has gone, and a stranger could fill the log with tracebacks.
            self._begun.disconnected = True
            self._begun.message_event.set()
            self._begun = None

    # -- turns

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._next = cycle, app  # the only one: those behind it wait in the pipeline
        self._turns.ask(self)

    def take_turn(self) -> int:
        """Begin the request that waits, if whoever sent it is still there, or parse a slice; what it cost."""
        if self._next is None:
            return super().take_turn()
        cycle, app = self._next
        self._next = None
        if self.transport.is_closing():
            return 0
        self._begun = cycle
        self._restart_timer(ANSWERED_WITHIN_S)  # all of it, however long the connection was idle
        super()._start_asgi_task(cycle, app)
        return REQUEST_BYTES

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._restart_timer(self._begins_within_s)
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
        # They have done their work, and would keep this object alive, as this object keeps them.
        self.parser = self.flow = None  # type: ignore[assignment]

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
