"""The composition root: builds store, guard, batcher and doors, and serves them until a signal.

The order at the end matters: refuse new bets, commit what is queued, send the last answers, close every
socket with 1001, and only then let the web server and the file go.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from batcher.archiving import Archiving
from batcher.batcher import Batcher
from batcher.breaker import Breaker
from batcher.log_keeper import LogKeeper
from batcher.memory_nonces import MemoryGuard
from batcher.nonces import FallbackGuard, NonceGuard
from batcher.redis_nonces import RedisGuard
from engine.archive_copy import Copied, copy
from engine.keys import newest_key_id, signing_key
from engine.outcomes import Code
from engine.queries import newest_block_at
from engine.store import Store
from ws.addresses import network_of
from ws.apart import apart
from ws.bearer import bearer
from ws.beside import Beside
from ws.contracts import contract_routes
from ws.descriptors import raise_limit
from ws.effects import CloseCode
from ws.entrance import Entrance
from ws.heads import Heads, keeper
from ws.house import House
from ws.http import health_routes
from ws.http_door import HttpDoor
from ws.hub import Hub
from ws.messages import Limits
from ws.metrics import metrics_route
from ws.problems import problem
from ws.rate_windows import Windows
from ws.rates import Counted, Rates
from ws.rates_in_redis import RedisCounts, redis_storage
from ws.self_check import SelfCheck
from ws.session import Door, Session
from ws.settings import SettingInvalid, Settings
from ws.shell import shelled
from ws.shell_problems import answer, deny, not_now
from ws.sizes import Gauge
from ws.tls import HANDSHAKE_S, SHUTDOWN_S, Pair, context_of, pair_of, renew, warn_if_it_ends_soon
from ws.traces import Traces
from ws.traffic import Traffic, Watched
from ws.transport import KERNEL_BYTES, PING_EVERY_S, PONG_WITHIN_S, WebSocketDoor
from ws.turns import Turns
from ws.v1 import v1_routes

log = logging.getLogger("solidgreen")

SUBPROTOCOL: Final = "wallet.v1"
SWITCH_S: Final = 0.00005
"""The writer asks for the interpreter lock some ten times a batch, and a busy loop keeps it for this long
(5 ms unless told). Waiting for it takes 4 ms of a batch of 670 bets; with 0.1 ms it takes 6, with 0.5 ms 9.
"""

CLOSE_S: Final = 2.5
"""How long closing the file may take: it writes the log back, at most 16 MiB."""

DRAIN_S: Final = 3.0
"""How long a stop waits for the queue to be committed and answered: a deadline, and a second for the COMMIT
of what was in time."""

BESIDE_S: Final = 0.5
"""How long what runs beside the bets (self-check, archive) has to end when it is cancelled."""

READ_S: Final = 1.5
"""How long it then waits for peers that still read what they were sent, the 1001 behind it."""

ECHO_S: Final = 1.0
"""The same where all is sent and only the peer's own close is missing."""

GRACE_S: Final = 1
"""What uvicorn then gives to whoever still waits for something; it takes whole seconds."""


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status: 0, or 1 if the storage failed on the way.

    Raises `FileUnusable` or `SettingInvalid` before anything is served.
    """
    raise_limit()
    tls = pair_of(settings.tls_certificate, settings.tls_key)
    context = None if tls is None else context_of(tls)
    traces = None if settings.traces is None else Traces(settings.traces, settings.trace_ratio)
    listener = _listen(settings)
    with contextlib.closing(listener), contextlib.ExitStack() as signals:
        guard = _guard(settings)
        rates = _rates(settings)
        key = signing_key(settings.db, settings.signing_key)
        heads = None if settings.heads is None else Heads(settings.db, keeper(settings.heads))
        store = await Store.open(settings.db, key=key)
        try:
            hub = Hub(settings.sockets_per_user)
            limits = Limits()
            batcher = Batcher(
                store,
                guard,
                breaker=Breaker(settings.breaker),
                posted=hub.posted,
                newest_us=await store.read(newest_block_at),
                traced=None if traces is None else traces.answered,
            )
            door = Door(store, batcher, hub, settings.jwt_secret, limits)
            entrance = Entrance(door, settings)
            await entrance.people.remember()
            batcher.start()
            await guard.reach()  # now, so that the nonce store's state is known before the first bet
            self_check = SelfCheck(settings.db, settings.self_check_s)
            beside = Beside()
            traffic = Traffic()
            house = House(store, batcher, guard, hub, self_check, beside, traffic, Gauge(store), rates)
            application = _application(door, house, settings.origins, rates, entrance)
            watched = Watched(application, traffic, access_log=settings.access_log)
            config = _uvicorn_config(watched, limits, traffic, settings.trusted_proxies, context)
            server = _Server(config, door)
            signals.enter_context(_handled(server.handle_exit, tls, context))
            _announce(settings, listener, store)
            if tls is not None:
                warn_if_it_ends_soon(tls)
            await _announce_key(store, key.signer.key_id)
            _tune_the_interpreter()
            if heads is not None:
                heads.start()
            archiving = Archiving(store, batcher.ask, _copy_apart, batcher.room_for_background)
            log_keeper = LogKeeper(store, room=batcher.room_for_background)
            beside.start("self-check", self_check.run())
            beside.start("driver of archives", archiving.run())
            beside.start("keeper of the write-ahead log", log_keeper.run())
            beside.start("watch over tokens that expire", hub.end_the_expired())
            try:
                await server.serve(sockets=[listener])
            finally:
                await beside.stop(BESIDE_S)
                entrance.close()
            if heads is not None:
                await asyncio.to_thread(heads.stop)
            if traces is not None:
                await asyncio.to_thread(traces.stop)
        finally:
            await guard.close()
            await rates.close()
            closing = asyncio.create_task(store.close(), name="close the file")
            # Not `wait_for`: that waits until what it cancels has ended, and this may not.
            if not (await asyncio.wait([closing], timeout=CLOSE_S))[0]:
                # A COMMIT hangs in the kernel, and its thread would keep the process alive. What is lost by
                # going is what kill -9 loses: nothing that anybody was told.
                log.critical("the disk does not answer; ending without closing the file")
                logging.shutdown()
                os._exit(1)
            closing.result()
        if batcher.failure is None and store.failure is not None:
            log.critical("the storage failed while the file was being closed: %s", store.failure)
        return 0 if batcher.failure is None and store.failure is None else 1


async def _copy_apart(path: Path, archive_id: int) -> Copied:
    return await apart("archive", copy, path, archive_id)


def _application(
    door: Door, house: House, origins: frozenset[str], rates: Rates, entrance: Entrance
) -> ASGIApp:
    async def wallet_socket(websocket: WebSocket) -> None:
        refusal = await rates.of_handshake(network_of(websocket.client.host if websocket.client else None))
        if refusal is not None:
            await deny(websocket, not_now(refusal))
            return
        if not _is_welcome(websocket, origins):
            await deny(websocket, answer(problem(Code.FORBIDDEN, "pages of this origin may not connect")))
            return
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(CloseCode.NOT_THIS_PROTOCOL, f"ask for the subprotocol {SUBPROTOCOL}")
            return
        await websocket.accept(SUBPROTOCOL)
        session = Session(websocket, door)
        session.traceparent = websocket.headers.get("traceparent")
        await session.run(bearer(websocket))

    routes = [
        WebSocketRoute("/ws", wallet_socket),
        *health_routes(house),
        metrics_route(house),
        *entrance.routes(),
        *v1_routes(door),
        *contract_routes(),
    ]
    return shelled(routes, door.identify, rates, origins)


def _is_welcome(websocket: WebSocket, origins: frozenset[str]) -> bool:
    """A page may connect from the server's own origin or a configured one; programs send no Origin at all."""
    origin = websocket.headers.get("origin")
    # Compared as text: an origin is scheme://host[:port] (RFC 6454, section 6.2), and parsers raise for
    # others.
    return origin is None or origin in origins or origin.partition("://")[2] == websocket.headers.get("host")


def _guard(settings: Settings) -> NonceGuard:
    if settings.redis_url is None:
        return MemoryGuard()
    try:
        return FallbackGuard(
            RedisGuard(settings.redis_url), MemoryGuard(), time.monotonic, settings.nonce_breaker
        )
    except ValueError as error:
        raise SettingInvalid(f"redis_url: {error}") from error


def _rates(settings: Settings) -> Rates:
    counts = Counted(Windows())
    if not settings.rates_in_redis:
        return Rates(settings.rates, counts)
    if settings.redis_url is None:
        raise SettingInvalid("rate_limits_in: redis needs a redis_url")
    try:
        return Rates(settings.rates, RedisCounts(redis_storage(settings.redis_url), counts))
    except ValueError as error:
        raise SettingInvalid(f"redis_url: {error}") from error


def _listen(settings: Settings) -> socket.socket:
    """Bind before the file is opened: a port that is taken is the most common mistake, and costs nothing."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)  # and of what it accepts
        return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingInvalid(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error


def _uvicorn_config(
    application: ASGIApp,
    limits: Limits,
    traffic: Traffic,
    trusted_proxies: frozenset[str] = frozenset(),
    tls: ssl.SSLContext | None = None,
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        # Of both doors: they hand on what uvicorn has made of the application. Unless told otherwise it
        # believes whoever connects from loopback.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=sorted(trusted_proxies),
        loop="uvloop",
        http=partial(HttpDoor, turns=Turns()),  # type: ignore[arg-type]  # it is only called
        ws=partial(WebSocketDoor, turns=Turns(), traffic=traffic),  # type: ignore[arg-type]  # as well
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


class _Server(uvicorn.Server):
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
def _handled(
    stop: Callable[[int, FrameType | None], None], tls: Pair | None, context: ssl.SSLContext | None
) -> Iterator[None]:
    """SIGTERM and SIGINT, in good order also while the file is being closed; SIGHUP is for a certificate that
    was renewed, and without one a terminal that has gone.
    """

    def hang_up(number: int, frame: FrameType | None) -> None:
        if tls is None or context is None:
            stop(number, frame)
        else:
            renew(context, tls)

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: hang_up}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _announce(settings: Settings, listener: socket.socket, store: Store) -> None:
    host, port = listener.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # whoever reads it is here
    store.note(f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}")
    host = f"[{host}]" if ":" in host else host
    nonces = "Redis" if settings.redis_url else "memory"
    door = "ws" if settings.tls_certificate is None else "wss"
    where = settings.db, door, host, port, nonces
    log.info("serving %s on %s://%s:%d/ws, nonces in %s; stop with Ctrl-C", *where)


async def _announce_key(store: Store, key_id: bytes) -> None:
    before = await store.read(newest_key_id)
    log.info("blocks are signed by the key %s", key_id.hex())
    if before not in (None, key_id):
        log.warning(
            "blocks were signed by the key %s so far: publish the new public key, or give back the old key",
            before.hex(),
        )


def _tune_the_interpreter() -> None:
    """For one loop and one writer that share an interpreter, and millions of small records."""
    sys.setswitchinterval(SWITCH_S)
    # The records live briefly: full collections would find nothing, and stop the loop meanwhile.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
