"""The web server: uvicorn with the doors of this house, from the listening socket to the stop.

The order at the end matters: refuse new bets, commit what is queued, send the last answers, close every
socket with 1001, and only then let the web server go; the file is closed behind it (`ws/app.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from ws.settings import SettingInvalid, Settings
from ws.sockets.session import Door
from ws.tls import HANDSHAKE_S, SHUTDOWN_S, Shown
from ws.transport.http_door import HttpDoor
from ws.transport.shares import Shares
from ws.transport.traffic import Traffic
from ws.transport.turns import Turns
from ws.transport.websocket_door import KERNEL_BYTES, PING_EVERY_S, PONG_WITHIN_S, WebSocketDoor
from ws.wire.messages import Limits

log = logging.getLogger("solidgreen")

DRAIN_S: Final = 3.0
"""How long a stop waits for the queue to be committed and answered: a deadline, and a second for the COMMIT
of what was in time."""

READ_S: Final = 1.5
"""How long it then waits for peers that still read what they were sent, the 1001 behind it."""

ECHO_S: Final = 1.0
"""The same where all is sent and only the peer's own close is missing."""

GRACE_S: Final = 1
"""What uvicorn then gives to whoever still waits for something; it takes whole seconds."""


def listen(settings: Settings) -> socket.socket:
    """Bind before the file is opened: a port that is taken is the most common mistake, and costs nothing."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)  # and of what it accepts
        return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingInvalid(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error


def uvicorn_config(
    application: ASGIApp,
    limits: Limits,
    traffic: Traffic,
    trusted_proxies: frozenset[str] = frozenset(),
    tls: ssl.SSLContext | None = None,
) -> uvicorn.Config:
    """How uvicorn serves. `tls`: the context, where TLS is served."""
    shares = Shares(trusted_proxies)
    return uvicorn.Config(
        application,
        # Of both doors: they hand on what uvicorn has made of the application. Unless told otherwise it
        # believes whoever connects from loopback.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=sorted(trusted_proxies),
        loop="uvloop",
        http=partial(HttpDoor, turns=Turns(), shares=shares),  # type: ignore[arg-type]  # it is only called
        ws=partial(  # type: ignore[arg-type]  # as well
            WebSocketDoor, turns=Turns(), shares=shares, traffic=traffic
        ),
        ws_max_size=limits.frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        ssl_context_factory=None if tls is None else lambda config, default: tls,
    )


class Server(uvicorn.Server):
    """uvicorn, but it drains before it closes sockets, and a stop by signal is a success."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """With bounds on a TLS handshake and its end, which uvicorn leaves to the loop: a minute and half."""
        loop = asyncio.get_running_loop()
        if self.config.is_ssl:
            within = {"ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": SHUTDOWN_S}
            loop.create_server = partial(loop.create_server, **within)  # type: ignore[method-assign]
        await super().startup(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again when it has stopped, and would end with its status instead of 0;
        here they are handled until the file is closed as well."""
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in good order, the second at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse, commit, answer, close; then uvicorn's own steps."""
        log.info("stopping: committing what is queued")
        for server in self.servers:
            server.close()  # no new connections while the old ones are being served
        draining = asyncio.create_task(self._door.batcher.drain(), name="drain")
        deadline = time.monotonic() + DRAIN_S
        while not draining.done() and not self.force_exit and time.monotonic() < deadline:
            await asyncio.wait([draining], timeout=0.1)
        if not draining.done():
            log.warning(
                "stopping without waiting any longer; unanswered bets can be asked for after the start"
            )
            draining.cancel()
        self._door.hub.end_because_stopping()  # else uvicorn would close them with 1012
        await asyncio.sleep(0)  # the turn in which they deliver
        self._door.batcher.abandon()
        await self._let_peers_read()
        for peer in list(self.server_state.connections):
            if isinstance(peer, WebSocketDoor):  # uvicorn would wait for what they do not read
                peer.transport.abort()
        await super().shutdown(sockets)
        log.info("stopped")

    async def _let_peers_read(self) -> None:
        """uvicorn would drop its connections at once, and input that is unread turns that into a reset, which
        overtakes the last answers and the 1001."""
        began = time.monotonic()
        while not self.force_exit or time.monotonic() - began < ECHO_S:
            waited_s = time.monotonic() - began
            if not any(
                waited_s < (READ_S if peer.unsent() else ECHO_S)
                for peer in self.server_state.connections
                if isinstance(peer, WebSocketDoor)
            ):
                return
            await asyncio.sleep(0.01)  # uvicorn tells nobody when a connection has gone


@contextlib.contextmanager
def handled(stop: Callable[[int, FrameType | None], None], certificate: Shown | None) -> Iterator[None]:
    """SIGTERM and SIGINT, in good order also while the file is being closed; SIGHUP is for a certificate that
    was renewed, and without one a terminal that has gone.
    """

    def hang_up(number: int, frame: FrameType | None) -> None:
        if certificate is None:
            stop(number, frame)
        else:
            certificate.renew()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: hang_up}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
