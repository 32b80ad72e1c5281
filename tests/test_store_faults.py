"""Faults of the store on real files: what is known of the money after each, and that the next commit works.

Faults are put where SQLite raises them: a `sqlite3.Connection` whose COMMIT fails as told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine import queries
from engine.commands import PlaceBet
from engine.decide import decide
from engine.errors import BatchAborted, BatchRefused, CommitUnknown, StoreFault
from engine.outcomes import Accepted, Code
from engine.store import Asked, Store
from tests.batches import sqlite_error
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOW_US, asked, balances, bet_id, place, seed, with_store
from tests.store_faults import UNTOUCHED, fails_then_works


class Failing(sqlite3.Connection):
    """Its next COMMIT fails with `code`, after doing what `first` says."""

    code: ClassVar[int | None] = None
    first: ClassVar[str | None] = None
    skips: ClassVar[str | None] = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.skips is not None and self.skips in sql:
            return super().execute("SELECT 1")
        if sql == "COMMIT" and self.code is not None:
            error, type(self).code = sqlite_error(self.code, "made up by a test"), None
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
