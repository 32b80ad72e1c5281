"""Faults of the store on real files: what is known of the money after each, and that the next commit works.

Faults are put where SQLite raises them: a `sqlite3.Connection` whose COMMIT fails as told.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from batches import IO_ERROR, Disk
from books_open import (
    ALICE,
    BOB,
    CASH,
    HOUSE,
    NOW_US,
    asked,
    balances,
    bet_id,
    look,
    place,
    play,
    seed,
    with_store,
)

from engine import queries, writer
from engine.commands import PlaceBet
from engine.decide import decide
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import Accepted, Code
from engine.store import Asked, Store


class Failing(sqlite3.Connection):
    """Its next COMMIT fails with `code`, after doing what `first` says."""

    code: ClassVar[int | None] = None
    first: ClassVar[str | None] = None
    skips: ClassVar[str | None] = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.skips is not None and self.skips in sql:
            return super().execute("SELECT 1")
        if sql == "COMMIT" and self.code is not None:
            error = sqlite3.OperationalError("made up by a test")
            error.sqlite_errorcode, type(self).code = self.code, None
            if self.first is not None:
                super().execute(self.first)
            raise error
        return super().execute(sql, *parameters)


@pytest.fixture
def failing() -> Iterator[type[Failing]]:
    """The class to open a store with; set its `code`, `first` or `skips` when the store is open."""
    yield Failing
    Failing.code = Failing.first = Failing.skips = None


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


UNTOUCHED = {ALICE: 100, BOB: 1000, CASH: -1100}


async def fails_then_works(store: Store, fault: type[StoreFault], *batch: Asked) -> StoreFault:
    """The batch meets the fault and leaves no trace; the same connection takes the next batch."""
    with pytest.raises(fault) as raised:
        await store.commit(batch, NOW_US)
    assert raised.type is fault
    assert store.failure is None
    assert [await store.read(lambda reader, key=each.command.key: _known(reader, key)) for each in batch] == [
        0
    ] * len(batch)
    return raised.value


def _known(connection: sqlite3.Connection, key: str) -> int:
    keys = "SELECT key FROM transactions UNION ALL SELECT bet_id FROM refusals"
    (count,) = connection.execute(f"SELECT count(*) FROM ({keys}) WHERE key = ?", (key,)).fetchone()
    return int(count)


CONSTRAINT_BY_KEY = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


@pytest.mark.parametrize("first", [None, "ROLLBACK"], ids=["open", "rolled back by SQLite"])
@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_FULL, BatchRefused),
        (sqlite3.SQLITE_CONSTRAINT, BatchAborted),
        (CONSTRAINT_BY_KEY, BatchAborted),
    ],
)
def test_a_commit_refused_as_full_or_constraint_has_failed(
    books: Path, failing: type[Failing], code: int, fault: type[StoreFault], first: str | None
) -> None:
    async def use(store: Store) -> None:
        failing.code, failing.first = code, first
        await fails_then_works(store, fault, Asked(place(1)), Asked(place(2, 5000)))
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        assert isinstance(answer, Accepted)
        assert not answer.replayed

    with_store(books, use, connection_factory=failing)
    assert balances(books) == {ALICE: 70, BOB: 1000, HOUSE: 30, CASH: -1100}


UNKNOWN = [
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_ERROR,
]


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("code", UNKNOWN)
def test_any_other_error_at_commit_leaves_the_outcome_unknown_until_a_restart(
    books: Path, failing: type[Failing], code: int, on_disk: bool
) -> None:
    async def use(store: Store) -> None:
        failing.code, failing.first = code, "COMMIT" if on_disk else None
        for number in (1, 2, 1):
            with pytest.raises(CommitUnknown):
                await store.commit(asked(place(number)), NOW_US)
        assert store.failure is not None
        assert "made up by a test" in store.failure
        # Reading goes on: what was paid before is told, the rest gets its objection.
        (told,) = await store.answer([Asked(place(2), Code.OUTCOME_UNKNOWN)], NOW_US)
        assert told.code is Code.OUTCOME_UNKNOWN  # type: ignore[union-attr]

    with_store(books, use, connection_factory=failing)

    async def after_restart(store: Store) -> tuple[Any, Any]:
        found = await store.read(lambda connection: queries.bet(connection, bet_id(1)))
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        return found, answer

    found, answer = with_store(books, after_restart)
    assert (found is not None and found.state == "confirmed") == on_disk
    assert isinstance(answer, Accepted)
    assert answer.replayed == on_disk
    assert balances(books)[ALICE] == 70


def test_an_error_without_a_code_at_commit_is_unknown(books: Path, failing: type[Failing]) -> None:
    class Bare(failing):  # type: ignore[valid-type,misc]
        armed: ClassVar[bool] = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and self.armed:
                raise sqlite3.DatabaseError("no code at all")
            return super().execute(sql, *parameters)

    async def use(store: Store) -> None:
        Bare.armed = True
        with pytest.raises(CommitUnknown):
            await store.commit(asked(place(1)), NOW_US)
        assert store.failure is not None

    with_store(books, use, connection_factory=Bare)
    assert balances(books) == UNTOUCHED


def test_a_batch_without_its_seal_fails_at_commit_by_the_deferred_key(
    books: Path, failing: type[Failing]
) -> None:
    """SQLite's own refusal, not a made-up one."""

    async def use(store: Store) -> None:
        failing.skips = "INTO blocks"
        fault = await fails_then_works(store, BatchAborted, Asked(place(1)))
        assert "FOREIGN KEY" in str(fault)
        assert fault.operation == "commit"
        failing.skips = None
        await store.commit(asked(place(2)), NOW_US)

    with_store(books, use, connection_factory=failing)
    assert balances(books)[ALICE] == 70


def test_a_full_disk_refuses_the_batch_and_later_takes_it(books: Path) -> None:
    """SQLITE_FULL from SQLite itself, by a limit of pages."""

    def limit(pages: int) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").close()

    bets = [Asked(place(number, 1, BOB, selection="x" * 2000)) for number in range(50)]

    async def use(store: Store) -> None:
        await store.set_up(limit(1))  # SQLite raises it to what the file has already
        await fails_then_works(store, BatchRefused, *bets)
        await store.set_up(limit(100_000))
        await store.commit(bets, NOW_US)

    with_store(books, use)
    assert balances(books)[BOB] == 950


BROKEN = [
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY_DBMOVED,
]


class Breaking(sqlite3.Connection):
    """Its next statement with `at` in it fails with `code`."""

    at: ClassVar[str | None] = None
    code: ClassVar[int] = sqlite3.SQLITE_IOERR

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.at is not None and self.at in sql:
            type(self).at = None
            error = sqlite3.OperationalError("made up by a test")
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(sql, *parameters)


@pytest.fixture
def breaking() -> Iterator[type[Breaking]]:
    """The class to open a store with; set its `at` and `code` when the store is open."""
    yield Breaking
    Breaking.at, Breaking.code = None, sqlite3.SQLITE_IOERR


async def until_written_back(store: Store) -> None:
    """Return when the checkpoint that is due is done. Its task goes to the writer in its first turn."""
    await asyncio.sleep(0)
    await store.set_up(lambda connection: None)


async def ends_the_taking_of_money(store: Store, told: Code | None = Code.CIRCUIT_OPEN) -> None:
    """`told`: what the bet hears that met the fault; None if it was confirmed."""
    assert store.failure is not None
    assert "made up by a test" in store.failure
    with pytest.raises(CommitUnknown) as refused:
        await store.commit(asked(place(2)), NOW_US)
    assert not refused.value.has_begun
    with pytest.raises(CommitUnknown) as refused:
        await store.tidy(lambda connection: None)
    assert not refused.value.has_begun
    (answer,) = await store.answer([Asked(place(1), Code.CIRCUIT_OPEN)], NOW_US)
    assert getattr(answer, "code", None) is told


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "PRAGMA data_version", "INTO transactions", "INTO blocks"])
@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_storage_before_commit_refuses_the_batch_and_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking], code: int, at: str
) -> None:
    async def use(store: Store) -> None:
        breaking.at, breaking.code = at, code
        with pytest.raises(BatchRefused):
            await store.commit(asked(place(1)), NOW_US)
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED
    assert isinstance(play(books, [place(1)])[0][0], Accepted)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR_NOMEM, sqlite3.SQLITE_FULL]
)
def test_what_may_pass_refuses_the_batch_only(books: Path, breaking: type[Breaking], code: int) -> None:
    async def use(store: Store) -> None:
        breaking.at, breaking.code = "INTO transactions", code
        await fails_then_works(store, BatchRefused, Asked(place(1)))
        await store.commit(asked(place(1)), NOW_US)

    with_store(books, use, connection_factory=breaking)
    assert balances(books)[ALICE] == 70


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "made up"])
def test_a_broken_storage_in_a_step_between_two_batches_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking], at: str
) -> None:
    async def use(store: Store) -> None:
        breaking.at = at
        with pytest.raises(sqlite3.OperationalError):
            await store.tidy(lambda connection: connection.execute("SELECT 'made up'").close())
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED


def test_a_broken_storage_when_nothing_is_known_yet_ends_the_taking_of_money(
    books: Path, breaking: type[Breaking]
) -> None:
    """The first batch is looked up on the writer's connection."""

    async def use(store: Store) -> None:
        breaking.at = "SELECT"
        with pytest.raises(BatchRefused):
            await store.commit(asked(place(1)), NOW_US)
        await ends_the_taking_of_money(store)

    with_store(books, use, connection_factory=breaking)
    assert balances(books) == UNTOUCHED


class Checkpointing(sqlite3.Connection):
    """Notes what each checkpoint of it found; fails those that are told to."""

    found: ClassVar[list[tuple[int, int, int]]] = []
    code: ClassVar[int | None] = None
    gate: ClassVar[threading.Event] = threading.Event()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "wal_checkpoint(PASSIVE)" not in sql:
            return super().execute(sql, *parameters)
        assert self.gate.wait(10), "a checkpoint was never let through"
        if self.code is not None:
            error = sqlite3.OperationalError("made up by a test")
            error.sqlite_errorcode, type(self).code = self.code, None
            raise error
        row = super().execute(sql, *parameters).fetchone()
        self.found.append(row)
        return super().execute("SELECT ?, ?, ?", row)


@pytest.fixture
def checkpointing() -> Iterator[type[Checkpointing]]:
    """The class to open a store with."""
    Checkpointing.gate.set()
    yield Checkpointing
    Checkpointing.gate.set()
    Checkpointing.code = None
    Checkpointing.found.clear()


@pytest.mark.parametrize("is_pinned", [False, True])
@pytest.mark.parametrize("bets_at_once", [1, 40])
def test_the_writer_checkpoints_after_so_many_pages_whatever_a_batch_writes(
    tmp_path: Path,
    checkpointing: type[Checkpointing],
    monkeypatch: pytest.MonkeyPatch,
    bets_at_once: int,
    is_pinned: bool,
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 200)
    books = seed(tmp_path / "rich.db", 100, 1_000_000)

    async def use(store: Store) -> None:
        with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as reader:
            if is_pinned:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM users").fetchone()
            for first in range(0, 100 * bets_at_once, bets_at_once):
                bets = (place(first + n, 1, BOB) for n in range(bets_at_once))
                await store.commit(asked(*bets), NOW_US)

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    frames = [frames for _, frames, _ in checkpointing.found]
    assert len(frames) >= 4
    between = [b - a for a, b in itertools.pairwise(frames)] if is_pinned else frames
    assert all(100 < pages < 400 for pages in between[2:]), between


def test_readers_that_are_in_the_log_whenever_all_of_it_is_written_back_cost_no_checkpoints(
    tmp_path: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not begun anew then, and what it had before is not written again."""
    books = seed(tmp_path / "rich.db", 100, 1_000_000)
    numbers = itertools.count()

    async def bet(store: Store) -> None:
        await store.commit(asked(place(next(numbers), 1, BOB)), NOW_US)

    async def use(store: Store) -> None:
        for _ in range(20):
            for _ in range(10):
                await bet(store)
            with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM users").fetchone()
                await store.checkpoint()
                await bet(store)
        assert all(moved == frames for _, frames, moved in checkpointing.found)
        monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 200)
        while len(checkpointing.found) < 21:
            await bet(store)

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    frames = [frames for _, frames, _ in checkpointing.found]
    assert frames == sorted(frames), "it was begun anew"
    assert 100 < frames[20] - frames[19] < 400, frames


def test_what_is_committed_is_told_before_the_log_is_written_back(
    books: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk that takes as long as two commits."""
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def use(store: Store) -> None:
        checkpointing.gate.clear()
        async with asyncio.timeout(10):
            (answer,) = await store.commit(asked(place(1)), NOW_US)
        assert isinstance(answer, Accepted)
        behind = asyncio.create_task(store.commit(asked(place(2, 1, BOB)), NOW_US))
        await asyncio.sleep(0)
        assert checkpointing.found == []
        checkpointing.gate.set()
        await behind
        assert len(checkpointing.found) == 1

    checkpointing.found.clear()
    with_store(books, use, connection_factory=checkpointing)
    assert len(checkpointing.found) == 2, "and what is written back is waited for before it is closed"


def test_a_checkpoint_behind_a_commit_that_fails_ends_the_taking_of_money_and_not_the_commit(
    books: Path, checkpointing: type[Checkpointing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def use(store: Store) -> None:
        checkpointing.code = sqlite3.SQLITE_FULL
        await store.commit(asked(place(3)), NOW_US)
        await until_written_back(store)
        assert checkpointing.code is None
        assert store.failure is None, "the database cannot grow for now"
        checkpointing.code = sqlite3.SQLITE_IOERR_FSYNC
        (answer,) = await store.commit(asked(place(1)), NOW_US)
        await until_written_back(store)
        assert isinstance(answer, Accepted)
        await ends_the_taking_of_money(store, told=None)

    with_store(books, use, connection_factory=checkpointing)
    assert balances(books)[ALICE] == 40


@pytest.mark.parametrize("broken", [False, True])
def test_a_storage_that_has_failed_leaves_its_log_to_the_next_start(
    books: Path, breaking: type[Breaking], broken: bool
) -> None:
    """To checkpoint at the end would delete the only copy of what the database may have lost."""

    async def use(store: Store) -> None:
        await store.commit(asked(place(1)), NOW_US)
        if broken:
            breaking.at = "BEGIN IMMEDIATE"
            with pytest.raises(BatchRefused):
                await store.commit(asked(place(2)), NOW_US)

    with_store(books, use, connection_factory=breaking)
    log = books.with_name(f"{books.name}-wal")
    assert (log.exists() and log.stat().st_size > 0) is broken
    assert balances(books)[ALICE] == 70


def test_a_commit_that_fails_while_the_file_is_being_closed_leaves_the_log_as_well(books: Path) -> None:
    """A stop does not wait for a COMMIT that hangs; nor may it write behind one that then fails."""
    disk = Disk()

    async def run() -> Store:
        store = await Store.open(books, connection_factory=disk.connection())
        await store.commit(asked(place(1)), NOW_US)
        disk.hold()
        disk.fail(IO_ERROR)
        betting = asyncio.create_task(store.commit(asked(place(2)), NOW_US))
        await disk.holds_one()
        betting.cancel()
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)  # the turn in which it begins
        disk.release()
        await closing
        return store

    assert asyncio.run(run()).failure is not None
    log = books.with_name(f"{books.name}-wal")
    assert log.exists()
    assert log.stat().st_size > 0
    assert balances(books)[ALICE] == 70


def test_a_start_beside_a_reader_that_pins_the_log_writes_all_of_it_again(books: Path) -> None:
    """It cannot be moved into the database yet, and a sync alone could be of pages that the kernel lost."""
    log = books.with_name(f"{books.name}-wal")
    with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as stranger:

        async def use(store: Store) -> None:
            await store.commit(asked(place(1)), NOW_US)
            stranger.execute("BEGIN")
            stranger.execute("SELECT count(*) FROM users").fetchone()
            await store.commit(asked(place(2)), NOW_US)

        async def look(store: Store) -> None:
            assert store.failure is None

        with_store(books, use)
        left = log.read_bytes()
        os.utime(log, ns=(0, 0))
        with_store(books, look)
        assert log.stat().st_mtime_ns > 0
        assert log.read_bytes() == left
    assert balances(books)[ALICE] == 40


def test_a_strangers_lock_refuses_the_batch_after_the_busy_timeout(books: Path) -> None:
    async def use(store: Store) -> None:
        await store.set_up(lambda connection: connection.execute("PRAGMA busy_timeout = 20").close())
        with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            fault = await fails_then_works(store, BatchRefused, Asked(place(1)))
            assert "locked" in str(fault)
            stranger.execute("ROLLBACK")
        await store.commit(asked(place(1)), NOW_US)

    with_store(books, use)
    assert balances(books)[ALICE] == 70


def test_a_decide_that_raises_aborts_its_batch_only(books: Path) -> None:
    def buggy(*question: Any) -> Any:
        if question[1].key == bet_id(2):
            raise ZeroDivisionError("a bug")
        return decide(*question)

    async def use(store: Store) -> None:
        fault = await fails_then_works(store, BatchAborted, Asked(place(1)), Asked(place(2)))
        assert isinstance(fault.__cause__, ZeroDivisionError)
        await store.commit(asked(place(1)), NOW_US)

    with_store(books, use, decide=buggy)
    assert balances(books)[ALICE] == 70


POISON = {
    "a stake of 0": place(1, 0),
    "a stake below 0": place(1, -5),
    "odds below 1": place(1, odds_milli=999),
    "no bet_id": PlaceBet("", ALICE, 30, "n", NOW_US),
    "odds beyond 64 bits": place(1, odds_milli=2**63),
    "a user beyond 64 bits": place(1, user_id=2**64),
    "a lone surrogate in a term": place(1, selection="\ud800"),
    "a lone surrogate in the bet_id": PlaceBet("\ud800" * 36, ALICE, 30, "n", NOW_US),
}


@pytest.mark.parametrize("command", POISON.values(), ids=POISON.keys())
def test_a_command_that_no_door_lets_in_aborts_its_batch_and_nothing_else(
    books: Path, command: PlaceBet
) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(BatchAborted):
            await store.commit(asked(place(2), command), NOW_US)
        assert store.failure is None
        await store.commit(asked(place(3)), NOW_US)

    with_store(books, use)
    assert balances(books) == {ALICE: 70, BOB: 1000, HOUSE: 30, CASH: -1100}


def test_a_view_that_does_not_add_up_is_never_sealed(books: Path) -> None:
    """A bug that loses a transaction on its way: the batch aborts, before anything is written."""

    def forgetful(*question: Any) -> Any:
        outcome = decide(*question)
        if question[1].key == bet_id(1):
            question[0].new_transactions.pop()
        return outcome

    async def use(store: Store) -> None:
        with pytest.raises(BatchAborted):
            await store.commit(asked(place(1), place(2)), NOW_US)
        await store.commit(asked(place(3)), NOW_US)

    with_store(books, use, decide=forgetful)
    assert balances(books)[ALICE] == 70


def test_money_without_a_transaction_is_never_written(books: Path) -> None:
    """The same bug alone in its batch: a balance must not move without entries."""

    def forgetful(*question: Any) -> Any:
        outcome = decide(*question)
        question[0].new_transactions.clear()
        return outcome

    async def use(store: Store) -> None:
        with contextlib.suppress(StoreFault):
            await store.commit(asked(place(1)), NOW_US)

    with_store(books, use, decide=forgetful)
    assert balances(books) == UNTOUCHED


def test_a_rollback_that_fails_ends_the_taking_of_money(books: Path) -> None:
    class Stuck(sqlite3.Connection):
        armed: ClassVar[bool] = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if self.armed and (sql == "ROLLBACK" or "INTO blocks" in sql):
                raise sqlite3.OperationalError("stuck")
            return super().execute(sql, *parameters)

    async def use(store: Store) -> None:
        Stuck.armed = True
        with pytest.raises(BatchAborted):
            await store.commit(asked(place(1)), NOW_US)
        with pytest.raises(CommitUnknown, match="ROLLBACK failed"):
            await store.commit(asked(place(2)), NOW_US)

    with_store(books, use, connection_factory=Stuck)
    assert balances(books) == UNTOUCHED
    assert look(books, "SELECT count(*) FROM open_batch") == [(0,)]
    assert isinstance(play(books, [place(1)])[0][0], Accepted)
