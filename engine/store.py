"""The one module that imports aiosqlite: open the file, commit a batch, read.

One connection writes and checkpoints, in one process (`files.WriterLock`); a second one only reads. A
batch is one hop to the writer's thread: prefetch, decide, BEGIN IMMEDIATE, guarded writes, COMMIT.
aiosqlite's public methods would cost a hop (50-100 us) for each statement, so its private `_execute` runs
a whole function on that thread; the version is pinned for it, and `tests/test_store.py` would notice if
it went.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import aiosqlite

from engine import rows
from engine.blocks import Block, seal
from engine.commands import Command
from engine.decide import decide
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, FileUnusable
from engine.files import WriterLock, check_is_ours, create_if_missing, read_only_uri
from engine.outcomes import Code, Outcome
from engine.view import View

Answer = TypeVar("Answer")
Given = ParamSpec("Given")

GUARD_ATTEMPTS: Final = 5
"""How often a batch is decided anew when somebody else changed an account that it read."""

CHECKPOINT_PAGES: Final = 4096
"""Pages (of 4 KiB) in the WAL before a commit also checkpoints: 16 MiB, some 20,000 bets."""

BUSY_TIMEOUT_MS: Final = 1000
"""How long the writer waits for a stranger's lock; half of a bet's deadline."""

REFUSING: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}
)
"""Primary result codes that speak of the storage and not of the batch (sqlite.org/rescode.html)."""

SICK: Final = frozenset(
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
"""Likewise; before COMMIT such a batch is rolled back like any other and has surely not happened."""


class Asked(NamedTuple):
    """A command and what those in front hold against it (see `decide`)."""

    command: Command
    objection: Code | None = None


Decide = Callable[[View, Command, int, Code | None], Outcome]


class Store:
    """An open database file. Made by `Store.open`; `close` it, or the writer's thread keeps the process
    alive.
    """

    def __init__(self, path: Path, lock: WriterLock, writer: aiosqlite.Connection, decide: Decide) -> None:
        self.path = path
        self.failure: str | None = None
        self._lock = lock
        self._writer = writer
        self._readers: list[aiosqlite.Connection] = []
        self._decide = decide
        self._books: rows.Books = {}

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        decide: Decide = decide,
        connection_factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> Store:
        """Open `path` for writing. `create`: make it if it is missing.

        Checkpoints with sync before it returns, so that whatever is read afterwards is on disk, also
        where the last process died at an unknown COMMIT. `decide` and `connection_factory` are where
        tests put faults. Raises `FileUnusable`.
        """
        if create:
            create_if_missing(path)
        check_is_ours(path, writing=True)
        lock = WriterLock(path)
        try:
            writer = await aiosqlite.connect(
                path, isolation_level=None, cached_statements=256, factory=connection_factory
            )
        except sqlite3.Error as error:
            lock.release()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        store = cls(path, lock, writer, decide)
        try:
            await _on_thread(writer, _prepare_writer)
            for _ in range(2):
                reader = await aiosqlite.connect(read_only_uri(path), uri=True, isolation_level=None)
                store._readers.append(reader)
                await reader.execute("PRAGMA query_only = ON")
            store._books = await store.write(rows.read_books)
        except sqlite3.Error as error:
            await store.close()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        return store

    async def commit(
        self, batch: Sequence[Asked], now_us: int, at_commit: Callable[[], object] = lambda: None
    ) -> list[Outcome]:
        """Decide `batch` in order and write it in one transaction; the outcomes are true once this returns.

        `at_commit` is called on the writer's thread when all rows are written and only COMMIT is left, unless
        there is nothing to write.

        Raises `BatchAborted` or `BatchRefused` (rolled back: nothing has happened) or `CommitUnknown`
        (and from then on only that). Cancelling the caller does not stop the commit.
        """
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        return await _on_thread(self._writer, self._commit, batch, now_us, at_commit)

    async def answer(self, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        """What each command would be answered if all of `batch` were refused: replays and conflicts are told
        as such, everything else gets its objection. Reads only, so it works while the writer is stuck.

        Each command must have an objection, or deciding it would change the view for nobody.
        """
        assert all(asked.objection is not None for asked in batch)

        def look(connection: sqlite3.Connection) -> list[Outcome]:
            view = rows.prefetch(connection, [asked.command for asked in batch], self._books, now_us)
            outcomes = [self._decide(view, asked.command, now_us, asked.objection) for asked in batch]
            assert not view.changed
            return outcomes

        return await self.read(look)

    async def read(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `look` on the reading connection's thread. It must end its statements: a reader that lingers
        pins the WAL."""
        return await _on_thread(self._readers[0], look)

    async def read_long(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """As `read`, on a connection of its own: for what follows an account's whole history, behind which no
        other reader may wait."""
        return await _on_thread(self._readers[1], look)

    async def write(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` on the writer's thread, in a transaction of its own unless it only reads. For set-up
        (books, accounts), never for money."""
        return await _on_thread(self._writer, _in_transaction, change)

    async def refresh_books(self) -> None:
        """Read the house's books again, after `write` has added some."""
        self._books = await self.write(rows.read_books)

    async def close(self) -> None:
        """Close both connections and let go of the lock. The last connection to close checkpoints."""
        for reader in self._readers:
            await reader.close()
        await self._writer.close()
        self._lock.release()

    def _commit(
        self,
        connection: sqlite3.Connection,
        batch: Sequence[Asked],
        now_us: int,
        at_commit: Callable[[], object],
    ) -> list[Outcome]:
        commands = [asked.command for asked in batch]
        for _ in range(GUARD_ATTEMPTS):
            view, outcomes = self._decide_all(connection, commands, batch, now_us)
            if not view.changed:
                return outcomes
            try:
                block = (
                    seal(view.head, view.at_us, view.new_transactions, view.new_entries)
                    if view.new_transactions or view.new_entries
                    else None
                )
            except Exception as error:
                raise BatchAborted("seal", repr(error)) from error
            if self._write(connection, view, block, at_commit):
                return outcomes
        raise BatchRefused("guard", f"accounts changed under the batch {GUARD_ATTEMPTS} times")

    def _decide_all(
        self, connection: sqlite3.Connection, commands: list[Command], batch: Sequence[Asked], now_us: int
    ) -> tuple[View, list[Outcome]]:
        try:
            view = rows.prefetch(connection, commands, self._books, now_us)
        except Exception as error:  # also a text that no door lets in: it cannot be encoded
            raise _fault("prefetch", error) from error
        try:
            return view, [self._decide(view, asked.command, now_us, asked.objection) for asked in batch]
        except (
            Exception
        ) as error:  # a bug in one command must not cost its neighbours: bisected by the batcher
            raise BatchAborted("decide", repr(error)) from error

    def _write(
        self,
        connection: sqlite3.Connection,
        view: View,
        block: Block | None,
        at_commit: Callable[[], object],
    ) -> bool:
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not rows.write(connection, view, block):
                connection.execute("ROLLBACK")
                return False
            at_commit()
        except Exception as error:
            self._roll_back(connection)
            raise _fault("write", error) from error
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            fault = _fault("commit", error)
            if _primary_code(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT):
                # Whether the commit record reached the disk is open: asking SQLite again could answer wrongly
                # (a later sync may succeed without the lost pages), so only a restart may tell.
                self.failure = f"COMMIT failed: {error}"
                raise CommitUnknown("commit", str(error)) from error
            self._roll_back(connection)
            raise fault from error
        return True

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:  # some errors, such as FULL, make SQLite roll back by itself
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            # Nothing was committed, but this connection can no longer be trusted to begin anything.
            self.failure = f"ROLLBACK failed: {error}"


async def _on_thread(
    connection: aiosqlite.Connection,
    function: Callable[Concatenate[sqlite3.Connection, Given], Answer],
    *arguments: Given.args,
    **named: Given.kwargs,
) -> Answer:
    """Run `function` with the raw connection on `connection`'s thread: one hop, however much it does."""
    execute: Any = connection._execute
    answer: Answer = await execute(function, connection._conn, *arguments, **named)
    return answer


def _prepare_writer(connection: sqlite3.Connection) -> None:
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",  # NORMAL can lose acknowledged bets at a power cut, and is not offered
        "foreign_keys = ON",
        "recursive_triggers = ON",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        "cache_size = -65536",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {setting}")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        # A reader pins the WAL. What it holds is committed; only its sync into the database must wait.
        connection.execute("PRAGMA wal_checkpoint(FULL)")


def _in_transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = change(connection)
    except BaseException:  # whatever ends it, the writer must not stay inside a transaction
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return changed


def _primary_code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _fault(operation: str, error: Exception) -> BatchAborted | BatchRefused:
    if _primary_code(error) in REFUSING | SICK:
        return BatchRefused(operation, str(error))
    return BatchAborted(operation, str(error))
