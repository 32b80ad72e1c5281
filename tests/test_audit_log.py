"""The audit log in real files: written with its batch, once, and read back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import audit_log
from engine.actors import Actor
from engine.audit_log import all_deeds, read_deeds
from engine.commands import Command
from engine.deeds import ACCEPTED, Deed
from engine.errors import BatchRefused, CommitUnknown
from engine.files import open_read_only, schema_sql
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.store import Asked, Store
from tests.batches import FULL, IO_ERROR, Disk
from tests.books_open import (
    BOB,
    NOW_US,
    bet_id,
    deposit,
    hold,
    look,
    place,
    roll_back,
    seed,
    settle,
    with_store,
)

STEP = Path(__file__).resolve().parent.parent / "upgrades" / "0002_audit_log.sql"
OPERATOR = Actor(42, "operator", "192.0.2.1", "ws")
COLLEAGUE = Actor(43, "admin", "2001:db8::1", "http")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE has 100, BOB has 1000."""
    return seed(tmp_path / "books.db", 100, 1000)


def by(actor: Actor | None, *commands: Command, objection: Code | None = None) -> list[Asked]:
    return [Asked(command, objection, actor) for command in commands]


def deeds(path: Path, **wanted: Any) -> list[Deed]:
    """What the log says, oldest first."""
    with closing(open_read_only(path)) as connection:
        return list(all_deeds(connection, **wanted))[::-1]


def told(path: Path, **wanted: Any) -> list[tuple[str, str | None, str]]:
    return [(each.action, each.key, each.outcome) for each in deeds(path, **wanted)]


def commit(path: Path, *batches: list[Asked], now_us: int = NOW_US) -> list[list[Outcome]]:
    async def use(store: Store) -> list[list[Outcome]]:
        return [await store.commit(batch, now_us) for batch in batches]

    return with_store(path, use)


def blocks(path: Path) -> int:
    ((count,),) = look(path, "SELECT count(*) FROM blocks")
    return int(count)


# --- what is written -------------------------------------------------------------------------------------


def test_a_deed_is_written_with_what_it_did(books: Path) -> None:
    ((done,),) = commit(books, by(OPERATOR, deposit("d", 5, BOB)))
    assert isinstance(done, Accepted)
    (deed,) = deeds(books)
    assert json.loads(deed.subject) == {"user_id": BOB, "amount_minor": 5}
    assert deed == Deed(
        *(1, done.at_us, *OPERATOR, "wallet.deposit", deed.subject, "d", ACCEPTED, done.transaction_id)
    )


def test_what_players_and_the_server_ask_for_is_no_deed(books: Path) -> None:
    commit(books, by(None, place(1), place(2, stake_minor=10**6), deposit("d")))
    assert deeds(books) == []


def test_a_batch_of_players_runs_no_statement_for_it(books: Path) -> None:
    statements: list[str] = []

    class Recording(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            statements.append(sql)
            return super().execute(sql, parameters)

    async def use(store: Store) -> None:
        await store.commit(by(None, place(1), place(2, user_id=BOB)), NOW_US)
        assert not [sql for sql in statements if "audit_log" in sql]
        await store.commit(by(OPERATOR, settle("s", 1, "lost")), NOW_US)
        assert len([sql for sql in statements if "audit_log" in sql]) == 2

    with_store(books, use, connection_factory=Recording)


def test_refusals_are_written_although_nothing_else_is(books: Path) -> None:
    before = blocks(books)
    commit(
        books, by(OPERATOR, settle("s", 9, "lost"), deposit("d", user_id=99)), by(OPERATOR, hold("h", 10**9))
    )
    assert told(books) == [
        ("bet.settle", "s", "NOT_FOUND"),
        ("wallet.deposit", "d", "ACCOUNT_NOT_FOUND"),
        ("wallet.hold", "h", "INSUFFICIENT_FUNDS"),
    ]
    assert {each.transaction_id for each in deeds(books)} == {None}
    assert blocks(books) == before


def test_a_batch_of_everybody_has_the_deeds_of_operators_in_order(books: Path) -> None:
    batch = [
        *by(None, place(1), place(2, user_id=BOB)),
        *by(OPERATOR, settle("s", 1), place(3)),
        *by(None, deposit("mine")),
        *by(COLLEAGUE, roll_back("r", 2), settle("s", 1)),
        *by(OPERATOR, settle("t", 1, "won", 7)),
    ]
    commit(books, batch)
    assert [(each.actor_id, each.action, each.key, each.outcome) for each in deeds(books)] == [
        (42, "bet.settle", "s", "INVALID_REQUEST"),  # a won bet says what it pays
        (42, "bet.place", bet_id(3), ACCEPTED),
        (43, "bet.rollback", "r", ACCEPTED),
        (43, "bet.settle", "s", "INVALID_REQUEST"),
        (42, "bet.settle", "t", ACCEPTED),
    ]
    assert [each.id for each in deeds(books)] == [1, 2, 3, 4, 5]
    done = "SELECT done.key FROM audit_log JOIN transactions AS done ON done.id = transaction_id ORDER BY 1"
    assert look(books, done) == [(bet_id(3),), ("r",), ("t",)]


def test_what_is_told_again_is_not_written_again_and_a_conflict_is(books: Path) -> None:
    commit(
        books,
        by(OPERATOR, deposit("d"), deposit("d")),
        by(OPERATOR, deposit("d"), place(1, stake_minor=10**6)),
        by(OPERATOR, place(1, stake_minor=10**6)),
        by(OPERATOR, deposit("d", 7)),
    )
    assert told(books) == [
        ("wallet.deposit", "d", ACCEPTED),
        ("bet.place", bet_id(1), "INSUFFICIENT_FUNDS"),
        ("wallet.deposit", "d", "IDEMPOTENCY_CONFLICT"),
    ]


def test_what_is_only_looked_up_is_not_written(books: Path) -> None:
    ((late,),) = commit(books, by(OPERATOR, deposit("d"), objection=Code.TIMED_OUT))
    assert late == Rejected(Code.TIMED_OUT)
    assert deeds(books) == []


# --- together with its batch, or not at all --------------------------------------------------------------


def fails(path: Path, disk: Disk, batch: list[Asked], fault: type[Exception]) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(fault):
            await store.commit(batch, NOW_US)

    with_store(path, use, connection_factory=disk.connection())


@pytest.mark.parametrize("key", ["done", "refused"])
def test_a_disk_that_is_full_has_no_deed_and_no_money(books: Path, key: str) -> None:
    disk, command = Disk(), {"done": deposit("d"), "refused": settle("s", 9, "lost")}[key]
    before = look(books, "SELECT sum(amount) FROM transaction_ledger WHERE amount > 0")

    async def use(store: Store) -> list[Outcome]:
        disk.fail(FULL)
        with pytest.raises(BatchRefused):
            await store.commit(by(OPERATOR, command), NOW_US)
        assert deeds(books) == []
        assert look(books, "SELECT sum(amount) FROM transaction_ledger WHERE amount > 0") == before
        return await store.commit(by(OPERATOR, command), NOW_US)

    with_store(books, use, connection_factory=disk.connection())
    assert [each.key for each in deeds(books)] == [command.key]


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("key", ["done", "refused"])
def test_a_commit_of_unknown_outcome_has_the_deed_if_it_took_place(
    books: Path, is_done: bool, key: str
) -> None:
    disk, command = Disk(), {"done": deposit("d"), "refused": settle("s", 9, "lost")}[key]

    async def use(store: Store) -> None:
        disk.fail(IO_ERROR, after=is_done)
        with pytest.raises(CommitUnknown):
            await store.commit(by(OPERATOR, command), NOW_US)

    with_store(books, use, connection_factory=disk.connection())
    assert [each.key for each in deeds(books)] == [command.key] * is_done
    assert look(books, "SELECT key FROM transactions WHERE key = 'd'") == [("d",)] * (
        is_done and key == "done"
    )


def test_a_batch_that_is_void_is_told_once_by_what_it_is_decided_to_be_in_the_end(books: Path) -> None:
    async def use(store: Store) -> None:
        first = await store.prepare(by(OPERATOR, deposit("d", user_id=BOB), settle("s", 9, "lost")), NOW_US)
        look(books, "UPDATE users SET version = version + 1, status = 'closed' WHERE id = ?", BOB)
        assert not await store.write(first)
        assert deeds(books) == []
        assert await store.commit(by(OPERATOR, deposit("d", user_id=BOB), settle("s", 9, "lost")), NOW_US)

    with_store(books, use)
    assert told(books) == [("wallet.deposit", "d", "ACCOUNT_BLOCKED"), ("bet.settle", "s", "NOT_FOUND")]


def test_what_is_decided_ahead_of_a_record_between_two_batches_follows_it(books: Path) -> None:
    async def use(store: Store) -> None:
        first = await store.prepare(by(OPERATOR, settle("s", 9, "lost")), NOW_US)
        second = await store.prepare(by(OPERATOR, deposit("d")), NOW_US)
        await store.tidy(lambda c: audit_log.record(c, COLLEAGUE, "clock.confirm", {}, ACCEPTED, NOW_US))
        assert [await store.write(each) for each in (first, second)] == [True, True]

    with_store(books, use)
    assert told(books) == [
        ("clock.confirm", None, ACCEPTED),
        ("bet.settle", "s", "NOT_FOUND"),
        ("wallet.deposit", "d", ACCEPTED),
    ]


# --- reading ---------------------------------------------------------------------------------------------


@pytest.fixture
def busy(books: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine deeds of two actors, a second apart; pages of four."""
    monkeypatch.setattr(audit_log, "READ_AT_ONCE", 4)
    for second in range(9):
        actor = COLLEAGUE if second % 3 == 2 else OPERATOR
        command = settle(f"k{second}", 9, "lost") if second % 2 else deposit(f"k{second}", 1)
        commit(books, by(actor, command), now_us=NOW_US + second * 1_000_000)
    return books


def read(path: Path, **wanted: Any) -> list[int]:
    with closing(open_read_only(path)) as connection:
        return [each.id for each in read_deeds(connection, **wanted)]


def test_the_newest_come_first_page_by_page(busy: Path) -> None:
    assert read(busy) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert read(busy, limit=4) == [9, 8, 7, 6]
    assert read(busy, limit=4, before=6) == [5, 4, 3, 2]
    assert read(busy, limit=4, before=2) == [1]
    assert read(busy, before=1) == []


def test_only_those_that_are_asked_for(busy: Path) -> None:
    assert read(busy, actor_id=43) == [9, 6, 3]
    assert read(busy, actor_id=43, before=9, limit=1) == [6]
    assert read(busy, actor_id=44) == []
    assert read(busy, action="bet.settle") == [8, 6, 4, 2]
    assert read(busy, from_us=NOW_US + 3_000_000, to_us=NOW_US + 5_000_000) == [5, 4]
    assert read(busy, actor_id=43, action="bet.settle", from_us=NOW_US + 1) == [6]


def test_all_of_them_are_read_in_pages(busy: Path) -> None:
    assert [each.id for each in deeds(busy)] == list(range(1, 10))
    assert [each.id for each in deeds(busy, actor_id=42)] == [1, 2, 4, 5, 7, 8]
    assert [each.id for each in deeds(busy, action="wallet.deposit", to_us=NOW_US + 8_000_000)] == [
        1,
        3,
        5,
        7,
    ]


def test_to_read_by_actor_no_deed_of_another_is_looked_at(busy: Path) -> None:
    with closing(open_read_only(busy)) as connection:
        query = audit_log._READ.format(where="id < ? AND actor = ?")
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (9, 43, 10))]
    assert plan == ["SEARCH audit_log USING INDEX audit_log_of_actor (actor=? AND rowid<?)"]


# --- the step that brings it -----------------------------------------------------------------------------


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_the_step_brings_what_a_new_file_has() -> None:
    step, whole = STEP.read_text(encoding="utf-8"), schema_sql()
    assert whole.count(step) == 1
    new, old = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    new.executescript(whole)
    old.executescript(whole.replace(step, ""))
    assert schema_of(old) != schema_of(new)
    old.executescript(step)
    assert schema_of(old) == schema_of(new)
