"""What players of the demo note is on the disk at once; the books are read as outsiders would."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from demo.books import Debit, copy_of, read_books
from demo.notes import Notes, read_notes
from tests.books_open import ALICE, bet_id, place, play, seed, settle


def test_notes_are_read_from_the_disk_while_they_are_written(tmp_path: Path) -> None:
    player, croupier = Notes(tmp_path / "player-7.jsonl"), Notes(tmp_path / "croupier.jsonl")
    player.note(user_id=7, placing="a", stake=250)
    told = read_notes(tmp_path)
    assert told.players == {7}
    assert (told.bets["a"].stake, told.bets["a"].told, told.bets["a"].is_confirmed) == (250, None, False)

    player.note(told="bet.confirmed", bet_id="a", transaction_id=3, seq=9)
    player.note(trouble="GivenUp()", bet_id="a")
    player.note(user_id=7, balance=750)
    croupier.note(settling="demo/a", bet_id="a")
    assert read_notes(tmp_path).settlements["demo/a"].transaction_id is None
    croupier.note(settled="demo/a", transaction_id=4)
    told = read_notes(tmp_path)
    assert told.bets["a"].is_confirmed
    assert told.bets["a"].placed_ns < told.bets["a"].told_ns < told.settlements["demo/a"].told_ns
    assert (told.bets["a"].transaction_id, told.bets["a"].seq) == (3, 9)
    assert told.settlements["demo/a"].transaction_id == 4
    assert told.balances == {7: 750}
    croupier.note(settling="demo/b", bet_id="b")
    croupier.note(refused="demo/b", code="BET_CLOSED")
    assert read_notes(tmp_path).settlements["demo/b"].refused == "BET_CLOSED"
    player.close()
    croupier.close()


def test_nobody_continues_anothers_notes(tmp_path: Path) -> None:
    Notes(tmp_path / "a.jsonl").close()
    with pytest.raises(FileExistsError):
        Notes(tmp_path / "a.jsonl")


def test_books_of_a_file_and_of_its_copy(tmp_path: Path) -> None:
    db = seed(tmp_path / "books.db", 1000, 1000)
    play(db, [place(1, 30), place(2, 40)])
    play(db, [settle("demo/1", 1, "won", 60), settle("another/2", 2, "lost")])
    books = read_books(db)
    with sqlite3.connect(db) as file:
        told = dict(file.execute("SELECT key, id FROM transactions"))
        seqs = dict(
            file.execute("SELECT transaction_id, id FROM transaction_ledger WHERE user_id = ?", [ALICE])
        )
    file.close()
    placed = told[bet_id(1)]
    assert books.debits[bet_id(1)] == [Debit(seqs[placed], ALICE, -30, placed)]
    assert set(books.debits) == {bet_id(1), bet_id(2)}
    assert books.settlements == {"demo/1": [told["demo/1"]]}
    assert books.balances[ALICE] == 1000 - 30 - 40 + 60
    assert read_books(copy_of(db, tmp_path / "copy")) == books
