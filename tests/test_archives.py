"""Reading across the boundary: what is archived is told as it was told before, also half-way; and where it
cannot be read, which file is missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cli.times import rfc3339
from engine import archives, history, lives, queries, receipts
from engine.accounts import open_wallets
from engine.archives import file_of, joined
from engine.commands import Command
from engine.errors import ArchiveMissing, ArchiveUnusable
from engine.files import open_read_only, schema_sql
from engine.statement import FOREVER_US, balance_at, statement
from engine.store import Store
from tests import bonus_forgeries, life_forgeries
from tests import payout_forgeries as payouts
from tests.archived import archived, carried, copied, move, opened, states
from tests.books_open import (
    ALICE,
    BOB,
    NOBODY,
    NOW_US,
    bet_id,
    deposit,
    look,
    place,
    play,
    seed,
    settle,
    with_store,
)
from tests.command import run, well

LATER_US = NOW_US + 10**9
BETS = [*map(bet_id, range(20)), payouts.BET.bet_id]

Played = list[tuple[list[Command], int]]


def _one_after_another(batches: list[list[Command]], times: tuple[int, ...] = ()) -> Played:
    """A microsecond between blocks, so that a time tells one from the next."""
    starts = times or (NOW_US,) * len(batches)
    return [(batch, at + number) for number, (batch, at) in enumerate(zip(batches, starts, strict=True), 1)]


HISTORIES: dict[str, Played] = {
    "life": [
        *_one_after_another([*life_forgeries.BATCHES, [place(9)]]),
        ([life_forgeries.EXPIRY], NOW_US + 20),
    ],
    "bonus": _one_after_another(bonus_forgeries.BATCHES, bonus_forgeries.AT_US),
    "payouts": _one_after_another(payouts.BATCHES),
}


def made(path: Path, name: str) -> Path:
    """The books of this history, archived nowhere yet."""
    seed(path, 1000, 500)
    if name != "bonus":
        with_store(path, lambda store: store.set_up(lambda connection: open_wallets(connection, "EUR", 1)))
    for batch, at_us in HISTORIES[name]:
        play(path, batch, now_us=at_us)
    return path


@pytest.fixture(scope="module", params=HISTORIES)
def whole(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return made(tmp_path_factory.mktemp("books") / "books.db", request.param)


@pytest.fixture
def books(whole: Path, tmp_path: Path) -> Path:
    shutil.copyfile(f"{whole}.signing-key", tmp_path / "books.db.signing-key")
    return Path(shutil.copyfile(whole, tmp_path / "books.db"))


def times(path: Path) -> list[int]:
    """Of its blocks, each once."""
    return [at for (at,) in look(path, "SELECT DISTINCT at FROM blocks ORDER BY at")]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_read_only(path)) as connection:
        assert joined(connection) == []
        yield connection


class Told:
    """What there is to be asked of books, by what was in them at first."""

    def __init__(self, path: Path) -> None:
        (self.users, self.transactions) = (
            [id_ for (id_,) in look(path, f"SELECT id FROM {table}")] for table in ("users", "transactions")
        )
        self.times = [*times(path), FOREVER_US]

    def all(self, path: Path) -> dict[Any, Any]:
        """All statements and receipts, and each bet."""
        with reading(path) as connection, contextlib.closing(open_read_only(path)) as hot:
            return {
                **{("to", *which): self.statement(connection, *which) for which in self.periods()},
                **{
                    ("at", user, at_us): balance_at(connection, user, at_us)
                    for user in self.users
                    for at_us in self.times
                },
                **{
                    ("receipt", id_, user): json.dumps(receipts.receipt(connection, id_, user))
                    for id_ in [*self.transactions, 10**6]
                    for user in (None, ALICE, BOB, NOBODY)
                },
                **{("bet", key): bet_of(hot, connection, key) for key in BETS},
            }

    def periods(self) -> list[tuple[int, int, int]]:
        middle = self.times[len(self.times) // 2]
        spans = ((0, FOREVER_US), (0, middle), (middle, FOREVER_US), (self.times[1], middle + 1))
        return [(user, *span) for user in self.users for span in spans]

    @staticmethod
    def statement(connection: sqlite3.Connection, *which: int) -> Any:
        found = statement(connection, *which)
        assert found is not None
        return found.kind, found.opening_minor, found.closing_minor, list(found.entries)


def bet_of(hot: sqlite3.Connection, connection: sqlite3.Connection, key: str) -> Any:
    """As `bet.get` does: the hot file first."""
    found = queries.bet(hot, key)
    if found is None and queries.is_archived(hot, key):
        found = queries.archived_bet(connection, key)
    return found


def test_all_that_was_told_is_told_again_in_each_state(books: Path) -> None:
    told = Told(books)
    before = told.all(books)
    with mock.patch.multiple(history, CHUNK=2, SCAN_ROWS=3):
        for archive in states(books, times(books)[-1], rows=9, now_us=LATER_US):
            after = told.all(books)
            assert {key for key in before if before[key] != after[key]} == set(), archive
    assert archive.is_moved
    left = look(books, "SELECT id FROM transaction_ledger WHERE id BETWEEN 0 AND ?", archive.upto_entry_id)
    assert left == []


def test_all_that_was_told_is_told_again_from_two_archives(books: Path) -> None:
    told = Told(books)
    before = told.all(books)
    first, *_, second, _ = times(books)
    archived(books, first + 1, now_us=LATER_US)
    assert told.all(books) == before
    last = archived(books, second + 1, now_us=LATER_US, steps=2)
    assert not last.is_moved
    assert told.all(books) == before
    assert move(books, rows=10_000).is_moved
    with mock.patch.multiple(history, CHUNK=3, SCAN_ROWS=2):
        assert told.all(books) == before


def test_the_command_line_prints_the_same(books: Path) -> None:
    middle = rfc3339(times(books)[len(times(books)) // 2])
    periods: list[tuple[str, ...]] = [(), ("--to", middle), ("--from", middle), ("--at", middle)]
    calls: list[tuple[Any, ...]] = [
        ("statement", "--user", user, "--format", form, *period)
        for user in (ALICE, 1)
        for form in ("text", "csv", "json")
        for period in periods
    ]
    calls += [("receipt", 1), ("receipt", 2, "--user", BOB), ("head", "--since", 1)]

    def printed() -> list[str]:
        return [well(*call, "--db", books).out for call in calls[:-1]]

    before = printed()
    archived(books, times(books)[-1], now_us=LATER_US, steps=1)
    assert printed() == before
    move(books, rows=10_000)
    assert printed() == before
    assert well(*calls[-1], "--db", books).json["follows"]["id"] == 1


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """Block 2: bet 1, which is won, and bet 2 of BOB's, which is lost in block 3 beside bet 3. Block 4: bet
    4."""
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1), place(2, 10, BOB), settle("s1", 1, "won", 60)], now_us=NOW_US + 1)
    play(path, [place(3, 5), settle("s2", 2, "lost"), settle("s3", 3, "lost")], now_us=NOW_US + 2)
    play(path, [place(4, 7), deposit("more", 11, BOB)], now_us=NOW_US + 3)
    return path


def test_what_is_left_behind_needs_no_archive(played: Path) -> None:
    with reading(played) as connection:
        before = Told.statement(connection, ALICE, NOW_US + 3, FOREVER_US)
        kept = receipts.receipt(connection, 9, ALICE)
    archive = archived(played, NOW_US + 3, now_us=LATER_US)
    file_of(played, archive.block_id).unlink()
    with contextlib.closing(open_read_only(played)) as connection:
        assert joined(connection) == [file_of(played, archive.block_id)]
        assert Told.statement(connection, ALICE, NOW_US + 3, FOREVER_US) == before
        found = balance_at(connection, BOB, NOW_US + 2)
        assert found is not None
        assert found.balance_minor == 490
        assert receipts.receipt(connection, 9, ALICE) == kept
        assert receipts.receipt(connection, 10**6) is None


@pytest.mark.parametrize("chunk", [1, 4096])
def test_what_is_in_a_file_that_is_missing_is_never_told_wrong(played: Path, chunk: int) -> None:
    """The first archive is at hand, the second, which goes from block 3 to 3, is not."""
    told = Told(played)
    before = told.all(played)
    archived(played, NOW_US + 2, now_us=LATER_US)
    second = archived(played, NOW_US + 3, now_us=LATER_US)
    file = file_of(played, second.block_id)
    file.rename(played.with_name("elsewhere"))
    words = f"{file.name}: not there"
    refusals = []
    with (
        contextlib.closing(open_read_only(played)) as connection,
        contextlib.closing(open_read_only(played)) as hot,
        mock.patch.multiple(history, CHUNK=chunk, SCAN_ROWS=chunk),
    ):
        assert joined(connection) == [file]
        for what, *which in before:
            try:
                match what:
                    case "to":
                        found = told.statement(connection, *which)
                    case "at":
                        found = balance_at(connection, *which)
                    case "receipt":
                        found = json.dumps(receipts.receipt(connection, *which))
                    case _:
                        found = bet_of(hot, connection, *which)
                assert found == before[(what, *which)]
            except ArchiveMissing as why:
                refusals.append(str(why))
        with pytest.raises(ArchiveMissing, match=words):
            receipts.receipt(connection, 6)
        with pytest.raises(ArchiveMissing, match=words):
            bet_of(hot, connection, bet_id(3))
        file.with_name("elsewhere").rename(file)
        assert joined(connection) == []
        assert receipts.receipt(connection, 6) is not None
    assert 0 < len(refusals) < len(before) / 2
    assert [why for why in refusals if not why.startswith(words)] == []
    assert told.all(played) == before


def test_of_two_that_are_missing_the_one_is_named_that_is_wanted(played: Path) -> None:
    first, second = (
        file_of(played, archived(played, before_us, now_us=LATER_US).block_id)
        for before_us in (NOW_US + 2, NOW_US + 3)
    )
    first.unlink()
    second.unlink()
    with contextlib.closing(open_read_only(played)) as connection:
        assert joined(connection) == [first, second]
        with pytest.raises(ArchiveMissing, match=f"^{second.name}: not there"):
            statement(connection, ALICE)
        with pytest.raises(ArchiveMissing, match=f"^{first.name}: not there"):
            statement(connection, BOB)
        with pytest.raises(ArchiveMissing, match=f"^{first.name}, {second.name}: not there"):
            receipts.receipt(connection, 3)


def test_the_command_line_says_which_file_is_missing(played: Path) -> None:
    archive = archived(played, NOW_US + 3, now_us=LATER_US)
    file = file_of(played, archive.block_id)
    file.rename(played.with_name("elsewhere"))
    for call in (("statement", "--user", ALICE), ("receipt", 4)):
        done = run(*call, "--db", played)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"solidgreen {call[0]}: {file.name}: not there")
        assert done.err.count("\n") == 1


def test_an_archive_is_not_read_while_it_is_copied(played: Path) -> None:
    archive = opened(played, NOW_US + 3, now_us=LATER_US)
    file = copied(played, archive)
    with contextlib.closing(open_read_only(played)) as connection:
        assert joined(connection) == []
        assert {name for _, name, _ in connection.execute("PRAGMA database_list")} <= {"main", "temp"}
        carried(played, archive, now_us=LATER_US)
        assert joined(connection) == joined(connection) == []
        attached = {Path(path) for _, _, path in connection.execute("PRAGMA database_list")}
        assert file in attached
        assert connection.execute("PRAGMA query_only").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute(f"DELETE FROM archive_{archive.block_id}.bets")


def test_a_store_reads_the_past_on_a_connection_of_its_own(played: Path) -> None:
    def files(connection: sqlite3.Connection) -> int:
        return len(connection.execute("PRAGMA database_list").fetchall())

    async def ask(store: Store) -> list[Any]:
        assert await store.read(files) == await store.read_long(files) == 1
        found = await asyncio.gather(
            *(store.read_past(lambda connection: receipts.receipt(connection, 3, ALICE)) for _ in range(4))
        )
        assert await store.read(files) == await store.read_long(files) == 1
        assert await store.read_past(files) == 3
        return found

    with reading(played) as connection:
        before = receipts.receipt(connection, 3, ALICE)
    file = file_of(played, archived(played, NOW_US + 3, now_us=LATER_US).block_id)
    threads = threading.active_count()
    assert with_store(played, ask) == [before] * 4
    deadline = time.monotonic() + 5
    while threading.active_count() > threads:  # a connection's thread ends a moment after its close
        assert time.monotonic() < deadline
        time.sleep(0.01)
    file.unlink()
    with pytest.raises(ArchiveMissing, match=file.name):
        with_store(played, ask)


def test_what_begins_to_move_while_it_is_read_is_read_on(played: Path) -> None:
    with reading(played) as connection:
        before = Told.statement(connection, ALICE, 0, FOREVER_US)
    with contextlib.closing(open_read_only(played)) as connection, mock.patch.multiple(history, CHUNK=1):
        found = statement(connection, ALICE)
        assert found is not None
        entries = [next(found.entries)]
        archived(played, NOW_US + 3, now_us=LATER_US)
        entries += found.entries
    assert entries == before[3]


def test_a_file_that_is_none_of_these_books_is_refused(played: Path, tmp_path: Path) -> None:
    archive = archived(played, NOW_US + 3, now_us=LATER_US)
    file = file_of(played, archive.block_id)
    other = seed(tmp_path / "other.db", 1000, 500)
    play(other, [place(1)], now_us=NOW_US + 1)
    play(other, [place(2)], now_us=NOW_US + 2)
    foreign = file_of(other, archived(other, NOW_US + 3, now_us=LATER_US).block_id)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"SQLite format 4\0" * 512)
    altered = tmp_path / "altered"
    for harm, why in (
        (foreign, "is not the archive that these books were moved into"),
        (other, "is not an archive of Solid Green's"),
        (garbage, "cannot be opened: file is not a database"),
        (altered, "is an archive of version 2, and this program knows version 1"),
    ):
        if harm is altered:
            shutil.copyfile(tmp_path / "whole", altered)
            with contextlib.closing(sqlite3.connect(altered)) as connection:
                connection.execute("PRAGMA user_version = 2")
        elif not (tmp_path / "whole").exists():
            file.rename(tmp_path / "whole")
        shutil.copyfile(harm, file)
        with contextlib.closing(open_read_only(played)) as connection:
            for _ in range(2):
                with pytest.raises(ArchiveUnusable, match=f"^{file.name}: {why}$"):
                    joined(connection)
        done = run("receipt", 4, "--db", played)
        assert (done.status, done.out, done.err) == (2, "", f"solidgreen receipt: {file.name}: {why}\n")


@pytest.mark.parametrize(
    "column", ["archive_id", "block_id", "block_hash", "first_hash", "upto_transaction_id", "upto_entry_id"]
)
def test_each_thing_that_it_says_of_itself_is_compared(played: Path, column: str) -> None:
    file = file_of(played, archived(played, NOW_US + 3, now_us=LATER_US).block_id)
    file.chmod(0o600)
    value = "zeroblob(32)" if column.endswith("hash") else f"{column} + 1"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER archive_is_closed_to_update")
        connection.execute(f"UPDATE archive SET {column} = {value}")
    with (
        contextlib.closing(open_read_only(played)) as connection,
        pytest.raises(ArchiveUnusable, match="is not the archive that these books"),
    ):
        joined(connection)


def test_an_archive_that_is_finished_is_never_changed(played: Path) -> None:
    file = file_of(played, archived(played, NOW_US + 3, now_us=LATER_US).block_id)
    assert file.stat().st_mode & 0o777 == 0o400
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for table in ("transactions", "transaction_ledger", "bets", "keys", "archive"):
            (columns,) = connection.execute(f"SELECT count(*) FROM pragma_table_info('{table}')").fetchone()
            for harm in (
                f"DELETE FROM {table}",
                f"UPDATE {table} SET rowid = 99" if table != "keys" else "UPDATE keys SET hash = x'00'",
                f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1",
            ):
                with pytest.raises(sqlite3.IntegrityError, match=f"{table}: an archive is never changed"):
                    connection.execute(harm)
            assert columns


def test_a_wallet_resumes_from_what_is_left_and_hears_of_the_gap(played: Path) -> None:
    def after(from_seq: int, most: int = 10) -> tuple[list[int], bool, bool]:
        with contextlib.closing(open_read_only(played)) as connection:
            found, more, gap = queries.entries_after(connection, ALICE, from_seq, most)
            return [entry.id for entry in found], more, gap

    whole = {from_seq: after(from_seq)[0] for from_seq in range(20)}
    ends = look(played, "SELECT last_entry_id FROM users WHERE id = ?", ALICE)[0][0]
    for _ in states(played, NOW_US + 3, rows=2, now_us=LATER_US):
        ((carried_upto,),) = look(
            played, "SELECT coalesce(max(prev_id), 0) FROM transaction_ledger WHERE id = ?", -ALICE
        )
        for from_seq, ids in whole.items():
            left = [id_ for id_ in ids if id_ > carried_upto]
            assert after(from_seq) == (left, False, carried_upto > from_seq)
            assert after(from_seq, 1) == (left[:1], len(left) > 1, carried_upto > from_seq)
    assert 0 < carried_upto < ends


def test_no_query_reads_all_of_history(tmp_path: Path) -> None:
    """With as many archives as SQLite can attach: it goes through 500 parts before it makes a table of
    them."""
    path = seed(tmp_path / "books.db", 1000, 500)
    for number in range(1, 11):
        play(path, [place(number), settle(f"s{number}", number, "lost")], now_us=NOW_US + number)
        archived(path, NOW_US + number, now_us=NOW_US + number, rows=100)
    asked: list[str] = []
    with reading(path) as connection:
        assert len(connection.execute("PRAGMA database_list").fetchall()) >= 11
        connection.set_trace_callback(asked.append)
        assert len(Told.statement(connection, ALICE, NOW_US + 3, FOREVER_US)[3]) == 8
        for id_ in (1, 3, 4, 9):
            for user in (None, ALICE, NOBODY):
                receipts.receipt(connection, id_, user)
        queries.archived_bet(connection, bet_id(1))
        connection.set_trace_callback(None)
        asked = [sql for sql in asked if sql.lstrip().startswith(("SELECT", "WITH"))]
        assert len(asked) > 30
        asked += [
            sql.replace("?", "1")
            for name, sql in vars(lives).items()
            if name.isupper() and isinstance(sql, str) and sql.lstrip().startswith("SELECT")
        ]
        plans = {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")] for sql in set(asked)
        }
    may_be_scanned = ("chain", "wanted", "main.archives", "CONSTANT", "sqlite_temp_schema", "blocks")
    slow = [
        (sql, step)
        for sql, steps in plans.items()
        for step in steps
        if "MATERIALIZE" in step
        or "AUTOMATIC" in step
        or step.endswith("(rowid>?)")  # all that comes after it, and again for each row that is wanted
        or (step.startswith("SCAN") and not step.removeprefix("SCAN ").startswith(may_be_scanned))
    ]
    assert slow == []
    assert any("moved" in step for steps in plans.values() for step in steps), (
        "the archives were not looked at"
    )


def test_the_tables_of_an_archive_are_those_of_the_books() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(archives.TABLES)
        of_archive = {
            table: connection.execute(f"SELECT name, type, pk FROM pragma_table_info('{table}')").fetchall()
            for table in ("transactions", "transaction_ledger", "bets")
        }
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        assert of_archive == {
            table: connection.execute(f"SELECT name, type, pk FROM pragma_table_info('{table}')").fetchall()
            for table in of_archive
        }
