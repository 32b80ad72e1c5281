"""The file, in virtual time: real SQLite on a file in memory, WAL and all, on a disk that may fail it.

All SQL, triggers and snapshots are the real ones. What a seed decides is how long the writer's statements,
its COMMIT and its checkpoints take, and what becomes of them.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.sim.loop import Loop, Scheduler
from tests.sim.rows import ENTRIES, TRANSACTIONS, Entry, Transaction, Witness
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

FULL: Final = (sqlite3.SQLITE_FULL, "database or disk is full")
BUSY: Final = (sqlite3.SQLITE_BUSY, "database is locked")
SYNC_FAILED: Final = (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")
WRITE_FAILED: Final = (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")
READ_FAILED: Final = (sqlite3.SQLITE_IOERR_READ, "disk I/O error")
NO_MEMORY: Final = (sqlite3.SQLITE_NOMEM, "out of memory")


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
        self.late_us = 0
        """How long the look that has just been taken still goes on."""
        self.changed_us = 0
        """When it last got new rows."""
        self._witness = witness
        self._is_broken = False  # a write has failed, and nobody knows what else has not been written
        self._begun_us = 0
        self._pending_us: int | None = None  # since when a COMMIT that failed waits to come true at the end
        self._last_transaction = self._last_entry = 0
        self._back_us = 0  # when the loop hears of what the threads have done, up to now
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

    def open(self, database: object, *, is_writer: bool, **options: Any) -> sqlite3.Connection:
        """A connection of the process that serves the file."""
        raw: sqlite3.Connection
        if is_writer:
            raw = sqlite3.connect(str(database), factory=partial(Writing, disk=self), **options)  # type: ignore[call-overload]
        else:
            raw = sqlite3.connect(str(database), uri=True, **options)
        self._open.append(raw)
        return raw

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

    def back_us(self) -> int:
        """When the loop hears of what has just been done: in the order in which it was done."""
        self._back_us = max(self._back_us, self.scheduler.now_us + self.rng.randint(*HOP_US))
        return self._back_us

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
            self.changed_us = self.scheduler.now_us
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


def failing(fault: tuple[int, str]) -> sqlite3.OperationalError:
    """What the driver raises for this result code (sqlite.org/rescode.html)."""
    code, message = fault
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error
