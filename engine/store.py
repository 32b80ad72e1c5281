"""The one module that imports aiosqlite: open the file, commit a batch, read.

One connection writes and checkpoints, in one process (`files.WriterLock`); three others only read, and a
fourth, once it is asked for, reads the archives as well. A batch
is two hops: its keys are looked up on a reading connection's thread while the batch before it is being
written, it is decided on the event loop, and the writer's thread writes and commits it (writer.py).
aiosqlite's public methods would cost a hop (50-100 us) for each statement, so its private
`_execute` runs a whole function on that thread; the version is pinned for it, and `tests/test_store.py`
would notice if it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import aiosqlite
import msgspec

from engine import prefetch
from engine.actors import Actor
from engine.archives import joined
from engine.blocks import Signer, seal
from engine.commands import Command, Touched, touched_by
from engine.decide import decide
from engine.deeds import Deed, deed, is_new
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, FileUnusable, StoreFault
from engine.files import (
    WriterLock,
    check_is_ours,
    create_if_missing,
    forget_what_was_written_back,
    read_only_uri,
)
from engine.histograms import Histogram
from engine.keys import SigningKey, introduce, signing_key
from engine.looks import look_within
from engine.now import Now, sure
from engine.outcomes import Code, Outcome
from engine.view import View
from engine.warm import Books, Warm
from engine.writer import Prepared, Writer, fault_of, prepare_connection

Answer = TypeVar("Answer")
Given = ParamSpec("Given")

READ_WITHIN_S: Final = 1.0
"""How long a look may take behind which others wait: a thousand times what a look-up by key takes."""

READ_LONG_WITHIN_S: Final = 5.0
"""Any other look. Until it ends the WAL cannot be cut: at 10,000 bets a second that is some 40 MiB."""

GUARD_ATTEMPTS: Final = 5
"""How often a batch is decided anew when somebody else changed an account that it read."""

_AHEAD, _SHORT, _LONG, _PAST = range(4)
# Whom the reading connections serve: the next batch, `read`, `read_long`, `read_past`.


class Asked(msgspec.Struct, eq=False, gc=False):
    """A command and what those in front hold against it (see `decide`). `actor`: who asks for it on behalf of
    the house, so that the audit log has it; None: a player, or the server itself."""

    command: Command
    objection: Code | None = None
    actor: Actor | None = None


Decide = Callable[[View, Command, int, Code | None], Outcome]


class Store:
    """An open database file. Made by `Store.open`; `close` it, or the writer's thread keeps the process
    alive.
    """

    def __init__(
        self, path: Path, lock: WriterLock, writer: aiosqlite.Connection, decide: Decide, signer: Signer
    ) -> None:
        self.path = path
        self._lock = lock
        self._writer = writer
        self._on_writer = Writer(path)
        self._readers: list[aiosqlite.Connection] = []
        self._decide = decide
        self._signer = signer
        self._books: Books = {}
        self._warm = Warm()
        self._writing_back: asyncio.Task[None] | None = None
        self._preparing = asyncio.Lock()
        self._opening = asyncio.Lock()

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
            forget_what_was_written_back(path)
            writer = await aiosqlite.connect(
                path, isolation_level=None, cached_statements=256, factory=connection_factory
            )
        except sqlite3.Error as error:
            lock.release()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        except BaseException:
            lock.release()
            raise
        store = cls(path, lock, writer, decide, key.signer)
        try:
            await _on_thread(writer, prepare_connection, path)
            for _ in (_AHEAD, _SHORT, _LONG):
                await store._add_reader()
            await store.set_up(partial(introduce, key=key))
            store._books = await store.set_up(prefetch.read_books)
            await _on_thread(writer, store._on_writer.leave)
        except sqlite3.Error as error:
            await store.close()
            raise FileUnusable(f"{path}: cannot be opened for writing: {error}") from error
        except BaseException:  # also Ctrl-C while a long log is written back: the threads would outlive it
            await store.close()
            raise
        return store

    @property
    def failure(self) -> str | None:
        """Why no money is taken until a restart; None while all is well."""
        return self._on_writer.failure

    @property
    def commits(self) -> int:
        """How many transactions have been committed since it was opened."""
        return self._on_writer.commits

    @property
    def checkpoints(self) -> int:
        """How often the log was written back since then, as far as readers allowed."""
        return self._on_writer.checkpoints

    @property
    def transaction_times(self) -> Histogram:
        """Microseconds that batches took on the writer's thread, from BEGIN to the end of COMMIT."""
        return self._on_writer.transaction_times

    @property
    def commit_times(self) -> Histogram:
        """Microseconds that COMMIT took by itself, of batches and of all else: as near as one comes to the
        sync, which SQLite does within it."""
        return self._on_writer.commit_times

    async def prepare(self, batch: Sequence[Asked], now: Now | int) -> Prepared:
        """Decide `batch` in order on the state that all batches prepared before it leave behind.

        `now`: see `engine.now.sure`. Writes nothing. Raises `BatchAborted` or `BatchRefused`.
        """
        touched = touched_by(asked.command for asked in batch)
        wall_us = sure(now).wall_us
        async with self._preparing:
            view = await self._next_view(touched, now)
            turn = self._warm.next_turn()
            try:
                outcomes = [self._decide(view, asked.command, wall_us, asked.objection) for asked in batch]
                if any(map(_actor_of, batch)):  # one look a command: players' bets pay for nothing more
                    view.new_deeds = _deeds_of(batch, outcomes, view.at_us)
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

    def is_void(self, prepared: Prepared) -> bool:
        """Whether a prepared batch that is not written yet can no longer be: it has to be prepared anew."""
        return prepared.turn.epoch != self._warm.epoch

    def drop(self, prepared: Prepared) -> None:
        """A prepared batch that is not going to be written: it is void, and what was prepared on it too."""
        self._warm.void(prepared.turn)

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
        if self.is_void(prepared):
            return False
        try:
            is_written = await _on_thread(
                self._writer, self._on_writer.write, prepared, may_begin, at_halfway
            )
        except BaseException:  # a caller that is cancelled too: whether the batch gets written is then open
            self._warm.void(prepared.turn)
            raise
        if not is_written:
            self._warm.void(prepared.turn)
        elif prepared.view.changed:
            self._warm.written(prepared.turn)
            self._write_back_when_due()
        return is_written

    async def commit(self, batch: Sequence[Asked], now: Now | int) -> list[Outcome]:
        """Prepare `batch` and write it, again if it is void; the outcomes. Raises as `write` does."""
        for _ in range(GUARD_ATTEMPTS):
            prepared = await self.prepare(batch, now)
            if await self.write(prepared):
                return prepared.outcomes
        raise BatchRefused("guard", f"accounts changed under the batch {GUARD_ATTEMPTS} times")

    async def answer(self, batch: Sequence[Asked], now: Now | int) -> list[Outcome]:
        """What each command would be answered if all of `batch` were refused: replays and conflicts are told
        as such, everything else gets its objection. Reads only, so it works while the writer is stuck.

        Each command must have an objection, or deciding it would change the view for nobody.
        """
        assert all(asked.objection is not None for asked in batch)

        def look(connection: sqlite3.Connection) -> list[Outcome]:
            touched = touched_by(asked.command for asked in batch)
            user_ids = touched.user_ids.union(self._books.values())
            found = prefetch.look_up(connection, touched, user_ids, head=True)
            view = Warm().view(touched, found, (), self._books, now)
            wall_us = sure(now).wall_us
            outcomes = [self._decide(view, asked.command, wall_us, asked.objection) for asked in batch]
            assert not view.changed
            return outcomes

        return await self._look(_SHORT, READ_LONG_WITHIN_S, look)

    async def read(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `look` on the reading connection's thread. It must end its statements: a reader that lingers
        pins the WAL. Raises `LookTooLong` after `READ_WITHIN_S`."""
        return await self._look(_SHORT, READ_WITHIN_S, look)

    async def read_long(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """As `read`, on a connection of its own: for what follows an account's whole history, behind which no
        other reader may wait. Raises `LookTooLong` after `READ_LONG_WITHIN_S`."""
        return await self._look(_LONG, READ_LONG_WITHIN_S, look)

    async def read_past(self, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """As `read_long`, on another connection, which reads the archives together with the hot file (see
        `archives.joined`). Raises `LookTooLong`, `ArchiveUnusable`, and what `look` does.
        """
        async with self._opening:
            if len(self._readers) == _PAST:
                await self._add_reader()
        return await self._look(_PAST, READ_LONG_WITHIN_S, partial(_look_at_all, look=look))

    async def set_up(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` on the writer's thread, in a transaction of its own. For set-up (books, accounts),
        never for money. Raises what `change` does, and `sqlite3.Error`."""
        return await _on_thread(self._writer, self._on_writer.set_up, change)

    async def tidy(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `change` on the writer's thread, in a transaction of its own, between two batches. For
        what no batch rests on: those that are decided ahead stay true. It is to be short: bets wait
        behind it.

        Raises what `change` does, `BatchAborted` or `BatchRefused` (rolled back: nothing has happened) or
        `CommitUnknown` (and from then on so does every batch).
        """
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        changed = await _on_thread(self._writer, self._on_writer.tidy, change)
        self._write_back_when_due()
        return changed

    async def checkpoint(self, wait_ms: int | None = None) -> bool:
        """Write the WAL back into the database, with sync, between two batches; whether all of it is there.

        `wait_ms`: how long to wait for readers that are behind, so that the WAL can be cut to nothing; bets
        wait as long. None: wait for nobody, and write as much as they allow. Raises `BatchRefused` (the disk
        is full; try again later) or, where the storage has failed, as `tidy`.
        """
        if self.failure is not None:
            raise CommitUnknown("begin", self.failure)
        return await _on_thread(self._writer, self._on_writer.checkpoint, wait_ms)

    async def refresh_books(self) -> None:
        """Read the house's books again, after `set_up` has added some."""
        self._books = await self.read(prefetch.read_books)

    def note(self, text: str) -> None:
        """Let whoever finds the file locked know this: see `files.served_at`."""
        self._lock.note(text)

    async def close(self) -> None:
        """Close all connections and let go of the lock. The last one checkpoints, unless the storage has
        failed: then the WAL is left as it is to the next start, which reads all of it again.
        """
        # Behind a COMMIT whose caller has gone: where it still fails, nothing may be written after it.
        await _on_thread(self._writer, _nothing)
        if self._writing_back is not None:
            await asyncio.wait([self._writing_back])
        connections = [*self._readers, self._writer]
        if self.failure is not None:
            connections.reverse()  # readers cannot write, and so not checkpoint
        for connection in connections:
            await connection.close()
        if self.failure is not None:  # a shell that is the last to close the file writes the log back as well
            with contextlib.suppress(FileUnusable):  # what is broken may be so all over
                forget_what_was_written_back(self.path)
        self._lock.release()

    def _write_back_when_due(self) -> None:
        """Checkpoint once there is much to write back, in a hop of its own: on a slow disk it takes as long
        as two commits, and what was committed can be told meanwhile."""
        is_at_it = self._writing_back is not None and not self._writing_back.done()
        if self._on_writer.has_much_to_write_back and not is_at_it:
            self._writing_back = asyncio.create_task(self._write_back(), name="checkpoint")

    async def _write_back(self) -> None:
        with contextlib.suppress(StoreFault):  # all is committed; the next batch hears of a broken storage
            await self.checkpoint()

    async def _look(
        self, reader: int, within_s: float, look: Callable[[sqlite3.Connection], Answer]
    ) -> Answer:
        return await _on_thread(self._readers[reader], look_within, within_s, look)

    async def _add_reader(self) -> None:
        reader = await aiosqlite.connect(read_only_uri(self.path), uri=True, isolation_level=None)
        self._readers.append(reader)
        await _on_thread(reader, _prepare_reader)

    async def _next_view(self, touched: Touched, now: Now | int) -> View:
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
                if connection is self._writer:
                    self._on_writer.heed("look up", error)
                raise fault_of("look up", error) from error
            if warm.epoch == epoch:
                return warm.view(touched, found, under_way, self._books, now)


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


_actor_of = attrgetter("actor")


def _deeds_of(batch: Sequence[Asked], outcomes: Sequence[Outcome], at_us: int) -> list[Deed]:
    """What the audit log is to keep of a batch that was decided."""
    return [
        deed(asked.actor, asked.command, outcome, at_us)
        for asked, outcome in zip(batch, outcomes, strict=True)
        if asked.actor is not None and is_new(asked.objection, outcome)
    ]


def _nothing(connection: sqlite3.Connection) -> None:
    """What is asked of the writer's thread to hear that all before it is done."""


def _prepare_reader(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    # A first look opens the log as well: later, when the process is full of sockets, there may be no
    # descriptor left for it.
    connection.execute("SELECT max(id) FROM blocks").fetchone()


def _look_at_all(connection: sqlite3.Connection, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
    joined(connection)
    return look(connection)
