"""What runs on the writer's thread: a batch in one transaction, and set-up. Plain `sqlite3`; called by the
store only.

Here it is decided what a fault of the storage means for the money (sqlite.org/rescode.html).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from engine import rows
from engine.blocks import Block
from engine.errors import BatchAborted, BatchRefused, CommitUnknown
from engine.histograms import Histogram
from engine.outcomes import Outcome
from engine.view import Changes, View
from engine.warm import Turn

Answer = TypeVar("Answer")

CHECKPOINT_PAGES: Final = 4096
"""Pages (of 4 KiB) written to the WAL before the writer checkpoints: 16 MiB, some 20,000 bets. It asks for it
itself: SQLite would do it in COMMIT, and swallow its faults (docs/adr/0018)."""

PAGES_A_COMMIT: Final = 16
PAGES_A_STEP: Final = 64
"""First guesses of what a commit writes, besides a page for each command; what a checkpoint finds corrects
them."""

BUSY_TIMEOUT_MS: Final = 1000
"""How long the writer waits for a stranger's lock; half of a bet's deadline."""

LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""What is left of the WAL's file when a reader that pinned it has gone: ordinary ones are half as long, and
to cut them would make every COMMIT lengthen the file again."""

ROOM_BYTES: Final = 16 * 1024 * 1024
"""Room on the disk without which no batch begins, nor a step between two: more than a full one writes, 1 to
4 MiB, by how far its keys are spread. SQLite reserves the index of the WAL (`-shm`) by 32 KiB at a time,
behind what it has written; where that fails, it fails in COMMIT, and nobody knows the outcome."""

REFUSING: Final = frozenset(
    {
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""Primary result codes that speak of the storage and not of the batch, and that may pass by themselves."""

BROKEN: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY}
)
"""Likewise; the file, or what is under it, is not what it was. The kernel may have dropped what it could not
write, and say so once (docs/adr/0018), so nothing is written from there on until a start has read the file
from the disk again. But for `IOERR_NOMEM`, which is short memory.
"""


ERRORS: Final = (sqlite3.Error, MemoryError)
"""What the driver raises for an error of SQLite's: for `NOMEM`, and for that alone, no `sqlite3.Error`."""


class Prepared(NamedTuple):
    """A batch that is decided, in memory, and not written. Nobody may hear of its outcomes yet."""

    outcomes: list[Outcome]
    view: View
    changes: Changes
    block: Block | None
    turn: Turn


class Writer:
    """What the writer's thread has to remember between two batches. Each method runs there, with the writing
    connection.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failure: str | None = None
        """Why nothing is written until a restart; None while all is well."""
        self.commits = 0
        """How often something was committed."""
        self.checkpoints = 0
        """How often the log was written back, as far as readers allowed."""
        self.transaction_times = Histogram()
        """Microseconds from BEGIN until a batch was committed."""
        self.commit_times = Histogram()
        """Of them, or of another step, those in COMMIT: it appends to the log and syncs it."""
        self._guess = 0  # pages written since the last checkpoint
        self._pages_a_guess = 1.0
        self._frames = 0  # in the log at that time
        self._may_begin_anew = True  # the log, since all of it had been written back
        self._next_turn = Turn(0, 0)
        self._data_version = -1  # of the writing connection; -1: something else than a batch has written

    def write(
        self,
        connection: sqlite3.Connection,
        prepared: Prepared,
        may_begin: Callable[[], bool],
        at_halfway: Callable[[], object],
    ) -> bool:
        """Write a batch in one transaction: see `Store.write`. False: it is void."""
        turn = prepared.turn
        starts_anew = turn.batches == 0 and turn.epoch > self._next_turn.epoch
        if self.failure is not None or not (turn == self._next_turn or starts_anew):
            return False
        if not prepared.view.changed:
            return True
        if not may_begin():
            return False
        if not _has_room(self._path):
            raise BatchRefused("write", "the disk is full")
        # Until it is committed, whatever was decided on it is void.
        self._next_turn = Turn(turn.epoch + 1, 0)
        began_ns = time.monotonic_ns()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self._is_as_we_left_it(connection) or not rows.write(
                connection, prepared.view, prepared.changes, prepared.block, at_halfway
            ):
                connection.execute("ROLLBACK")
                return False
        except Exception as error:
            self._roll_back(connection)
            self.heed("write", error)
            raise fault_of("write", error) from error
        self._commit(connection)
        self.transaction_times.add((time.monotonic_ns() - began_ns) // 1000)
        self._next_turn = Turn(turn.epoch, turn.batches + 1)
        self._guess += PAGES_A_COMMIT + len(prepared.outcomes)
        return True

    def _commit(self, connection: sqlite3.Connection) -> None:
        began_ns = time.monotonic_ns()
        try:
            connection.execute("COMMIT")
        except ERRORS as error:
            fault = fault_of("commit", error)
            if _primary_code(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT):
                # Whether the commit record reached the disk is open: asking SQLite again could answer wrongly
                # (a later sync may succeed without the lost pages), so only a restart may tell.
                self.failure = self.failure or f"COMMIT failed: {error}"
                raise CommitUnknown("commit", str(error)) from error
            self._roll_back(connection)
            raise fault from error
        self.commit_times.add((time.monotonic_ns() - began_ns) // 1000)
        self.commits += 1

    def checkpoint(self, connection: sqlite3.Connection, wait_ms: int | None) -> bool:
        """Write the WAL back into the database: see `Store.checkpoint`."""
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        mode = "PASSIVE" if wait_ms is None else "TRUNCATE"
        guess, self._guess = self._guess, 0  # also if it fails: the disk is not asked at each commit
        try:
            connection.execute(f"PRAGMA busy_timeout = {wait_ms or 0}")
            try:
                busy, frames, moved = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        except ERRORS as error:
            self.heed("checkpoint", error)
            raise fault_of("checkpoint", error) from error
        self.checkpoints += 1
        if guess and frames:
            self._pages_a_guess = min(max(self._written(frames, guess) / guess, 1 / 64), 4)
        self._frames, self._may_begin_anew = frames, moved == frames
        return not busy and self._may_begin_anew

    def _written(self, frames: int, guess: int) -> int:
        """How many of the `frames` in the log were written since the last checkpoint. Where that was whole,
        the log may have been begun anew, unless a reader was still in it. SQLite does not say which, so what
        is nearer to the guess is taken.
        """
        since = frames - self._frames
        if since < 0:
            return frames
        expected = guess * self._pages_a_guess
        is_anew = self._may_begin_anew and abs(frames - expected) < abs(since - expected)
        return frames if is_anew else since

    @property
    def has_much_to_write_back(self) -> bool:
        """Whether a checkpoint is due."""
        return self._guess * self._pages_a_guess >= CHECKPOINT_PAGES

    def heed(self, operation: str, error: BaseException) -> None:
        """Write nothing from here on if this error of the writing connection says that the storage is broken.
        To be called outside of a transaction, so that no outcome is open."""
        if is_broken(error):
            self.failure = self.failure or f"{operation} failed: {error}"

    def _is_as_we_left_it(self, connection: sqlite3.Connection) -> bool:
        """Whether only batches have changed the file since this was last asked. In a transaction."""
        before, self._data_version = self._data_version, _read_data_version(connection)
        return before == self._data_version

    def leave(self, connection: sqlite3.Connection) -> None:
        """Whoever changes the file from here on is somebody else, but for batches and steps of `tidy`."""
        self._data_version = _read_data_version(connection)

    def set_up(
        self, connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]
    ) -> Answer:
        """Run `change` in a transaction of its own: see `Store.set_up`."""
        self._data_version = -1
        try:
            return _in_transaction(connection, change)
        except sqlite3.Error as error:
            self.heed("set up", error)
            raise

    def tidy(self, connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` in a transaction of its own between two batches: see `Store.tidy`."""
        if self.failure is not None:  # since it has waited for the writer
            raise CommitUnknown("begin", self.failure)
        if not _has_room(self._path):
            raise BatchRefused("tidy", "the disk is full")
        try:
            connection.execute("BEGIN IMMEDIATE")
            changed = change(connection)
        except BaseException as error:
            self._roll_back(connection)
            self.heed("tidy", error)
            raise
        self._commit(connection)
        self._guess += PAGES_A_STEP
        return changed

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # some errors, such as FULL, make SQLite roll back by itself
            return
        try:
            connection.execute("ROLLBACK")
        except ERRORS as error:
            # Nothing was committed, but this connection can no longer be trusted to begin anything.
            self.failure = self.failure or f"ROLLBACK failed: {error}"


def prepare_connection(connection: sqlite3.Connection, path: Path) -> None:
    """Set the writing connection to `path` up, and have on disk what the last process has left."""
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",  # NORMAL can lose acknowledged bets at a power cut, and is not offered
        "foreign_keys = ON",
        "recursive_triggers = ON",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "wal_autocheckpoint = 0",
        f"journal_size_limit = {LOG_LIMIT_BYTES}",
        "cache_size = -65536",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {setting}")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        # A reader pins the WAL: what it holds is committed, and cannot all be moved into the database yet.
        connection.execute("PRAGMA wal_checkpoint(FULL)")
        _write_again(path.with_name(f"{path.name}-wal"))


def _write_again(wal: Path) -> None:
    """Have every byte of the WAL on disk. Where the last process died of a sync that failed, the kernel may
    take pages for clean that it never wrote, and a sync alone would say that all is well.

    SQLite holds no lock on this file, so to open and close it here loses none (see `check_is_ours`).
    """
    with wal.open("r+b", buffering=0) as file:
        while piece := file.read(1 << 20):
            file.seek(-len(piece), os.SEEK_CUR)
            file.write(piece)
        os.fsync(file.fileno())


def _read_data_version(connection: sqlite3.Connection) -> int:
    """Differs from the last one if another connection has committed in between (sqlite.org/pragma.html)."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _in_transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = change(connection)
        connection.execute("COMMIT")
    except BaseException:  # whatever ends it, the writer must not stay inside a transaction
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return changed


def _has_room(path: Path) -> bool:
    """Whether the disk has room for a batch. Where it does not say how much it has, SQLite finds out."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return True
    return not disk.f_blocks or disk.f_bavail * disk.f_frsize >= ROOM_BYTES


def is_broken(error: BaseException) -> bool:
    """Whether this error says that the storage has failed, and not only for now."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in BROKEN and code != sqlite3.SQLITE_IOERR_NOMEM


def _primary_code(error: Exception) -> int:
    if isinstance(error, MemoryError):
        return sqlite3.SQLITE_NOMEM
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def fault_of(operation: str, error: Exception) -> BatchAborted | BatchRefused:
    """What `error` says of a batch that was rolled back."""
    if _primary_code(error) in REFUSING | BROKEN:
        return BatchRefused(operation, str(error))
    return BatchAborted(operation, str(error))
