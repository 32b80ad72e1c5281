"""reconcile: clean books pass, each check finds what it is for, and it works beside a server that writes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from books_open import BOB, NOW_US, asked, look, place, play, seed
from forgeries import FOREIGN, FORGERIES, NO_FOLLOWER, OUTSIDE, RANGE, block, zero_sum

from engine import reconcile as module
from engine.blocks import Block, hash_of, root_of
from engine.checks import Finding, check_block
from engine.files import check_is_ours
from engine.reconcile import reconcile
from engine.store import Store
from engine.view import GENESIS, Entry, Head, Transaction


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """What forgeries.py describes, and a bet of BOB's that was refused."""
    path = seed(tmp_path / "books.db", 1000, 500)
    bets = [place(1, 200, game="dice"), place(2, 100, BOB), place(3, 900, BOB)]
    play(path, bets, [place(4, 30, selection="six")], now_us=NOW_US + 1)
    return path


def forge(path: Path, *statements: str) -> None:
    """Edit the file as someone with all rights would: no trigger, no key, no CHECK; then put all back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.execute("BEGIN")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("COMMIT")
    check_is_ours(path, writing=True)  # nothing but the rows tells


def test_books_that_were_only_played_with_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.ok
    assert report.findings == []
    assert (report.users, report.entries) == (8, 10)


def test_an_empty_file_is_clean(tmp_path: Path) -> None:
    report = reconcile(seed(tmp_path / "empty.db"))

    assert (report.ok, report.users, report.entries) == (True, 6, 0)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found_and_named_exactly(books: Path, name: str) -> None:
    sql, findings = FORGERIES[name]

    forge(books, sql)

    assert in_order(reconcile(books).findings) == in_order(findings)


def in_order(findings: Iterable[Finding]) -> list[str]:
    return sorted(map(str, findings))


def test_every_check_is_produced_here() -> None:
    """The names are those in the docstring of engine/checks.py."""
    listed = {
        line.split()[0] for line in (module.check_block.__globals__["__doc__"]).splitlines()[3:] if line
    }

    assert {finding["check"] for _, findings in FORGERIES.values() for finding in findings} == listed


def test_a_whole_transaction_slipped_in_with_a_new_seal_is_told_by_the_next_link(books: Path) -> None:
    """Root and hash of an edited block computed again: only the block after it still knows better."""
    forge(books, "UPDATE transactions SET answer = '{}' WHERE id = 3")
    reseal(books, 2)

    assert reconcile(books).findings == [block(3, NO_FOLLOWER)]


def test_history_sealed_again_to_the_end_needs_a_head_kept_elsewhere(books: Path) -> None:
    """The limit of format 1 that docs/evidence.md tells of, pinned."""
    kept = look(books, "SELECT hash FROM blocks WHERE id = 3")

    forge(books, "UPDATE transactions SET answer = '{}' WHERE id = 3")
    reseal(books, 2)
    reseal(books, 3)

    assert reconcile(books).ok
    assert look(books, "SELECT hash FROM blocks WHERE id = 3") != kept


def test_a_block_of_a_format_to_come_is_not_taken_for_one_of_this(books: Path) -> None:
    forge(books, "UPDATE blocks SET format = 2 WHERE id = 3")
    reseal(books, 3)

    assert reconcile(books).findings == [block(3, FOREIGN)]


def test_a_seal_made_anew_does_not_let_an_entry_leave_its_block(books: Path) -> None:
    forge(books, "UPDATE transaction_ledger SET transaction_id = 4 WHERE id = 10")
    reseal(books, 3)

    expected = [block(3, OUTSIDE), zero_sum(5, "EUR", -30), zero_sum(4, "EUR", 30)]
    assert reconcile(books).findings == expected


def reseal(path: Path, number: int) -> None:
    """Compute root, link and hash of a block from what its rows say now."""
    ((before,),) = look(path, "SELECT hash FROM blocks WHERE id = ?", number - 1)
    transactions = look(path, "SELECT * FROM transactions WHERE block_id = ? ORDER BY id", number)
    entries = look(path, "SELECT * FROM transaction_ledger WHERE block_id = ? ORDER BY id", number)
    (row,) = look(path, "SELECT * FROM blocks WHERE id = ?", number)
    root = root_of([Transaction(*each) for each in transactions], [Entry(*each) for each in entries])
    made = Block(*row)._replace(root=root, prev_hash=before)
    digests = ((name, value.hex()) for name, value in
               [("root", root), ("prev_hash", before), ("hash", hash_of(made))])  # fmt: skip
    forge(path, *[f"UPDATE blocks SET {name} = x'{value}' WHERE id = {number}" for name, value in digests])


def test_it_works_while_a_store_writes_and_pins_nothing(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is committed between any two blocks that are read: the verdict is that of one moment."""

    async def run() -> tuple[module.Report, list[Any]]:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        numbers = iter(range(100, 200))
        checkpoints = []

        def meanwhile(*read: Any) -> Any:
            batch = asked(place(next(numbers), 1), place(next(numbers), 1, BOB), place(next(numbers), 9999))
            asyncio.run_coroutine_threadsafe(store.commit(batch, NOW_US + 2), loop).result(10)
            # Nobody else is at work in this moment, so a checkpoint by hand is safe.
            checkpoints.extend(look(books, "PRAGMA wal_checkpoint(TRUNCATE)"))
            return check_block(*read)

        monkeypatch.setattr(module, "check_block", meanwhile)
        try:
            return await asyncio.to_thread(reconcile, books), checkpoints
        finally:
            monkeypatch.undo()
            await store.close()

    report, checkpoints = asyncio.run(run())

    assert report.findings == []
    assert report.entries == 10, "what was there when it began"
    assert checkpoints == [(0, 0, 0)] * 3, "no reader was in the way"
    assert (reconcile(books).ok, reconcile(books).entries) == (True, 22)


def test_a_file_that_cannot_be_read_is_a_fault_and_not_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        reconcile(tmp_path / "none.db")


def test_a_first_block_that_does_not_begin_at_one_is_named() -> None:
    late = Block(1, 1, 2, 2, 1, 0, root_of([], []), GENESIS.hash, b"", 5)
    late = late._replace(hash=hash_of(late))

    assert list(check_block(GENESIS, late, [], [])) == [block(1, RANGE)]
    after = Head(0, bytes(32), 6, 1, 0)
    assert list(check_block(after, late, [], [])) == [
        block(1, "its time is before that of the block before it")
    ]
