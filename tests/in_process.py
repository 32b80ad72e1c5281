"""The parts of `ws/app.py` in this very process, for what cannot be counted from outside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from batcher.batcher import Batcher
from batcher.log_keeper import LOG_MAX_BYTES, LogKeeper
from batcher.memory_nonces import MemoryGuard
from engine.store import Store
from harness.process import JWT_SECRET
from ws.application import application
from ws.beside.checks import Checks
from ws.beside.tasks import Beside
from ws.people.entrance import Entrance
from ws.rates.rates import Counted, RateLimits, Rates
from ws.rates.windows import Windows
from ws.server import uvicorn_config
from ws.settings import Settings
from ws.sockets.hub import Hub
from ws.sockets.session import Door
from ws.transport.traffic import Traffic, Watched
from ws.watching.figures import Seconds
from ws.watching.house import House
from ws.watching.sizes import Gauge
from ws.wire.messages import Limits


class QuietServer(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(db: Path, log_max_bytes: int = LOG_MAX_BYTES, nonces: int = 10_000) -> AsyncIterator[str]:
    """The address of a server that runs in this very loop, in the parts and order of `ws.app.serve`."""
    listener = socket.create_server(("127.0.0.1", 0))
    store, hub, guard = await Store.open(db), Hub(), MemoryGuard(capacity=nonces)
    batcher = Batcher(store, guard, posted=hub.posted)
    checks, gauge = Checks.of(db, hub.check_changed), Gauge(store)
    figures = Seconds(store, batcher, guard, hub, gauge)
    door = Door(store, batcher, hub, JWT_SECRET, Limits(), checks, figures.newest)
    batcher.start()
    rates = Rates(RateLimits(), Counted(Windows()))
    entrance = Entrance(door, Settings(db, JWT_SECRET))
    traffic = Traffic()
    house = House(store, batcher, guard, hub, checks.verify, Beside(), traffic, gauge, rates)
    watched = Watched(application(door, house, frozenset(), rates, entrance), traffic)
    server = QuietServer(uvicorn_config(watched, door.limits, traffic))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    keeping = asyncio.create_task(LogKeeper(store, log_max_bytes=log_max_bytes).run())
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
    finally:
        server.should_exit = True
        await running
        entrance.close()
        keeping.cancel()
        await asyncio.wait([keeping])
        await batcher.drain()
        await store.close()
        listener.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    """On the loop that the server uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


@contextlib.contextmanager
def without_the_collector() -> Iterator[None]:
    """What is garbage in a circle stays: under load the collector hardly ever looks at what is old."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
