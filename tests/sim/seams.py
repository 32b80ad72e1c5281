"""All that is replaced in the engine: `seams`.

The store touches its threads in one way: it awaits `_execute(function, connection, …)` of an aiosqlite
connection. Here that is a queue in virtual time, and the function runs on the spot; while the writer's
statements or its COMMIT take their time, everybody else goes on (`Scheduler.run_until`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

import aiosqlite

from engine.errors import LookTooLong
from engine.looks import look_within
from tests.sim.disk import HOP_US, READ_FAILED, Disk, failing
from tests.sim.loop import Loop

READ_SLOW_US: Final = (5_000, 800_000)
LOOP_BUSY_US: Final = (2_000, 60_000)

CHECKPOINT_PAGES: Final = 100
"""Pages that the writer writes before it checkpoints: a seed has hardly more than some hundred."""

CHECKPOINT_EVERY_US: Final = 5_000_000
"""When the keeper asks for one where there was none: a seed has some 30 s."""


class Connection:
    """What the store takes for an aiosqlite connection: one thing at a time, in order."""

    def __init__(self, disk: Disk, raw: sqlite3.Connection, loop: Loop, is_writer: bool) -> None:
        self._conn = raw
        self._disk = disk
        self._loop = loop
        self._is_writer = is_writer
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self._is_busy = False

    async def _execute(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((future, partial(function, *arguments, **named)))
        self._next()
        return await future

    async def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return self._conn.execute(sql, parameters)

    async def close(self) -> None:
        await self._execute(self._disk.close, self._conn)

    def _next(self) -> None:
        if self._waiting and not self._is_busy:
            self._is_busy = True
            disk = self._disk
            delay_us = disk.rng.randint(*HOP_US)
            if not self._is_writer and disk.weather.strikes("read slow"):
                delay_us = disk.rng.randint(*READ_SLOW_US)
            disk.scheduler.after(delay_us, self._serve)

    def _serve(self) -> None:
        if self._loop.is_dead:
            return
        future, function = self._waiting.popleft()
        answer, error = None, None
        try:
            if not self._is_writer and self._disk.weather.strikes("read refused"):
                raise failing(READ_FAILED)
            answer = function()
        except Exception as raised:  # it is the caller's
            error = raised
        late_us, self._disk.late_us = self._disk.late_us, 0
        if late_us:
            self._disk.scheduler.after(late_us, self._be_done, future, answer, error)
        else:
            self._be_done(future, answer, error)

    def _be_done(self, future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
        """The thread goes on; the loop learns of it soon, or when it has the time."""
        if self._loop.is_dead:
            return
        disk = self._disk
        if disk.weather.strikes("loop busy"):
            self._loop.occupy(disk.rng.randint(*LOOP_BUSY_US))
        disk.scheduler.at(disk.back_us(), self._deliver, future, answer, error)
        self._is_busy = False
        self._next()

    def _deliver(self, future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
        if self._loop.is_dead or future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)


class NoLock:
    """Stands for the lock beside the file: here is one process, and it may be killed."""

    def __init__(self, path: Path) -> None:
        pass

    def release(self) -> None:
        pass


@contextlib.contextmanager
def seams(disk: Disk) -> Iterator[None]:
    """All that is replaced in the engine."""
    with (
        mock.patch.object(aiosqlite, "connect", partial(_connect, disk)),
        mock.patch("engine.store.WriterLock", NoLock),
        mock.patch("engine.store.check_is_ours"),  # 10 ms each time
        mock.patch("engine.store.look_within", partial(_look_within, disk)),
        mock.patch("engine.writer._has_room", disk.has_room),
        mock.patch("engine.writer.CHECKPOINT_PAGES", CHECKPOINT_PAGES),
        mock.patch("batcher.log_keeper.CHECKPOINT_EVERY_US", CHECKPOINT_EVERY_US),
    ):
        yield


async def _connect(
    disk: Disk, database: object, *, uri: bool = False, factory: object = None, **options: Any
) -> Connection:
    """Stands for `aiosqlite.connect`."""
    assert disk.loop is not None
    raw = disk.open(database, is_writer=not uri, **options)
    return Connection(disk, raw, disk.loop, is_writer=not uri)


def _look_within(
    disk: Disk, connection: sqlite3.Connection, within_s: float, look: Callable[[sqlite3.Connection], Any]
) -> Any:
    """A look takes no time here, so the weather says which one would have taken too long, and which one goes
    on for a while after it has seen the file as it is now."""
    if disk.weather.strikes("look too long"):
        raise LookTooLong(within_s)
    if disk.weather.strikes("look late"):
        disk.late_us = disk.rng.randint(*READ_SLOW_US)
    return look_within(connection, within_s, look)
