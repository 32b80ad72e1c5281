"""The file, in virtual time: the engine's own store on real SQLite, without threads.

The store touches its threads in one way: it awaits `_execute(function, connection, …)` of an aiosqlite
connection. Here that is a queue in virtual time, and the function runs on the spot; while the writer's
statements or its COMMIT take their time, everybody else goes on (`Scheduler.run_until`). So all SQL, triggers
and snapshots are the real ones, on a file in memory (WAL and all). `seams` is all that is replaced in the
engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from unittest import mock

import aiosqlite

from engine.errors import LookTooLong
from engine.looks import look_within
from tests.sim.loop import Loop, Scheduler
from tests.sim.weather import Crash, Weather

HOP_US: Final = (30, 400)
"""A way to a thread or back."""

COMMIT_US: Final = (150, 4_000)
STATEMENT_SLOW_US: Final = (5_000, 300_000)
COMMIT_SLUGGISH_US: Final = (100_000, 500_000)
COMMIT_SLOW_US: Final = (250_000, 2_500_000)
CHECKPOINT_US: Final = (500, 10_000)
CHECKPOINT_SLOW_US: Final = (20_000, 1_500_000)
COMMIT_HANGS_US: Final = (2_500_000, 9_000_000)
READ_SLOW_US: Final = (5_000, 800_000)

FULL: Final = (sqlite3.SQLITE_FULL, "database or disk is full")
BUSY: Final = (sqlite3.SQLITE_BUSY, "database is locked")
SYNC_FAILED: Final = (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")
WRITE_FAILED: Final = (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")
CHECKPOINT_PAGES: Final = 100
"""Pages that the writer writes before it checkpoints: a seed has hardly more than some hundred."""

CHECKPOINT_EVERY_US: Final = 5_000_000
"""When the keeper asks for one where there was none: a seed has some 30 s."""

READ_FAILED: Final = (sqlite3.SQLITE_IOERR_READ, "disk I/O error")
NO_MEMORY: Final = (sqlite3.SQLITE_NOMEM, "out of memory")


class Entry(NamedTuple):
    """A row of `transaction_ledger`."""

    id: int
    user_id: int
    amount: int
    balance_after: int
    ref_type: str
    ref_id: str
    transaction_id: int
    prev_id: int


class Transaction(NamedTuple):
    """A row of `transactions`."""

    id: int
    kind: str
    scope: str
    key: str
    block_id: int


ENTRIES: Final = f"SELECT {', '.join(Entry._fields)} FROM transaction_ledger WHERE id > ? ORDER BY id"
TRANSACTIONS: Final = f"SELECT {', '.join(Transaction._fields)} FROM transactions WHERE id > ? ORDER BY id"


class Witness(Protocol):
    """Who is told what is on disk, when it is."""

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None: ...

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None:
        """Likewise, of the newest block: its time."""


class Disk:
    """One file, whoever serves it."""

    def __init__(
        self, path: Path, scheduler: Scheduler, weather: Weather, rng: random.Random, witness: Witness
    ) -> None:
        self.path = path
        self.scheduler = scheduler
        self.weather = weather
        self.rng = rng
        self.is_writing = False
        """Whether a transaction is open."""
        self._witness = witness
        self._is_broken = False  # a write has failed, and nobody knows what else has not been written
        self._begun_us = 0
        self._pending_us: int | None = None  # since when a COMMIT that failed waits to come true at the end
        self._last_transaction = self._last_entry = 0
        self._open: list[sqlite3.Connection] = []
        self.loop: Loop | None = None  # of the process that serves it now
        with contextlib.closing(sqlite3.connect(path)) as connection:
            self._look(connection, 0)

    def spawn(self, loop: Loop) -> None:
        """A process begins to serve the file."""
        self.loop = loop

    def power_off(self) -> None:
        """The process is gone: what is not committed is undone, what hung in the air falls down."""
        for connection in self._open:
            self._fall_down(connection)
            connection.close()
        self._open.clear()
        self.is_writing = self._is_broken = False

    async def connect(
        self, database: object, *, uri: bool = False, factory: object = None, **options: Any
    ) -> Connection:
        """Stands for `aiosqlite.connect`."""
        assert self.loop is not None
        raw: sqlite3.Connection
        if uri:
            raw = sqlite3.connect(str(database), uri=True, **options)
        else:
            raw = sqlite3.connect(str(database), factory=partial(Writing, disk=self), **options)
        self._open.append(raw)
        return Connection(self, raw, self.loop, is_writer=not uri)

    # -- what the writing connection does, statement by statement

    def before_statement(self, connection: Writing) -> None:
        """A statement of an open transaction comes."""
        weather = self.weather
        if weather.strikes("statement slow"):
            self.take(STATEMENT_SLOW_US)
        if weather.strikes("crash between statements"):
            raise Crash
        if weather.strikes("statement refused"):
            fault = self.rng.choice((FULL, WRITE_FAILED, NO_MEMORY))
            self._is_broken |= fault is WRITE_FAILED
            raise failing(fault)

    def begin(self, connection: Writing) -> None:
        if self._is_broken:
            self.scheduler.abort("something is written to a file whose disk has failed since it was opened")
        if self.weather.strikes("database busy"):
            raise failing(BUSY)
        if self._pending_us is not None:
            # Whoever goes on after a failed sync writes over what it left: then it never was.
            self._pending_us = None
            connection.plain("ROLLBACK")
        self._begun_us = self.scheduler.now_us
        connection.plain("BEGIN IMMEDIATE")
        self.is_writing = True

    def commit(self, connection: Writing) -> None:
        weather, scheduler = self.weather, self.scheduler
        if weather.strikes("commit hangs"):
            self.take(COMMIT_HANGS_US)
        elif weather.strikes("commit slow"):
            self.take(COMMIT_SLOW_US)
        elif weather.strikes("commit sluggish"):
            self.take(COMMIT_SLUGGISH_US)
        else:
            self.take(COMMIT_US)
        if weather.strikes("crash before commit"):
            raise Crash
        if weather.strikes("disk full"):
            if self.rng.random() < 0.5:  # some errors make SQLite roll back by itself
                connection.plain("ROLLBACK")
                self.is_writing = False
            raise failing(FULL)
        if weather.strikes("unknown commit: lost"):
            raise failing(SYNC_FAILED)
        if weather.strikes("unknown commit: late"):
            # The frames are in the log, and readers do not see them: whoever opens the file next does.
            self._pending_us = scheduler.now_us
            raise failing(SYNC_FAILED)
        self.really_commit(connection, scheduler.now_us)
        if weather.strikes("unknown commit: done"):
            raise failing(WRITE_FAILED)
        if weather.strikes("crash after commit"):
            raise Crash
        self.take(HOP_US)  # visible to readers, and nobody has heard of it

    def roll_back(self, connection: Writing) -> None:
        if self._pending_us is not None:
            return  # it is too late for that: see `begin`
        if self.weather.strikes("rollback fails"):
            raise failing(WRITE_FAILED)
        connection.plain("ROLLBACK")
        self.is_writing = False

    def really_commit(self, connection: Writing, at_us: int) -> None:
        connection.plain("COMMIT")
        self.is_writing = False
        self._look(connection, at_us)

    def checkpoint(self) -> None:
        """The writer is about to write the log back."""
        weather = self.weather
        self.take(CHECKPOINT_SLOW_US if weather.strikes("checkpoint slow") else CHECKPOINT_US)
        if weather.strikes("checkpoint refused"):
            raise failing(FULL)
        if weather.strikes("checkpoint fails"):
            self._is_broken = True
            raise failing(self.rng.choice((SYNC_FAILED, WRITE_FAILED)))

    def has_room(self, path: Path) -> bool:
        """Stands for the question that the writer asks the real disk."""
        return not self.weather.strikes("no room")

    def close(self, connection: sqlite3.Connection) -> None:
        """In good order; the process goes on."""
        if isinstance(connection, Writing):
            self._fall_down(connection)
            self.is_writing = False
        connection.close()
        self._open.remove(connection)

    def take(self, range_us: tuple[int, int]) -> None:
        """This takes its time, and everybody else goes on."""
        self.scheduler.run_until(self.scheduler.now_us + self.rng.randint(*range_us))

    def outside(self, change: str, *parameters: object) -> bool:
        """Somebody else writes to the file, unless the server is just writing."""
        if self.is_writing:
            return False
        with contextlib.closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as connection:
            connection.execute(change, parameters)
        return True

    def _fall_down(self, connection: sqlite3.Connection) -> None:
        """What a failed sync left in the log is found there by whoever opens the file next."""
        if self._pending_us is not None and isinstance(connection, Writing):
            since_us, self._pending_us = self._pending_us, None
            self.really_commit(connection, since_us)

    def _look(self, connection: sqlite3.Connection, at_us: int) -> None:
        execute = connection.plain if isinstance(connection, Writing) else connection.execute
        transactions = [Transaction(*row) for row in execute(TRANSACTIONS, (self._last_transaction,))]
        entries = [Entry(*row) for row in execute(ENTRIES, (self._last_entry,))]
        if transactions:
            self._last_transaction = transactions[-1].id
        if entries:
            self._last_entry = entries[-1].id
        if transactions or entries:
            self._witness.committed(self._begun_us, at_us, transactions, entries)
            (block_at,) = execute("SELECT max(at) FROM blocks").fetchone()
            self._witness.sealed(self._begun_us, at_us, block_at)


class Writing(sqlite3.Connection):
    """The writer's connection, on a disk that may fail it."""

    def __init__(self, *args: Any, disk: Disk, **options: Any) -> None:
        super().__init__(*args, **options)
        self._disk = disk

    def plain(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Execute it, come what may."""
        return super().execute(sql, parameters)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        disk = self._disk
        if sql == "BEGIN IMMEDIATE":
            disk.begin(self)
        elif sql == "COMMIT":
            disk.commit(self)
        elif sql == "ROLLBACK":
            disk.roll_back(self)
        else:
            if sql.startswith("PRAGMA wal_checkpoint"):
                disk.checkpoint()
            if disk.is_writing:
                disk.before_statement(self)
            return super().execute(sql, parameters)
        return self.cursor()


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
        self._disk.scheduler.after(self._disk.rng.randint(*HOP_US), self._deliver, future, answer, error)
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
    """All that is replaced in the engine, and when its log is written back."""
    with (
        mock.patch.object(aiosqlite, "connect", disk.connect),
        mock.patch("engine.store.WriterLock", NoLock),
        mock.patch("engine.store.check_is_ours"),  # 10 ms each time
        mock.patch("engine.store.look_within", partial(_look_within, disk)),
        mock.patch("engine.writer._has_room", disk.has_room),
        mock.patch("engine.writer.CHECKPOINT_PAGES", CHECKPOINT_PAGES),
        mock.patch("batcher.log_keeper.CHECKPOINT_EVERY_US", CHECKPOINT_EVERY_US),
    ):
        yield


def _look_within(
    disk: Disk, connection: sqlite3.Connection, within_s: float, look: Callable[[sqlite3.Connection], Any]
) -> Any:
    """A look takes no time here, so the weather says which one would have taken too long."""
    if disk.weather.strikes("look too long"):
        raise LookTooLong(within_s)
    return look_within(connection, within_s, look)


def failing(fault: tuple[int, str]) -> sqlite3.OperationalError:
    """What the driver raises for this result code (sqlite.org/rescode.html)."""
    code, message = fault
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error
