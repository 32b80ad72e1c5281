"""The composition root: builds store, guard, batcher and doors, has them served until a signal, and lets go
of them in the right order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

from batcher.archiving import Archiving
from batcher.batcher import Batcher
from batcher.breaker import Breaker
from batcher.log_keeper import LogKeeper
from batcher.memory_nonces import MemoryGuard
from batcher.nonces import FallbackGuard, NonceGuard
from engine.archive_copy import Copied, copy
from engine.keys import newest_key_id, signing_key
from engine.queries import newest_block_at
from engine.store import Store
from ws.application import application
from ws.beside.apart import apart
from ws.beside.checks import Checks
from ws.beside.heads import Heads, keeper
from ws.beside.self_check import look_daily
from ws.beside.tasks import Beside
from ws.people.entrance import Entrance
from ws.rates.in_redis import RedisCounts, redis_storage
from ws.rates.rates import Counted, Rates
from ws.rates.windows import Windows
from ws.server import Server, handled, listen, uvicorn_config
from ws.settings import SettingInvalid, Settings, url_from_here
from ws.sockets.hub import Hub
from ws.sockets.session import Door
from ws.tls import Shown, pair_of
from ws.transport.descriptors import raise_limit
from ws.transport.traffic import Traffic, Watched
from ws.watching.figures import Seconds
from ws.watching.house import House
from ws.watching.sizes import Gauge
from ws.watching.traces import Traces
from ws.wire.messages import Limits

log = logging.getLogger("solidgreen")

SWITCH_S: Final = 0.00005
"""The writer asks for the interpreter lock some ten times a batch, and a busy loop keeps it for this long
(5 ms unless told). Waiting for it takes 4 ms of a batch of 670 bets; with 0.1 ms it takes 6, with 0.5 ms 9.
"""

CLOSE_S: Final = 2.5
"""How long closing the file may take: it writes the log back, at most 16 MiB."""

BESIDE_S: Final = 0.5
"""How long what runs beside the bets (self-check, archive) has to end when it is cancelled."""


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status: 0, or 1 if the storage failed on the way.

    Raises `FileUnusable` or `SettingInvalid` before anything is served.
    """
    raise_limit()
    pair = pair_of(settings.tls_certificate, settings.tls_key)
    certificate = None if pair is None else Shown(pair)
    traces = None if settings.traces is None else Traces(settings.traces, settings.trace_ratio)
    listener = listen(settings)
    with contextlib.closing(listener), contextlib.ExitStack() as signals:
        guard = _guard(settings)
        rates = _rates(settings)
        key = signing_key(settings.db, settings.signing_key)
        heads = None if settings.heads is None else Heads(settings.db, keeper(settings.heads))
        store = await Store.open(settings.db, key=key)
        try:
            hub = Hub(settings.sockets_per_user)
            limits = Limits()
            checks = Checks.of(settings.db, hub.check_changed)
            batcher = Batcher(
                store,
                guard,
                breaker=Breaker(settings.breaker),
                posted=hub.posted,
                newest_us=await store.read(newest_block_at),
                traced=None if traces is None else traces.answered,
            )
            gauge = Gauge(store)
            figures = Seconds(store, batcher, guard, hub, gauge)
            door = Door(store, batcher, hub, settings.jwt_secret, limits, checks, figures.newest)
            entrance = Entrance(door, settings)
            await entrance.people.remember()
            batcher.start()
            await guard.reach()  # now, so that the nonce store's state is known before the first bet
            beside = Beside()
            traffic = Traffic()
            house = House(
                store, batcher, guard, hub, checks.verify, beside, traffic, gauge, rates, certificate, heads
            )
            routed = application(door, house, settings.origins, rates, entrance)
            watched = Watched(routed, traffic, access_log=settings.access_log)
            context = None if certificate is None else certificate.context
            config = uvicorn_config(watched, limits, traffic, settings.trusted_proxies, context)
            server = Server(config, door)
            signals.enter_context(handled(server.handle_exit, certificate))
            _announce(settings, listener, store)
            if certificate is not None:
                certificate.warn_if_it_ends_soon()
            await _announce_key(store, key.signer.key_id)
            _tune_the_interpreter()
            if heads is not None:
                heads.start()
            archiving = Archiving(store, batcher.ask, _copy_apart, batcher.room_for_background)
            log_keeper = LogKeeper(store, room=batcher.room_for_background)
            beside.start("self-check", look_daily(checks.verify, settings.self_check_s))
            beside.start("check by verify", checks.verify.run())
            beside.start("check by reconcile", checks.reconcile.run())
            beside.start("maker of figures", figures.run())
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


def _guard(settings: Settings) -> NonceGuard:
    if settings.redis_url is None:
        return MemoryGuard()
    from batcher.redis_nonces import RedisGuard  # a fifth of a start, for those who have a Redis

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


def _announce(settings: Settings, listener: socket.socket, store: Store) -> None:
    host, port = listener.getsockname()[:2]
    store.note(url_from_here(host, port, is_tls=settings.tls_certificate is not None))
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
