"""The one module that imports aiosqlite: open the file, commit a batch, read.

One connection writes and checkpoints, in one process (`files.WriterLock`); three others only read, and a
fourth, once it is asked for, reads the archives as well. A batch
is two hops: its keys are looked up on a reading connection's thread while the batch before it is being
written, it is decided on the event loop, and the writer's thread does BEGIN IMMEDIATE, guarded writes and
COMMIT. aiosqlite's public methods would cost a hop (50-100 us) for each statement, so its private
`_execute` runs a whole function on that thread; the version is pinned for it, and `tests/test_store.py`
would notice if it went.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import aiosqlite
import msgspec

from engine import prefetch, rows
from engine.archives import joined
from engine.blocks import Block, Signer, seal
from engine.commands import Command, Touched, touched_by
from engine.decide import decide
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, FileUnusable
from engine.files import WriterLock, check_is_ours, create_if_missing, read_only_uri
from engine.keys import SigningKey, introduce, signing_key
from engine.outcomes import Code, Outcome
from engine.view import Changes, View
from engine.warm import Books, Turn, Warm

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


_AHEAD, _SHORT, _LONG, _PAST = range(4)
# Whom the reading connections serve: the next batch, `read`, `read_long`, `read_past`.


class Asked(msgspec.Struct, eq=False, gc=False):
    """A command and what those in front hold against it (see `decide`)."""

    command: Command
    objection: Code | None = None


class Prepared(NamedTuple):
    """A batch that is decided, in memory, and not written. Nobody may hear of its outcomes yet."""

    outcomes: list[Outcome]
    view: View
    changes: Changes
    block: Block | None
    turn: Turn


Decide = Callable[[View, Command, int, Code | None], Outcome]


class Store:
    """An open database file. Made by `Store.open`; `close` it, or the writer's thread keeps the process
    alive.
    """

    def __init__(
        self, path: Path, lock: WriterLock, writer: aiosqlite.Connection, decide: Decide, signer: Signer
    ) -> None:
        self.path = path
        self.failure: str | None = None
        self._lock = lock
        self._writer = writer
        self._readers: list[aiosqlite.Connection] = []
        self._decide = decide
        self._signer = signer
        self._books: Books = {}
        self._warm = Warm()
        self._preparing = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._next_turn = Turn(0, 0)  # on the writer's thread
        self._data_version = -1  # of the writing connection; -1: something else than a batch has written

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        key: SigningKey | None = None,
        decide: Decide = decide,
        connection_factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> Store:
        """Open `path` for writing. `create`: make it if it is missing. `key`: who signs its blocks; the key
        beside it, unless told (`keys.signing_key`).

        Checkpoints with sync before it returns, so that whatever is read afterwards is on disk, also
        where the last process died at an unknown COMMIT. `decide` and `connection_factory` are where
        tests put faults. Raises `FileUnusable` or
        `KeyUnusable`.
        """
        if create:
            create_if_missing(path)
        check_is_ours(path, writing=True)
        key = key or signing_key(path)
        lock = WriterLock(path)
        try:
            writer = await aiosqlite.connect(
                path, isolation_level=None, cached_statements=256, factory=connection_factory
            )
        except sqlite3.Error as error:
            lock.release()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        store = cls(path, lock, writer, decide, key.signer)
        try:
            await _on_thread(writer, _prepare_writer)
            for _ in (_AHEAD, _SHORT, _LONG):
                await store._add_reader()
            await store.set_up(partial(introduce, key=key))
            store._books = await store.set_up(prefetch.read_books)
            store._data_version = await _on_thread(writer, _read_data_version)
        except sqlite3.Error as error:
            await store.close()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        return store

    async def prepare(self, batch: Sequence[Asked], now_us: int) -> Prepared:
        """Decide `batch` in order on the state that all batches prepared before it leave behind.

        Writes nothing. Raises `BatchAborted` or `BatchRefused`.
        """
        touched = touched_by(asked.command for asked in batch)
        async with self._preparing:
            view = await self._next_view(touched, now_us)
            turn = self._warm.next_turn()
            try:
                outcomes = [self._decide(view, asked.command, now_us, asked.objection) for asked in batch]
                block = None
                if view.new_transactions or view.new_entries:
                    block = seal(view.head, view.at_us, view.new_transactions, view.new_entries, self._signer)
            except Exception as error:  # a bug in one command must not cost its neighbours: bisected
                self._warm.forget()
                raise BatchAborted("decide", repr(error)) from error
            changes = view.close()
            if view.changed:
                self._warm.decided(view, block)
            return Prepared(outcomes, view, changes, block, turn)

    async def write(
        self,
        prepared: Prepared,
        may_begin: Callable[[], bool] = lambda: True,
        at_halfway: Callable[[], object] = lambda: None,
    ) -> bool:
        """Write a prepared batch in one transaction; once this returns True, its outcomes are true.

        False: it is void, because the batch before it failed, the file was changed by somebody else, or
        `may_begin` said so; nothing has happened, prepare it anew. Several may wait here for the writer, in
        the order in which they were prepared; also one without anything to write, since what it tells
        rests on those before it. `may_begin` and `at_halfway` are called on the writer's thread, when the
        batch has its turn and when it is time to prepare the next one; neither is, if there is nothing to
        write.

        Raises `BatchAborted` or `BatchRefused` (rolled back: nothing has happened) or `CommitUnknown`
        (and from then on only that). Cancelling the caller does not stop the commit.
        """
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        if prepared.turn.epoch != self._warm.epoch:
            return False
        try:
            is_written = await _on_thread(self._writer, self._write, prepared, may_begin, at_halfway)
        except BaseException:  # a caller that is cancelled too: whether the batch gets written is then open
            self._warm.void(prepared.turn)
            raise
        if not is_written:
            self._warm.void(prepared.turn)
        elif prepared.view.changed:
            self._warm.written(prepared.turn)
        return is_written

    async def commit(self, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        """Prepare `batch` and write it, again if it is void; the outcomes. Raises as `write` does."""
        for _ in range(GUARD_ATTEMPTS):
            prepared = await self.prepare(batch, now_us)
            if await self.write(prepared):
                return prepared.outcomes
        raise BatchRefused("guard", f"accounts changed under the batch {GUARD_ATTEMPTS} times")

    async def answer(self, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        """What each command would be answered if all of `batch` were refused: replays and conflicts are told
        as such, everything else gets its objection. Reads only, so it works while the writer is stuck.

        Each command must have an objection, or deciding it would change the view for nobody.
        """
        assert all(asked.objection is not None for asked in batch)

        def look(connection: sqlite3.Connection) -> list[Outcome]:
            touched = touched_by(asked.command for asked in batch)
            user_ids = touched.user_ids.union(self._books.values())
            found = prefetch.look_up(connection, touched, user_ids, head=True)
            view = Warm().view(touched, found, (), self._books, now_us)
            outcomes = [self._decide(view, asked.command, now_us, asked.objection) for asked in batch]
            assert not view.changed
            return outcomes

        return await self.read(look)

    async def read(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `look` on the reading connection's thread. It must end its statements: a reader that lingers
        pins the WAL."""
        return await _on_thread(self._readers[_SHORT], look)

    async def read_long(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """As `read`, on a connection of its own: for what follows an account's whole history, behind which no
        other reader may wait."""
        return await _on_thread(self._readers[_LONG], look)

    async def read_past(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """As `read_long`, on another connection, which reads the archives together with the hot file (see
        `archives.joined`). Raises `ArchiveUnusable`, and what `look` does.
        """
        async with self._opening:
            if len(self._readers) == _PAST:
                await self._add_reader()
        return await _on_thread(self._readers[_PAST], _look_at_all, look)

    async def set_up(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` on the writer's thread, in a transaction of its own unless it only reads. For set-up
        (books, accounts), never for money."""
        return await _on_thread(self._writer, self._set_up, change)

    async def tidy(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` on the writer's thread, in a transaction of its own, between two batches. For
        what no batch rests on: those that are decided ahead stay true. It is to be short: bets wait
        behind it.

        Raises what `change` does, `BatchAborted` or `BatchRefused` (rolled back: nothing has happened) or
        `CommitUnknown` (and from then on so does every batch).
        """
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        return await _on_thread(self._writer, self._tidy, change)

    async def refresh_books(self) -> None:
        """Read the house's books again, after `set_up` has added some."""
        self._books = await self.read(prefetch.read_books)

    async def close(self) -> None:
        """Close all connections and let go of the lock. The last connection to close checkpoints."""
        for reader in self._readers:
            await reader.close()
        await self._writer.close()
        self._lock.release()

    async def _add_reader(self) -> None:
        reader = await aiosqlite.connect(read_only_uri(self.path), uri=True, isolation_level=None)
        self._readers.append(reader)
        await reader.execute("PRAGMA query_only = ON")

    async def _next_view(self, touched: Touched, now_us: int) -> View:
        user_ids = touched.user_ids.union(self._books.values())
        while True:
            warm = self._warm
            epoch, under_way = warm.epoch, warm.under_way()
            # While nothing is known, a batch may still be on its way to the file: look behind it.
            connection = self._writer if warm.is_cold else self._readers[_AHEAD]
            missing = warm.missing(user_ids)
            try:
                found = await _on_thread(connection, prefetch.look_up, touched, missing, head=warm.is_cold)
            except Exception as error:  # also a text that no door lets in: it cannot be encoded
                raise _fault("look up", error) from error
            if warm.epoch == epoch:
                return warm.view(touched, found, under_way, self._books, now_us)

    def _write(
        self,
        connection: sqlite3.Connection,
        prepared: Prepared,
        may_begin: Callable[[], bool],
        at_halfway: Callable[[], object],
    ) -> bool:
        turn = prepared.turn
        starts_anew = turn.batches == 0 and turn.epoch > self._next_turn.epoch
        if self.failure is not None or not (turn == self._next_turn or starts_anew):
            return False
        if not prepared.view.changed:
            return True
        if not may_begin():
            return False
        # Until it is committed, whatever was decided on it is void.
        self._next_turn = Turn(turn.epoch + 1, 0)
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self._is_as_we_left_it(connection) or not rows.write(
                connection, prepared.view, prepared.changes, prepared.block, at_halfway
            ):
                connection.execute("ROLLBACK")
                return False
        except Exception as error:
            self._roll_back(connection)
            raise _fault("write", error) from error
        self._commit(connection)
        self._next_turn = Turn(turn.epoch, turn.batches + 1)
        return True

    def _commit(self, connection: sqlite3.Connection) -> None:
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

    def _is_as_we_left_it(self, connection: sqlite3.Connection) -> bool:
        """Whether only batches have changed the file since this was last asked. In a transaction."""
        before, self._data_version = self._data_version, _read_data_version(connection)
        return before == self._data_version

    def _set_up(
        self, connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]
    ) -> Answer:
        self._data_version = -1
        return _in_transaction(connection, change)

    def _tidy(self, connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        if self.failure is not None:  # since it has waited for the writer
            raise CommitUnknown("begin", self.failure)
        connection.execute("BEGIN IMMEDIATE")
        try:
            changed = change(connection)
        except BaseException:
            self._roll_back(connection)
            raise
        self._commit(connection)
        return changed

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


def _look_at_all(connection: sqlite3.Connection, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
    joined(connection)
    return look(connection)


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


def _primary_code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _fault(operation: str, error: Exception) -> BatchAborted | BatchRefused:
    if _primary_code(error) in REFUSING | SICK:
        return BatchRefused(operation, str(error))
    return BatchAborted(operation, str(error))
