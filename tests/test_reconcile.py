"""reconcile: clean books pass, each check finds what it is for, and it works beside a server that writes."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine import audit, checks
from engine import reconcile as module
from engine.blocks import Block, hash_of
from engine.checks import check_block
from engine.merkle import EMPTY, leaf
from engine.reconcile import reconcile
from engine.records import GENESIS, Head
from engine.store import Store
from tests import bonus_forgeries, bonus_history, life_forgeries, payout_forgeries, payout_history
from tests.books_open import BOB, NOW_US, asked, look, place, play, seed
from tests.forgeries import (
    EDITED,
    FOREIGN,
    FORGERIES,
    NO_FOLLOWER,
    OUTSIDE,
    RANGE,
    block,
    forge,
    in_order,
    legs,
    reseal,
    zero_sum,
)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """What forgeries.py describes, and a bet of BOB's that was refused."""
    path = seed(tmp_path / "books.db", 1000, 500)
    bets = [place(1, 200, game="dice"), place(2, 100, BOB), place(3, 900, BOB)]
    play(path, bets, [place(4, 30, selection="six")], now_us=NOW_US + 1)
    return path


def test_books_that_were_only_played_with_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.ok
    assert report.findings == []
    assert (report.users, report.entries) == (9, 10)


def test_an_empty_file_is_clean(tmp_path: Path) -> None:
    report = reconcile(seed(tmp_path / "empty.db"))

    assert (report.ok, report.users, report.entries) == (True, 7, 0)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found_and_named_exactly(books: Path, name: str) -> None:
    sql, findings = FORGERIES[name]

    forge(books, sql)

    assert in_order(reconcile(books).findings) == in_order(findings)


def test_a_whole_transaction_slipped_in_with_a_new_seal_is_told_by_the_next_link(books: Path) -> None:
    """Root and hash of an edited block computed again: only the block after it still knows better."""
    forge(books, "UPDATE transactions SET answer = json_set(answer, '$.held_minor', 1) WHERE id = 3")
    reseal(books, 2)

    assert reconcile(books).findings == [block(3, NO_FOLLOWER)]


def test_history_sealed_again_to_the_end_needs_a_head_kept_elsewhere(books: Path) -> None:
    """The limit of format 1 that docs/evidence.md tells of, pinned."""
    kept = look(books, "SELECT hash FROM blocks WHERE id = 3")

    forge(books, "UPDATE transactions SET answer = json_set(answer, '$.held_minor', 1) WHERE id = 3")
    reseal(books, 2, 3)

    assert reconcile(books).ok
    assert look(books, "SELECT hash FROM blocks WHERE id = 3") != kept


def test_a_block_of_a_format_to_come_is_not_taken_for_one_of_this(books: Path) -> None:
    forge(books, "UPDATE blocks SET format = 2 WHERE id = 3")
    reseal(books, 3)

    assert reconcile(books).findings == [block(3, FOREIGN)]


def test_a_seal_made_anew_does_not_let_an_entry_leave_its_block(books: Path) -> None:
    forge(books, "UPDATE transaction_ledger SET transaction_id = 4 WHERE id = 10")
    reseal(books, 3)

    told = [block(3, OUTSIDE), block(3, EDITED)]  # an entry of no transaction of the block: there is no root
    expected = [*told, zero_sum(5, "EUR", -30), zero_sum(4, "EUR", 30), legs(5, "BET")]
    assert reconcile(books).findings == expected


def test_it_works_while_a_store_writes_and_pins_nothing(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is committed between any two blocks that are read: the verdict is that of one moment."""

    async def run() -> tuple[module.Report, list[Any]]:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        numbers = iter(range(100, 200))
        checkpoints = []

        def meanwhile(*read: Any, **known: Any) -> Any:
            batch = asked(place(next(numbers), 1), place(next(numbers), 1, BOB), place(next(numbers), 9999))
            asyncio.run_coroutine_threadsafe(store.commit(batch, NOW_US + 2), loop).result(10)
            # Nobody else is at work in this moment, so a checkpoint by hand is safe.
            checkpoints.extend(look(books, "PRAGMA wal_checkpoint(TRUNCATE)"))
            return check_block(*read, **known)

        monkeypatch.setattr(audit, "check_block", meanwhile)
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
    late = Block(1, 1, 2, 2, 1, 0, 5, GENESIS.hash, EMPTY, EMPTY, bytes(16), b"", b"", bytes(64))
    late = late._replace(hash=hash_of(late))
    late = late._replace(peak=leaf(late.hash))

    assert list(check_block(GENESIS, late, [], [])) == [block(1, RANGE)]
    after = Head(0, bytes(32), 6, 1, 0)
    assert list(check_block(after, late, [], [])) == [
        block(1, "its time is before that of the block before it")
    ]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_history_of_other_blocks_is_named_where_the_blocks_before_are_known(is_whole: bool) -> None:
    """Linked and hashed as it should be: only the tree over the blocks before it tells."""
    first = Block(1, 1, 1, 1, 1, 0, 5, GENESIS.hash, bytes(32), bytes(32), bytes(16), b"", b"", bytes(64))
    first = first._replace(hash=hash_of(first))
    first = first._replace(peak=leaf(first.hash))

    found = [finding["why"] for finding in check_block(GENESIS, first, [], [], is_whole=is_whole)]

    assert ("its history is not that of the blocks before it" in found) is is_whole


def test_every_check_is_produced_by_a_forgery() -> None:
    """The names are those in the docstring of engine/checks.py."""
    listed = set(re.findall(r"^(\w+) {2,}", checks.__doc__ or "", re.MULTILINE))
    forged = [
        findings
        for forgeries in (
            *(FORGERIES, life_forgeries.ROWS, life_forgeries.HISTORY, bonus_forgeries.ROWS),
            *(bonus_history.HISTORY, payout_forgeries.ROWS, payout_history.HISTORY),
        )
        for _, findings in forgeries.values()
    ]

    # The types of values are those of a file written past SQLite (test_verify.py); for archives there is
    # test_verify_archives.py.
    told = {finding["check"] for findings in forged for finding in findings}
    assert told | {"type", "archive"} == listed
