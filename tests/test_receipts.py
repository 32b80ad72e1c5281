"""What a receipt is made of, and that none is made of rows that were changed after they were sealed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from engine import receipts
from engine.errors import HistoryBroken
from engine.files import open_read_only
from tests.books_open import ALICE, BOB, deposit, place, play, seed
from tests.command import run
from tests.forgeries import forge


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200), place(2, 100, BOB), deposit("d", 2**53 - 1, BOB)])
    return path


def receipt(path: Path, transaction_id: int, user_id: int | None = None) -> receipts.Json | None:
    with contextlib.closing(open_read_only(path)) as connection:
        return receipts.receipt(connection, transaction_id, user_id)


def test_it_says_where_its_entries_are_among_those_of_the_block(books: Path) -> None:
    found = receipt(books, 4, BOB)
    assert found is not None
    assert (found["transaction"]["first_entry_id"], found["transaction"]["entries"]) == (7, 2)
    assert [(entry["id"], entry["user_id"]) for entry in found["entries"]] == [(7, BOB)]
    assert receipt(books, 4, ALICE) is None
    assert receipt(books, 99) is None


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE transaction_ledger SET amount = amount + 1 WHERE id = 7",
        "UPDATE transaction_ledger SET transaction_id = 3 WHERE id = 8",
        "UPDATE blocks SET root = zeroblob(32) WHERE id = 2",
        "DELETE FROM transactions WHERE id = 3",
    ],
)
def test_none_is_made_of_a_block_that_was_changed(books: Path, harm: str) -> None:
    forge(books, harm)
    with pytest.raises(HistoryBroken, match="block 2: its rows do not give its root"):
        receipt(books, 4)
    done = run("receipt", "4", "--db", books)
    assert (done.status, done.out) == (2, "")
    assert "nothing in it can be proven" in done.err
