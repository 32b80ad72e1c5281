"""The store on real files: what a batch writes and costs, reads beside it, and how it is set up."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiosqlite
import pytest

from engine.accounts import BOOK_KINDS, open_books, open_wallets
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import _AHEAD, Asked, Store, _on_thread
from engine.writer import BUSY_TIMEOUT_MS
from tests.books_open import (
    ALICE,
    BOB,
    CASH,
    HOUSE,
    NOW_US,
    asked,
    balances,
    bet_id,
    deposit,
    look,
    place,
    play,
    seed,
    with_store,
)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


class Slow(sqlite3.Connection):
    """Stands still in its first checkpoint until a test says so."""

    came: ClassVar[threading.Event]
    may_go_on: ClassVar[threading.Event]

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "wal_checkpoint" in sql:
            self.came.set()
            assert self.may_go_on.wait(5)
        return super().execute(sql, *parameters)


def test_a_start_that_is_given_up_leaves_neither_threads_nor_its_lock(books: Path) -> None:
    """Ctrl-C while a long log is written back: with a thread left behind the process would not end."""
    Slow.came, Slow.may_go_on = threading.Event(), threading.Event()
    before = set(threading.enumerate())

    async def run() -> None:
        opening = asyncio.create_task(Store.open(books, connection_factory=Slow))
        assert await asyncio.to_thread(Slow.came.wait, 5)
        opening.cancel()
        Slow.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(run())
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)
    assert isinstance(play(books, [place(1)])[0][0], Accepted)


def test_what_was_committed_is_there_after_reopening(books: Path) -> None:
    play(books, [place(1), place(2, user_id=BOB)], [place(3)])

    assert balances(books) == {ALICE: 40, BOB: 970, HOUSE: 90, CASH: -1100}
    (later,) = play(books, [place(1), place(3), place(4)])
    assert [(answer.replayed, getattr(answer, "transaction_id", 0)) for answer in later] == [
        (True, 3),
        (True, 5),
        (False, 6),
    ]
    assert balances(books)[ALICE] == 10


def test_five_bets_of_30_on_100_in_one_batch(books: Path) -> None:
    (first,), (later,) = (
        play(books, [place(number) for number in range(5)]),
        play(books, [place(5, stake_minor=10)]),
    )

    assert [isinstance(answer, Accepted) for answer in first] == [True, True, True, False, False]
    assert isinstance(later[0], Accepted)
    assert balances(books) == {ALICE: 0, BOB: 1000, HOUSE: 100, CASH: -1100}
    assert look(books, "SELECT bet_id FROM refusals ORDER BY bet_id") == [(bet_id(3),), (bet_id(4),)]


def test_a_batch_is_one_block_and_one_change_of_each_row(books: Path) -> None:
    before = dict(look(books, "SELECT id, version FROM users"))

    play(books, [place(number, 1, user) for number, user in enumerate([ALICE, BOB] * 20)])

    after = dict(look(books, "SELECT id, version FROM users"))
    assert {id_: after[id_] - before[id_] for id_ in after if after[id_] > before[id_]} == {
        HOUSE: 1,
        ALICE: 1,
        BOB: 1,
    }
    assert look(books, "SELECT count(*) FROM blocks") == [(2,)]


def test_a_batch_of_refusals_only_is_kept_without_a_block(books: Path) -> None:
    play(books, [place(1, 101)])

    (again,) = play(books, [place(1, 101), deposit("more", 500)])

    assert isinstance(again[0], Rejected)
    assert (again[0].code, again[0].replayed) == (Code.INSUFFICIENT_FUNDS, True)
    assert look(books, "SELECT count(*) FROM blocks") == [(2,)]
    assert look(books, "SELECT refused_count, refused_minute FROM users WHERE id = ?", ALICE) == [
        (1, NOW_US // 60_000_000)
    ]


def test_block_time_in_the_file_never_runs_back(books: Path) -> None:
    play(books, [place(1, sent_at_us=NOW_US - 60_000_000)], now_us=NOW_US - 60_000_000)
    play(books, [place(2)], now_us=NOW_US + 7)

    assert look(books, "SELECT at FROM blocks ORDER BY id") == [(NOW_US,), (NOW_US,), (NOW_US + 7,)]


def test_a_batch_is_one_hop_to_a_reader_and_one_to_the_writer(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also notices if aiosqlite renames the private method that the store depends on."""
    hops: list[aiosqlite.Connection] = []
    execute = aiosqlite.Connection._execute

    async def counting(self: aiosqlite.Connection, function: Any, *arguments: Any, **named: Any) -> Any:
        hops.append(self)
        return await execute(self, function, *arguments, **named)

    async def use(store: Store) -> None:
        await store.commit(asked(place(1, 1, BOB)), NOW_US)
        for size in (1, 50):
            hops.clear()
            monkeypatch.setattr(aiosqlite.Connection, "_execute", counting)
            await store.commit(asked(*(place(size * 100 + n, 1, BOB) for n in range(size))), NOW_US)
            monkeypatch.undo()
            assert hops == [store._readers[_AHEAD], store._writer]

    with_store(books, use)


class Counting(sqlite3.Connection):
    """Counts the calls that run SQL, each as one statement however many rows it is given."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.__dict__.setdefault("calls", []).append(sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        self.__dict__.setdefault("calls", []).append(sql)
        return super().executemany(sql, parameters)


WRITTEN = ["BEGIN", "PRAGMA", "batch", "transactions", "ledger", "bets", "UPDATE users", "blocks", "COMMIT"]
"""What the writer runs for a batch of bets, one statement each: every further one is a fight for the
interpreter's lock."""


def in_short(statement: str) -> str:
    """The word of `WRITTEN` for a statement, or the whole statement."""
    told = {"transaction_ledger": "ledger", "refusals": "refusals"} | {word: word for word in WRITTEN}
    return next((told[word] for word in told if word in statement), statement)


@pytest.mark.parametrize(("size", "pieces"), [(1, 1), (64, 1), (1000, 1), (1600, 1), (1700, 2)])
def test_a_batch_is_one_statement_a_table(tmp_path: Path, size: int, pieces: int) -> None:
    """1,700 bets have 3,400 entries of ten values: more than SQLite binds to one statement."""
    path = seed(tmp_path / "books.db", 100, 3000)

    def forget(connection: sqlite3.Connection) -> None:
        connection.__dict__["calls"] = []
        # What SQLite allows unless it was built otherwise, as Debian's is.
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    def recall(connection: sqlite3.Connection) -> list[str]:
        return list(connection.__dict__["calls"][:-1])  # the last one begins this very look

    async def use(store: Store) -> list[str]:
        await store.commit(asked(place(0, 1, BOB)), NOW_US)
        prepared = await store.prepare(asked(*(place(1 + n, 1, BOB) for n in range(size))), NOW_US)
        await _on_thread(store._writer, forget)
        assert await store.write(prepared)
        return await store.set_up(recall)

    said = list(map(in_short, with_store(path, use, connection_factory=Counting)))

    assert said == [*WRITTEN[:4], *["ledger"] * pieces, *WRITTEN[5:]]
    assert balances(path) == {ALICE: 100, BOB: 2999 - size, HOUSE: size + 1, CASH: -3100}


def test_refusals_and_many_accounts_are_one_statement_too(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", *[100] * 300)

    async def use(store: Store) -> list[str]:
        await store.commit(asked(place(1000, 1)), NOW_US)  # else the keys are looked up by the writer too
        await _on_thread(store._writer, lambda connection: connection.__dict__["calls"].clear())
        await store.commit(asked(*(place(n, 1 if n % 2 else 101, ALICE + n) for n in range(300))), NOW_US)
        return await store.set_up(lambda connection: list(connection.__dict__["calls"]))

    said = list(map(in_short, with_store(path, use, connection_factory=Counting)))

    assert (said.count("refusals"), said.count("UPDATE users")) == (1, 1)
    assert look(path, "SELECT count(*) FROM refusals") == [(150,)]


def test_answer_tells_replays_and_conflicts_and_changes_nothing(books: Path) -> None:
    async def use(store: Store) -> list[Outcome]:
        await store.commit(asked(place(1), place(2, 5000)), NOW_US)
        batch = [place(1), place(2, 5000), place(1, stake_minor=31), place(3), deposit("new")]
        return await store.answer([Asked(each, Code.CIRCUIT_OPEN) for each in batch], NOW_US)

    first, refused, conflict, *new = with_store(books, use)

    assert isinstance(first, Accepted)
    assert first.replayed
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.replayed) == (Code.INSUFFICIENT_FUNDS, True)
    assert conflict == Rejected(Code.IDEMPOTENCY_CONFLICT)
    assert new == [Rejected(Code.CIRCUIT_OPEN)] * 2
    assert balances(books) == {ALICE: 70, BOB: 1000, HOUSE: 30, CASH: -1100}


def test_answer_takes_no_command_without_an_objection(books: Path) -> None:
    with pytest.raises(AssertionError):
        with_store(books, lambda store: store.answer(asked(place(1)), NOW_US))


def test_the_reading_connection_cannot_write(books: Path) -> None:
    def meddle(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE users SET balance = balance + 1")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        with_store(books, lambda store: store.read(meddle))


def test_a_change_that_raises_is_rolled_back_and_the_next_one_works(books: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        open_wallets(connection, "EUR", 3)
        raise KeyError("half done")

    async def use(store: Store) -> Sequence[int]:
        with pytest.raises(KeyError):
            await store.set_up(half)
        return await store.set_up(lambda connection: open_wallets(connection, "EUR", 2))

    assert list(with_store(books, use)) == [BOB + 1, BOB + 2]


def test_books_of_another_currency_are_used_once_they_are_read_again(books: Path) -> None:
    async def use(store: Store) -> list[Outcome]:
        await store.set_up(lambda connection: open_books(connection, "JPY"))
        await store.set_up(lambda connection: open_books(connection, "JPY"))  # they are there: no second set
        ids = await store.set_up(lambda connection: open_wallets(connection, "JPY", 1))
        await store.refresh_books()
        return await store.commit(asked(deposit("yen", 500, ids[0]), place(1, 200, ids[0])), NOW_US)

    assert all(isinstance(answer, Accepted) for answer in with_store(books, use))
    rows = look(books, "SELECT kind, balance FROM users WHERE currency = 'JPY' ORDER BY id")
    assert rows == [
        *[(kind, {"house": 200, "cash": -500}.get(kind, 0)) for kind in BOOK_KINDS],
        ("player", 300),
        ("bonus", 0),
    ]


def test_the_writer_is_set_up_for_safety(books: Path) -> None:
    async def use(store: Store) -> dict[str, Any]:
        def ask(connection: sqlite3.Connection) -> dict[str, Any]:
            return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}

        return await store.set_up(ask)

    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "auto_vacuum": 2,
        "busy_timeout": BUSY_TIMEOUT_MS,
    }
    assert with_store(books, use) == expected
